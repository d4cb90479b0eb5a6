"""The push: what /metrics shows, sent to an OTLP receiver.

``settings`` says what to do, ``capture`` takes readings, ``queue`` keeps them, ``points`` spells them in the
SDK's data classes, ``client`` hands them to the SDK's exporter, ``push`` runs the two threads. The SDK is
imported by ``points`` and the clients alone, and those only once a push starts.
"""
