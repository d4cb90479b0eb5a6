"""One conversation with the host, whatever the source."""
