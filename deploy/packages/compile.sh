# Byte code for the Python that will run the program: it may not write there itself, and a start takes four times as long.
for python in python3 python3.14 python3.13 python3.12 python3.11; do
    if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        "$python" -I -m compileall -q /usr/lib/vmguest-exporter || true
        break
    fi
done
