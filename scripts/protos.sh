#!/usr/bin/env bash
# Everything made from protos/: the Python stubs, the drift check, the checks by buf, Java and C#.
#   scripts/protos.sh                    write mdm/v1 anew
#   scripts/protos.sh --check            fail if mdm/v1 is not what the protos give, or if buf finds fault
#   scripts/protos.sh --languages DIR    generate and compile Java, and generate C#, into DIR
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

install_compilers() { # the parts that are missing, where that is allowed
  local missing=()
  command -v javac >/dev/null || missing+=(default-jdk-headless)
  [[ -x /usr/bin/protoc ]] || missing+=(protobuf-compiler)
  [[ -x /usr/bin/grpc_java_plugin ]] || missing+=(protobuf-compiler-grpc-java-plugin)
  [[ -e /usr/share/java/protobuf.jar ]] || missing+=(libprotobuf-java)
  [[ -e /usr/share/java/grpc-stub.jar ]] || missing+=(libgrpc-java)
  scripts/install_packages.sh "protos: SKIPPED Java and C#" "${missing[@]}"
}

languages() { # DIR
  install_compilers || return 0
  mkdir -p "$1/java" "$1/java-classes" "$1/csharp"
  # grpcio-tools generates Python only, and Java gencode must be of its runtime's version: the system's protoc writes what
  # the system's jars compile. It is too old to read debug_redact, so it gets the descriptors that ours has compiled.
  /usr/bin/protoc --descriptor_set_in="$scratch/full.binpb" --java_out="$1/java" --grpc-java_out="$1/java" \
    --plugin=protoc-gen-grpc-java=/usr/bin/grpc_java_plugin "${PROTOS[@]}" buf/validate/validate.proto
  local jars=(/usr/share/java/{protobuf,grpc-api,grpc-stub,grpc-protobuf,guava,geronimo-annotation-1.3-spec}.jar)
  find "$1/java" -name '*.java' >"$scratch/java-files"
  javac -nowarn -d "$1/java-classes" -cp "$(IFS=:; echo "${jars[*]}")" @"$scratch/java-files"
  echo "protos: compiled $(wc -l <"$scratch/java-files") Java files to $(find "$1/java-classes" -name '*.class' | wc -l) classes"
  # The rules stay in as option bytes; without the import, C# users need no generated Buf.Validate of ours.
  /usr/bin/protoc --descriptor_set_in="$scratch/detached.binpb" --csharp_out="$1/csharp" "${PROTOS[@]}"
  echo "protos: generated $(find "$1/csharp" -name '*.cs' | wc -l) C# files"
  echo "protos: SKIPPED compiling the C#: that needs .NET and its NuGet packages" >&2
}

BUF_PATH=$(command -v "$BUF")
[[ $BUF_PATH = /* ]] || BUF_PATH=$PWD/$BUF_PATH
prepare
case "${1:-}" in
  "") rm -f mdm/v1/*_pb2*.py*; generate . ;;
  --check) check ;;
  --languages) languages "${2:?--languages needs a directory}" ;;
  --release) (cd protos && "$BUF_PATH" build --path mdm --output released.binpb) ;;
  *) echo "usage: scripts/protos.sh [--check | --languages DIR | --release]" >&2; exit 2 ;;
esac
