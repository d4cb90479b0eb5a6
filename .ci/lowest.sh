#!/bin/sh
# Make the virtual environment .cache/lowest/venv with the lowest version of each dependency that pyproject.toml admits,
# and print its path. `make test` runs with the newest. Does nothing where pyproject.toml is as it was.
set -eu
cd "$(dirname "$0")/.."
cache=.cache/lowest
venv=$cache/venv
wanted=$(cksum <pyproject.toml)

if [ "$(cat "$cache/made-for" 2>/dev/null)" = "$wanted" ]; then
    echo "$venv"
    exit 0
fi
mkdir -p "$cache"
rm -f "$cache/made-for"
.venv/bin/python .ci/lowest.py >"$cache/constraints.txt"
cat "$cache/constraints.txt" >&2
# A copy of the interpreter that .venv was made with; its pip may come from elsewhere.
.venv/bin/python -m venv --clear --without-pip "$venv"
.venv/bin/python -m pip --python "$venv/bin/python" install --quiet --disable-pip-version-check \
    --constraint "$cache/constraints.txt" --editable '.[web]' pytest pytest-xdist hypothesis trustme jsonschema packaging
echo "$wanted" >"$cache/made-for"
echo "$venv"
