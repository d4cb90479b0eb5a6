"""How pages are served: the web server, its TLS and passwords, and which page a client gets."""
