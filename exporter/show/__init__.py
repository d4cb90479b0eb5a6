"""``vmguest-exporter show``: one reading, for people or for programs."""
