#!/bin/sh
# Runs the Dockerfile's steps where no container engine is at hand: the base is a Debian root made by mmdebstrap, the
# engine is buildah in a chroot. Needs root, a few minutes and about 2 GB below $1, which is left behind.
#   build_image.sh FOLDER    builds localhost/vmguest-exporter:test in FOLDER and runs it on the simulated host
set -eu
folder=$(realpath "$1")
source=$(realpath "$(dirname "$0")/../..")
mkdir -p "$folder"
# buildah's storage must not mix with anybody's.
b() { STORAGE_DRIVER=vfs buildah --root "$folder/storage" --runroot "$folder/run" "$@"; }

cd "$folder"
if [ ! -f base.tar ]; then
  mmdebstrap --quiet --variant=minbase --include=ca-certificates bookworm base.tar /etc/apt/sources.list.d/debian.sources
fi
base=$(b from scratch)
b add --quiet "$base" base.tar / >/dev/null
b commit --quiet --rm "$base" localhost/standin:bookworm >/dev/null

# pip inside has to trust what this machine trusts.
mounts="--volume /etc/ssl/certs:/etc/ssl/certs:ro"
if [ -f /etc/pip.conf ]; then mounts="$mounts --volume /etc/pip.conf:/etc/pip.conf:ro"; fi
# shellcheck disable=SC2086  # several words
b bud --isolation chroot --pull-never --format docker $mounts \
  --build-arg BASE=localhost/standin:bookworm --tag localhost/vmguest-exporter:test "$source"

run=$(b from --pull-never localhost/vmguest-exporter:test)
inside() { b run --isolation chroot "$run" -- "$@"; }
python=/opt/vmguest-exporter/bin/python
test "$(inside id -u)" = 65532
inside $python -c 'import ctypes; ctypes.CDLL("libguestlib.so.0")'
inside /opt/vmguest-exporter/bin/vmguest-exporter --version
# Serve and ask its own health check, in one process group that ends by itself.
inside timeout --preserve-status 8 /opt/vmguest-exporter/bin/vmguest-exporter --source=simulated \
  --web.listen-address=127.0.0.1:10052 &
sleep 4
b inspect --format '{{index .Docker.Config.Healthcheck.Test 3}}' "$run" > health.py
inside $python -c "$(cat health.py)"
echo "health check: good"
wait
b rm "$run" >/dev/null
b images --format '{{.Name}} {{.Size}}'
