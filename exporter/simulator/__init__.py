"""The hypervisor's side of GuestRPC, without a hypervisor: for tests and demonstrations.

``scenario`` what may happen · ``scenarios`` the built-in ones · ``scenario_file`` those of users, and how to find
either · ``physics`` what follows from it · ``host`` one VM on one host · ``stat_get`` and ``ha`` its other two
services · ``faults`` how a host fails · ``server`` the protocol over a stream.
"""
