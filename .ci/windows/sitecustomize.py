"""Wine's own faults, kept from the tests: they are not Windows'."""

import sys

# Wine 8 aborts the process in propsys.dll when WMI answers. None: the import fails, and Python asks elsewhere.
sys.modules["_wmi"] = None
