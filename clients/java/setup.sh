#!/usr/bin/env bash
# Installs what the Java client is built from, where that is allowed: Debian's JDK, protoc, gRPC plugin and jars.
# Prints what is missing and fails if it can't. Safe to repeat; installs nothing that is there.
set -euo pipefail

missing=()
command -v javac >/dev/null || missing+=(default-jdk-headless)
[[ -x /usr/bin/protoc ]] || missing+=(protobuf-compiler)
[[ -x /usr/bin/grpc_java_plugin ]] || missing+=(protobuf-compiler-grpc-java-plugin)
declare -A packages=([protobuf]=libprotobuf-java [grpc-stub]=libgrpc-java [guava]=libguava-java [netty-codec-http2]=libnetty-java)
packages+=([perfmark-api]=libperfmark-java [gson]=libgoogle-gson-java [jctools-core]=libjctools-java)
packages+=([geronimo-annotation-1.3-spec]=libgeronimo-annotation-1.3-spec-java)
for jar in "${!packages[@]}"; do
    [[ -e /usr/share/java/$jar.jar ]] || missing+=("${packages[$jar]}")
done
[[ ${#missing[@]} -eq 0 ]] && exit 0
if [[ $(id -u) -ne 0 ]] || ! command -v apt-get >/dev/null; then
    echo "java: missing ${missing[*]}, and only root with apt can install them" >&2
    exit 1
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { apt-get update -qq && apt-get install -qq -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    echo "java: apt could not install ${missing[*]}" >&2
    tail -3 "$log" >&2
    exit 1
fi
