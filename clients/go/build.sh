#!/usr/bin/env bash
# Generates and compiles the Go client with its example and test into a directory, from Debian's Go packages.
# Usage: clients/go/build.sh DIR DESCRIPTORS; then: DIR/bin/admission_desk …
# DESCRIPTORS is written by scripts/plain_descriptors.py: generated from the files themselves, the code would import a
# package for the rules, and Debian's protoc can't read them.
set -euo pipefail
out=$(realpath -m "${1:?usage: clients/go/build.sh DIR DESCRIPTORS}")
descriptors=$(realpath "${2:?usage: clients/go/build.sh DIR DESCRIPTORS}")
cd "$(dirname "$0")/../.."

project=$out/src/hochiminhcity.gov.vn/mdm
mkdir -p "$project"
cp -r clients/go/. "$project"
mapfile -t protos < <(cd protos && ls mdm/v1/*.proto)
protoc --descriptor_set_in="$descriptors" --go_out="$out/src" --go-grpc_out="$out/src" "${protos[@]}"

export GO111MODULE=off GOPATH=$out:/usr/share/gocode GOFLAGS=
go build -o "$out/bin/" hochiminhcity.gov.vn/mdm/examples/...
go test -c -o "$out/bin/client.test" hochiminhcity.gov.vn/mdm
