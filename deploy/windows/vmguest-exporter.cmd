@rem vmguest-exporter with the Python beside it: vmguest-exporter doctor, vmguest-exporter --help
@"%~dp0python\python.exe" -m exporter %*
