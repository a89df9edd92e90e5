#!/usr/bin/env bash
# Writes requirements.lock: every package of the server and dev extras at one version, with the hashes of its files.
# The lock holds names, versions and hashes and no address, so each site installs from the index that it trusts.
# Usage: scripts/lock.sh VENV [UV-ARGUMENT…], for instance --upgrade-package grpcio.
set -euo pipefail

venv=${1:?usage: scripts/lock.sh VENV [UV-ARGUMENT…]}
shift
uv_version=0.13.9

if ! "$venv/bin/uv" --version 2>/dev/null | grep -qF "uv $uv_version"; then
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "uv==$uv_version"
fi
"$venv/bin/uv" pip compile pyproject.toml --extra server --extra dev \
    --universal --python-version 3.11 --generate-hashes \
    --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
    --quiet --output-file requirements.lock "$@" >/dev/null
if grep -nE '://|^-|^[^#]* @ ' requirements.lock; then
    echo "error: the lock names a place, not only versions and hashes" >&2
    exit 1
fi
