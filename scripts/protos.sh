#!/usr/bin/env bash
# What is made from protos/: the Python stubs, the drift check, the checks by buf. Other languages: clients/.
#   scripts/protos.sh                    write mdm/v1 anew
#   scripts/protos.sh --check            fail if mdm/v1 is not what the protos give, or if buf finds fault
#   scripts/protos.sh --release          make the protos as they are the base of the breaking check
set -euo pipefail
cd "$(dirname "$0")/.."

# Stubs refuse to run on a grpcio older than their generator: this is the oldest grpcio that clients may have.
GRPCIO_TOOLS=1.73.1
MYPY_PROTOBUF=5.1.0
TOOLS=.venv-protos
BUF=${BUF:-.venv/bin/buf}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

mapfile -t PROTOS < <(cd protos && ls mdm/v1/*.proto)
mapfile -t SERVICES < <(cd protos && ls mdm/v1/*_service.proto)

protoc() { PATH="$PWD/$TOOLS/bin:$PATH" "$TOOLS/bin/python" -m grpc_tools.protoc "$@"; }

prepare() {
  local wanted="$GRPCIO_TOOLS $MYPY_PROTOBUF"
  if [[ "$(cat "$TOOLS/versions" 2>/dev/null)" != "$wanted" ]]; then
    "${PYTHON:-python3}" -m venv --clear "$TOOLS"
    # grpcio-tools imports pkg_resources, which setuptools dropped in version 82.
    "$TOOLS/bin/pip" install --quiet --disable-pip-version-check \
      "grpcio-tools==$GRPCIO_TOOLS" "mypy-protobuf==$MYPY_PROTOBUF" "setuptools<81"
    echo "$wanted" >"$TOOLS/versions"
  fi
  protoc -I protos --include_imports --include_source_info --descriptor_set_out="$scratch/full.binpb" "${PROTOS[@]}"
  "$TOOLS/bin/python" scripts/detach_validation.py "$scratch/full.binpb" "$scratch/detached.binpb"
}

generate() { # DIR
  mkdir -p "$1"
  protoc --descriptor_set_in="$scratch/detached.binpb" --python_out="$1" --mypy_out="quiet:$1" "${PROTOS[@]}"
  protoc --descriptor_set_in="$scratch/detached.binpb" --grpc_python_out="$1" --mypy_grpc_out="quiet:$1" "${SERVICES[@]}"
}

check() {
  generate "$scratch/fresh"
  cp mdm/v1/__init__.py "$scratch/fresh/mdm/v1/"
  if ! diff --brief --recursive --exclude=__pycache__ mdm/v1 "$scratch/fresh/mdm/v1"; then
    echo "protos: mdm/v1 is not what the protos give; run scripts/protos.sh and commit the result" >&2
    return 1
  fi
  (cd protos && "$BUF_PATH" format --diff --exit-code --path mdm && "$BUF_PATH" lint && "$BUF_PATH" breaking --against released.binpb)
}

BUF_PATH=$(command -v "$BUF")
[[ $BUF_PATH = /* ]] || BUF_PATH=$PWD/$BUF_PATH
prepare
case "${1:-}" in
  "") rm -f mdm/v1/*_pb2*.py*; generate . ;;
  --check) check ;;
  --release) (cd protos && "$BUF_PATH" build --path mdm --output released.binpb) ;;
  *) echo "usage: scripts/protos.sh [--check | --release]" >&2; exit 2 ;;
esac
