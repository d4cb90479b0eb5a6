#!/bin/bash
# The life of the .deb on a clean Debian: install, start by the unit's own command line on the simulated host, scrape,
# upgrade with settings kept, purge. Needs root and mmdebstrap; the root that it makes goes away again.
#   install_deb.sh FILE.deb SUITE
set -euo pipefail
deb=$(realpath "$1") suite=$2
folder=$(mktemp -d) root=$folder/root
server=""
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
fail() { echo "install_deb.sh: $*" >&2; exit 1; }
inside() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 chroot "$root" "$@"; }

# The mirror of this machine, whatever its own release is.
mirror=$(grep -rhoE '^[^#]*https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null |
    grep -oE 'https?://[^ ]+' | head -n 1 || true)
mmdebstrap --quiet --variant=apt --include=python3,systemd-standalone-sysusers "$suite" "$root" ${mirror:+"$mirror"}
before=$(cd "$root" && find etc usr var -xdev ! -path 'var/lib/dpkg/*' ! -path 'var/cache/*' ! -path 'var/lib/apt/*' ! -path 'var/log/*' | sort)

install() { # as apt would, dependencies looked at
    cp "$1" "$root/tmp/package.deb"
    inside apt-get -qq install --no-install-recommends --yes /tmp/package.deb >"$folder/log" 2>&1 ||
        { cat "$folder/log"; fail "apt-get install failed"; }
}

shows() { # URL PATTERN
    curl -s "$1" >"$folder/page" && grep -qi "$2" "$folder/page"
}

scrape() { # by the unit's own command line, with the settings file that the unit names
    local command settings url
    command=$(sed -n 's/^ExecStart=//p' "$root"/{usr/,}lib/systemd/system/vmguest-exporter.service 2>/dev/null | head -n 1)
    settings=$(sed -n 's/^EnvironmentFile=-//p' "$root"/{usr/,}lib/systemd/system/vmguest-exporter.service 2>/dev/null | head -n 1)
    : >"$folder/serve"
    # Not by a function: the process must be the exporter itself, which is to be stopped.
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot --userspec=65534:65534 "$root" \
        /bin/sh -c "set -a; . $settings; exec $command" 2>"$folder/serve" &
    server=$!
    for _ in $(seq 300); do
        url=$(sed -n 's/.*listening on \(http[^ "]*\)[ "].*/\1/p' "$folder/serve")
        [ -z "$url" ] || break
        sleep 0.1
    done
    [ -n "$url" ] || { cat "$folder/serve"; fail "it does not listen"; }
    for _ in $(seq 100); do
        if shows "$url" '^vmguest_numa_memory_bytes'; then break; fi
        sleep 0.1
    done
    shows "$url" '^vmguest_cpu_used_seconds_total' || fail "no statistics at $url"
    shows "${url%metrics}" '<!doctype html>' || fail "no page at /"
    kill "$server"
    wait "$server" || fail "it did not end in order"
    server=""
}

install "$deb"
inside vmguest-exporter --version
[ "$(inside sh -c 'cd / && find /usr/lib/vmguest-exporter -path "*/commands/__pycache__/cli.*" | wc -l')" = 1 ] || fail "no byte code"
printf 'VMGUEST_SOURCE=simulated\nVMGUEST_WEB_LISTEN_ADDRESS=127.0.0.1:0\n' >>"$root/etc/default/vmguest-exporter"
scrape
echo "$suite: installed, started and scraped"

# The next build: the same but for its version.
dpkg-deb --raw-extract "$deb" "$folder/next"
sed -i 's/^Version: .*/&+next/' "$folder/next/DEBIAN/control"
dpkg-deb --root-owner-group --build "$folder/next" "$folder/next.deb" >/dev/null
install "$folder/next.deb"
inside dpkg-query --showformat='${Version}\n' --show vmguest-exporter | grep -q '+next$' || fail "not upgraded"
grep -q '^VMGUEST_SOURCE=simulated$' "$root/etc/default/vmguest-exporter" || fail "settings are lost"
scrape
echo "$suite: upgraded with its settings, started and scraped"

inside dpkg --purge vmguest-exporter >/dev/null
rm -f "$root/tmp/package.deb"
after=$(cd "$root" && find etc usr var -xdev ! -path 'var/lib/dpkg/*' ! -path 'var/cache/*' ! -path 'var/lib/apt/*' ! -path 'var/log/*' | sort)
left=$(comm -13 <(echo "$before") <(echo "$after") | grep -vE '^etc/(\.pwd\.lock|(group|gshadow|passwd|shadow)-?)$' || true)
[ -z "$left" ] || fail "left behind: $left"
grep -q '^vmguest-exporter:' "$root/etc/group" || fail "the group was never made"
echo "$suite: purged, nothing left but user and group"
