"""GuestRPC as pure functions and state: bytes in, values out.

Nothing here sees a socket, a clock, a thread or a log. A decoder returns a value, asks for more bytes by
returning None, or raises :class:`exporter.errors.RemoteProtocolError`; anything else raised is a bug.
"""
