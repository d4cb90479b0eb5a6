#!/bin/sh
# Build a small exporter around Prometheus's exporter-toolkit, which tests and benchmarks/hostile.py compare with, once.
# Its versions are those of tests/toolkit/go.mod; the result is .cache/toolkit/exporter.
# Needs Go and the Go module proxy. Prints the path; does nothing where source and program agree.
set -eu
cd "$(dirname "$0")/.."
source=tests/toolkit
cache=.cache/toolkit
program=$cache/exporter

if [ -x "$program" ] && cmp -s "$source/go.mod" "$cache/go.mod" && cmp -s "$source/main.go" "$cache/main.go"; then
    echo "$program"
    exit 0
fi
command -v go >/dev/null || { echo "toolkit.sh: Go is missing (1.21 or newer: it fetches what the toolkit needs)" >&2; exit 1; }

mkdir -p "$cache"
# One package at a time: compiling in parallel takes gigabytes.
export GOFLAGS="${GOFLAGS:--p=1}" CGO_ENABLED=0 GOTOOLCHAIN=auto
go build -C "$source" -o "$PWD/$program" . >&2
cp "$source/go.mod" "$source/main.go" "$cache/"
echo "$program"
