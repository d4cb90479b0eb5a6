"""``vmguest-exporter report``: the ticket for the people who run vSphere, as one file."""
