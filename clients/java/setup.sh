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
exec "$(dirname "$0")/../../scripts/install_packages.sh" java "${missing[@]}"
