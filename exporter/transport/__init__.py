"""Byte streams to the hypervisor. The only modules of the package that open sockets to it."""
