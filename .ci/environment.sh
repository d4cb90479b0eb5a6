#!/bin/sh
# Make the virtual environment named by $1 with this package in it; with "tools" as $2, its development tools too.
#
# A fresh Debian has Python but not the part that makes environments with pip in them (python3-venv). Ways tried
# in turn: python3 -m venv; virtualenv; an environment without pip that the system's pip fills. Nothing is installed
# outside of the environment. PYTHON names another interpreter.
set -eu
cd "$(dirname "$0")/.."
venv=$1
python=${PYTHON:-python3}

say() { echo "environment: $*" >&2; }

command -v "$python" >/dev/null || { say "$python is missing; install Python 3.11 or newer, or set PYTHON"; exit 1; }
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    say "$("$python" --version) is too old; Python 3.11 or newer is needed. Set PYTHON, as in: make run PYTHON=python3.12"
    exit 1
fi

# Each way gives "$venv/bin/python" with a pip that works, or fails and leaves nothing behind.
pip() { "$venv/bin/python" -m pip "$@"; }
usable() { [ -x "$venv/bin/python" ] && pip --version >/dev/null 2>&1; }
with_venv() { "$python" -c 'import ensurepip' 2>/dev/null && "$python" -m venv --clear "$venv" 2>/dev/null && usable; }
with_virtualenv() { "$python" -m virtualenv --version >/dev/null 2>&1 && "$python" -m virtualenv --quiet --clear "$venv" && usable; }
with_system_pip() {
    "$python" -m pip --version >/dev/null 2>&1 || return 1
    "$python" -m venv --clear --without-pip "$venv" 2>/dev/null || return 1
    # The system's pip brings a pip of the environment's own.
    "$python" -m pip --quiet --python "$venv/bin/python" install pip && usable
}

if ! usable; then
    with_venv || with_virtualenv || with_system_pip || {
        rm -rf "$venv"
        say "this Python can't make environments. On Debian or Ubuntu: sudo apt-get install python3-venv; then run make again"
        exit 1
    }
fi
if [ "${2:-}" = tools ]; then
    say "installing the exporter and its development tools into $venv: some 400 MB"
    what='.[dev]'
else
    say "installing the exporter into $venv: some 10 MB"
    what=.
fi
pip install --disable-pip-version-check --editable "$what" | grep -v '^Requirement already satisfied' || true
"$venv/bin/python" -c 'import exporter' || { say "pip failed, see above"; exit 1; }
# Byte code now, so that the first start is as fast as the others also where Python may not write it.
"$venv/bin/python" -m compileall -q exporter
