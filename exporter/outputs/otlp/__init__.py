"""The push: what /metrics shows, sent to an OTLP receiver.

``settings`` says what to do, ``reader`` collects batches, ``queue`` keeps them, ``points`` converts them to the
SDK's data classes, a client (``http_client``, ``grpc_client``) encodes and sends them, ``push`` runs the two
threads. OpenTelemetry is imported by ``points`` and the clients alone, and those only once a push starts.
"""
