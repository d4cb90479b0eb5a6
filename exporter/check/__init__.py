"""``vmguest-exporter check``: the answers of the insight, and what a VM was promised, as a monitoring plugin gives them."""
