"""The hypervisors' side of a whole fleet: physical hosts that VMs share, for ``vmguest-exporter simulate --fleet N``.

``mix`` which VMs there are · ``share`` how a host divides what it has · ``levels`` what that means to a VM over time ·
``estate`` the hosts, what happens to them, and the truth about who lost what to whom.
"""
