"""What this machine is: its hypervisor, its own view of itself, its init system, its signals."""
