#!/usr/bin/env bash
# Generates and compiles the Go client with its example and test into a directory, from Debian's Go packages.
# Usage: clients/go/build.sh DIR [DESCRIPTORS]; then: DIR/bin/admission_desk …
# DESCRIPTORS, written by scripts/plain_descriptors.py, is for a protoc older than 22, which can't read the files.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=${1:?usage: clients/go/build.sh DIR [DESCRIPTORS]}
descriptors=${2:-}

project=$out/src/hochiminhcity.gov.vn/mdm
mkdir -p "$project"
cp -r clients/go/. "$project"
mapfile -t protos < <(cd protos && ls mdm/v1/*.proto)
input=(-I protos)
[[ -n $descriptors ]] && input=(--descriptor_set_in="$descriptors")
protoc "${input[@]}" --go_out="$out/src" --go-grpc_out="$out/src" "${protos[@]}"

export GO111MODULE=off GOPATH=$out:/usr/share/gocode GOFLAGS=
go vet hochiminhcity.gov.vn/mdm/...
go build -o "$out/bin/" hochiminhcity.gov.vn/mdm/examples/...
go test -c -o "$out/bin/client.test" hochiminhcity.gov.vn/mdm
