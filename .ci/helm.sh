#!/bin/sh
# Build helm, by which the tests render the chart, once: .cache/helm/helm. Debian has no package of it.
# Needs Go and the Go module proxy. Prints the path; does nothing where this version is there.
set -eu
cd "$(dirname "$0")/.."
version=v3.16.4
cache=.cache/helm
program=$cache/helm

if [ -x "$program" ] && [ "$(cat "$cache/version" 2>/dev/null)" = "$version" ]; then
    echo "$program"
    exit 0
fi
command -v go >/dev/null || { echo "helm.sh: Go is missing (1.21 or newer: it fetches what helm needs)" >&2; exit 1; }

mkdir -p "$cache"
export CGO_ENABLED=0 GOTOOLCHAIN=auto
GOBIN="$PWD/$cache" go install "helm.sh/helm/v3/cmd/helm@$version" >&2
echo "$version" >"$cache/version"
echo "$program"
