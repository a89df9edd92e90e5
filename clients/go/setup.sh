#!/usr/bin/env bash
# Installs what the Go client is built from, where that is allowed: Debian's Go, protoc, its Go plugins and Go packages.
# Prints what is missing and fails if it can't. Safe to repeat; installs nothing that is there.
set -euo pipefail

missing=()
command -v go >/dev/null || missing+=(golang-go)
[[ -x /usr/bin/protoc ]] || missing+=(protobuf-compiler)
command -v protoc-gen-go >/dev/null || missing+=(protoc-gen-go)
command -v protoc-gen-go-grpc >/dev/null || missing+=(protoc-gen-go-grpc)
# Version 1.5 of golang/protobuf stands on google.golang.org/protobuf, which generated code is of; 1.3 does not.
declare -A packages=([github.com/golang/protobuf/internal]=golang-github-golang-protobuf-1-5-dev)
packages+=([google.golang.org/protobuf]=golang-google-protobuf-dev [google.golang.org/grpc]=golang-google-grpc-dev)
packages+=([google.golang.org/genproto]=golang-google-genproto-dev)
for import in "${!packages[@]}"; do
    [[ -e /usr/share/gocode/src/$import ]] || missing+=("${packages[$import]}")
done
exec "$(dirname "$0")/../../scripts/install_packages.sh" go "${missing[@]}"
