"""``vmguest-exporter simulate --fleet N``: the exporters of a whole simulated fleet, in one process and three threads.

``vm`` one VM's exporter, of the real parts · ``fleet`` who is polled when · ``site`` what is served · ``push`` OTLP for a
share of them · ``start`` the settings. The hosts are :mod:`exporter.simulator.fleet`.
"""
