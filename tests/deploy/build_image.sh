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
# The release and the mirror of this machine.
release=$(. /etc/os-release && echo "$VERSION_CODENAME")
for sources in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list /etc/apt/sources.list.d/*.sources; do
  if [ -s "$sources" ]; then break; fi
done
[ -f base.tar ] || mmdebstrap --quiet --variant=minbase --include=ca-certificates "$release" base.tar "$sources"
base=$(b from scratch)
b add --quiet "$base" base.tar / >/dev/null
b commit --quiet --rm "$base" localhost/standin:base >/dev/null

# pip inside has to find packages where this machine does, and to trust what it trusts.
if [ -n "${PIP_INDEX_URL:-}" ]; then
  printf '[global]\nindex-url = %s\n' "$PIP_INDEX_URL" >pip.conf
elif [ -f /etc/pip.conf ]; then
  cp /etc/pip.conf pip.conf
else
  : >pip.conf
fi
b bud --isolation chroot --pull-never --format docker \
  --volume /etc/ssl/certs:/etc/ssl/certs:ro --volume "$folder/pip.conf:/etc/pip.conf:ro" \
  --build-arg BASE=localhost/standin:base --tag localhost/vmguest-exporter:test "$source"

run=$(b from --pull-never localhost/vmguest-exporter:test)
inside() { b run --isolation chroot "$run" -- "$@"; }
python=/opt/vmguest-exporter/bin/python
exporter=/opt/vmguest-exporter/bin/vmguest-exporter
test "$(inside id -u)" = 65532
inside $exporter --version
# VMware's library with all that it needs, for the way through the backdoor. This machine may be no guest: status 1.
inside $exporter doctor --source=library >doctor.txt 2>&1 || true
cat doctor.txt
grep -q '^ok *library-symbols ' doctor.txt
grep -q '^ok *library-dependencies .*libtirpc' doctor.txt
# Serve and ask its own health check, in one process group that ends by itself. A chroot has no first process of its own: its
# flags come from a file of the same form.
b inspect --format '{{index .Docker.Config.Healthcheck.Test 2}}' "$run" | grep -q '^/opt/vmguest-exporter/health.py$'
inside timeout --preserve-status 8 $exporter --source=simulated --web.listen-address=127.0.0.1:10053 &
sleep 4
printf 'tini\0--\0vmguest-exporter\0--source=simulated\0--web.listen-address=127.0.0.1:10053\0' >"$folder/cmdline"
b copy --quiet "$run" "$folder/cmdline" /cmdline >/dev/null
inside $python /opt/vmguest-exporter/health.py /cmdline
echo "health check: good"
wait
b rm "$run" >/dev/null
b images --format '{{.Name}} {{.Size}}'
