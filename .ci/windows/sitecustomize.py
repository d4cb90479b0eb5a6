"""Wine's own faults, kept from the tests: they are not Windows'.

WMI: this Wine aborts in propsys.dll when WMI answers, and on Windows WMI may hang. So the exporter never asks it, and
here whoever asks ends. pytest asks, so for its own runs WMI is absent (``WMI=absent``).
"""

import os
import sys
import types


def exec_query(query: str) -> str:
    os.write(2, f"WMI was asked: {query}\n".encode())
    os._exit(99)


wmi = types.ModuleType("_wmi")
wmi.exec_query = exec_query
sys.modules["_wmi"] = None if os.environ.get("WMI") == "absent" else wmi
