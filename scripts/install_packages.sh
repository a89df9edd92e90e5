#!/usr/bin/env bash
# Installs Debian packages where that is allowed; where it isn't, says in a line what is missing and why, and fails.
# Usage: scripts/install_packages.sh WHO [PACKAGE…]; WHO begins the line.
set -euo pipefail
who=${1:?usage: scripts/install_packages.sh WHO [PACKAGE…]}
shift

[[ $# -eq 0 ]] && exit 0
if [[ $(id -u) -ne 0 ]] || ! command -v apt-get >/dev/null; then
    echo "$who: missing $*, and only root with apt can install them" >&2
    exit 1
fi
# Tests of several clients may want theirs at once, and apt does not wait for another.
exec 9<"$0"
flock 9
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { apt-get update -qq && apt-get install -qq -y --no-install-recommends "$@"; } >"$log" 2>&1; then
    echo "$who: apt could not install $*" >&2
    tail -3 "$log" >&2
    exit 1
fi
