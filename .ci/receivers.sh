#!/bin/sh
# Build the receivers that tests/receivers/ pushes to, once: Prometheus 3 with its promtool, and VictoriaMetrics with
# the programs around it that tests/fleet/ and benchmarks/fleet.py run: vmagent, vmalert, vmauth.
# Debian's Prometheus has no OTLP receiver and knows no created timestamps, so these have names of their own:
# .cache/receivers/prometheus3, promtool3, victoria-metrics, … Needs Go and the Go module proxy; some six minutes of
# CPU. Prints the folder; does nothing where these versions are there.
set -eu
cd "$(dirname "$0")/.."
prometheus=github.com/prometheus/prometheus/cmd
prometheus_version=v0.316.0 # Prometheus 3.16
victoriametrics=github.com/VictoriaMetrics/VictoriaMetrics/app
victoriametrics_version=v1.148.9
cache=.cache/receivers
around="vmagent vmalert vmauth"
versions="$prometheus_version $victoriametrics_version $around"

if [ "$(cat "$cache/versions" 2>/dev/null)" = "$versions" ]; then
    echo "$cache"
    exit 0
fi
command -v go >/dev/null || { echo "receivers.sh: Go is missing (1.21 or newer: it fetches what they need)" >&2; exit 1; }

mkdir -p "$cache"
# One package at a time: linking and compiling in parallel takes gigabytes.
export GOFLAGS="${GOFLAGS:-} -p=1" CGO_ENABLED=0 GOTOOLCHAIN=auto GOBIN="$PWD/$cache"
# Without service discovery, which is most of its modules, and without the pages, which are not in the module.
nice go install -tags remove_all_sd "$prometheus/prometheus@$prometheus_version" "$prometheus/promtool@$prometheus_version" >&2
mv "$cache/prometheus" "$cache/prometheus3"
mv "$cache/promtool" "$cache/promtool3"
for program in victoria-metrics $around; do
    nice go install "$victoriametrics/$program@$victoriametrics_version" >&2
done
echo "$versions" >"$cache/versions"
echo "$cache"
