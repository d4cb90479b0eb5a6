"""vmguest-exporter: what the hypervisor does to this VMware guest, read from inside."""

__version__ = "0.1.0"
