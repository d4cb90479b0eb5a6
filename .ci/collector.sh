#!/bin/sh
# Build the OpenTelemetry Collector that the end-to-end tests and benchmarks/otlp.py run against, once.
# The official builder makes it from tests/collector/manifest.yaml; the result is .cache/collector/collector.
# Needs Go and the Go module proxy. Prints the path; does nothing where manifest and program agree.
set -eu
cd "$(dirname "$0")/.."
manifest=tests/collector/manifest.yaml
cache=.cache/collector
program=$cache/collector

if [ -x "$program" ] && cmp -s "$manifest" "$cache/manifest.yaml"; then
    echo "$program"
    exit 0
fi
command -v go >/dev/null || { echo "collector.sh: Go is missing (1.21 or newer: it fetches what the Collector needs)" >&2; exit 1; }

# The builder has the version of the core modules it is to put together.
version=$(sed -n 's/^ *version: */v/p' "$manifest")
mkdir -p "$cache"
# One package at a time: linking and compiling in parallel takes gigabytes.
export GOFLAGS="${GOFLAGS:--p=1}" CGO_ENABLED=0 GOTOOLCHAIN=auto
GOBIN="$PWD/$cache" go install "go.opentelemetry.io/collector/cmd/builder@$version" >&2
"$cache/builder" --config="$manifest" >&2
mv "$cache/source/collector" "$program"
cp "$manifest" "$cache/manifest.yaml"
rm -rf "$cache/source" "$cache/builder"
echo "$program"
