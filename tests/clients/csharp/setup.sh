#!/usr/bin/env bash
# Gets what the C# client is compiled with, where that is allowed: Debian's protoc and mcs, and into a directory the C#
# half of protoc's own source package, which Debian has but does not build. Says what is missing and fails if it can't.
# Usage: tests/clients/csharp/setup.sh DIR
set -euo pipefail
scripts=$(cd "$(dirname "$0")/../../../scripts" && pwd)
cd "${1:?usage: tests/clients/csharp/setup.sh DIR}"

missing=()
[[ -x /usr/bin/protoc ]] || missing+=(protobuf-compiler)
command -v mcs >/dev/null || missing+=(mono-mcs)
"$scripts/install_packages.sh" csharp "${missing[@]}"

debian=/etc/apt/sources.list.d/debian.sources
[[ -e $debian ]] || debian=/etc/apt/sources.list
# apt reads the form from the name. Lists and cache of its own: the machine's stay as they are.
sources=$PWD/$(basename "$debian")
sed -E 's/^Types:.*/Types: deb-src/; s/^deb /deb-src /' "$debian" >"$sources"
mkdir -p lists/partial cache/archives/partial
apt=(-o Dir::Cache="$PWD/cache" -o Dir::Etc::sourcelist="$sources" -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists="$PWD/lists")
version=$(dpkg-query --show --showformat '${source:Version}' protobuf-compiler)
if ! { apt-get "${apt[@]}" update -qq && apt-get "${apt[@]}" source -qq --download-only "protobuf=$version"; } >apt.log 2>&1; then
    echo "csharp: apt could not get the source of protoc $version" >&2
    tail -3 apt.log >&2
    exit 1
fi
tar --extract --file "$(echo protobuf_*.orig.tar.*)" --strip-components=1 --wildcards '*/csharp/src/Google.Protobuf'
