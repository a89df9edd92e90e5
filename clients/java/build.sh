#!/usr/bin/env bash
# Generates and compiles the Java client with its example and test into a directory.
# Usage: clients/java/build.sh DIR [DESCRIPTORS]; then: java -cp "$(cat DIR/classpath)" AdmissionDesk …
# DESCRIPTORS, written by scripts/plain_descriptors.py, is for a protoc older than 22, which can't read the files.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=${1:?usage: clients/java/build.sh DIR [DESCRIPTORS]}
descriptors=${2:-}

mkdir -p "$out/generated" "$out/classes"
grpc=(--java_out="$out/generated" --grpc-java_out="$out/generated" --plugin=protoc-gen-grpc-java=/usr/bin/grpc_java_plugin)
mapfile -t protos < <(cd protos && ls mdm/v1/*.proto google/rpc/*.proto)
if [[ -n $descriptors ]]; then
    protoc --descriptor_set_in="$descriptors" "${grpc[@]}" "${protos[@]}"
else
    protoc -I protos "${grpc[@]}" "${protos[@]}" buf/validate/validate.proto
fi

jars=/usr/share/java
classpath=$out/classes
for jar in protobuf grpc-{api,context,core,netty,protobuf,protobuf-lite,stub} guava failureaccess gson perfmark-api \
    netty-{buffer,codec,codec-http,codec-http2,common,handler,resolver,transport} jctools-core geronimo-annotation-1.3-spec; do
    [[ -e $jars/$jar.jar ]] && classpath+=:$jars/$jar.jar
done
find "$out/generated" clients/java -name '*.java' >"$out/sources"
javac -J-XX:TieredStopAtLevel=1 -J-XX:+UseSerialGC -proc:none -nowarn -d "$out/classes" -cp "$classpath" @"$out/sources"
echo "$classpath" >"$out/classpath"
