#!/usr/bin/env bash
# Makes the virtual environment that every make target uses: locked packages with their hashes, then the project itself.
# Usage: scripts/environment.sh VENV [PYTHON]. Safe to repeat; a failed run leaves no half environment that looks whole.
set -euo pipefail

venv=${1:?usage: scripts/environment.sh VENV [PYTHON]}
python=${2:-python3}

fail() {
    printf 'error: %s\n' "$1" >&2
    exit 1
}

command -v "$python" >/dev/null || fail "'$python' is not installed. Install Python 3.11 or newer, or run: make PYTHON=/path/to/python3.11"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "'$python' is $("$python" -V 2>&1); Python 3.11 or newer is needed. Run: make PYTHON=/path/to/python3.11"
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "'$python' cannot make virtual environments. On Debian and Ubuntu run: apt-get install python3-venv"

if [ ! -x "$venv/bin/python" ]; then
    "$python" -m venv "$venv"
fi
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
# hatchling comes from the lock, so nothing is fetched without a hash.
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
touch "$venv/.installed"
