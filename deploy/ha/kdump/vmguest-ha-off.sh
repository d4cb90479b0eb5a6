#!/bin/sh
# /var/crash/vmguest-ha-off.sh
# RHEL, Rocky and SLES: runs in the crash kernel before the dump is written, where neither Python nor the exporter is. It
# sends the same command through VMware's own program over the backdoor, which needs no driver. In /etc/kdump.conf:
#
#     kdump_pre /var/crash/vmguest-ha-off.sh
#     extra_bins /usr/bin/vmware-rpctool
#
# then: chmod +x /var/crash/vmguest-ha-off.sh; kdumpctl restart
#
# SLES reads /etc/sysconfig/kdump instead:
#
#     KDUMP_PRESCRIPT="/var/crash/vmguest-ha-off.sh"
#     KDUMP_REQUIRED_PROGRAMS="/usr/bin/vmware-rpctool"
#
# then: chmod +x /var/crash/vmguest-ha-off.sh; systemctl restart kdump
#
# Any exit status but 0 would stop the dump, and a dump without this is better than none.
vmware-rpctool 'GuestAppMonitor.Cmd.Disable' || echo "vmguest-ha-off: monitoring could not be switched off" >&2
exit 0
