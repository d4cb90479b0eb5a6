"""The hypervisor's side of GuestRPC, without a hypervisor: for tests, demonstrations and rehearsals.

``scenario`` what may happen · ``scenarios`` the built-in ones · ``scenario_file`` those of users · ``physics``
what follows from it · ``host`` one VM on one host · ``extended`` and ``ha`` its other two services · ``faults``
how a host fails · ``server`` the protocol over a stream · ``command`` all that on a command line.
"""
