"""One conversation with the host, by either road."""
