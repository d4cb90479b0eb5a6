"""Runs a command under a container's seccomp profile: ``seccomp_run.py PROFILE COMMAND…``.

What a container runtime does with the file, by libseccomp (seccomp.h) alone: names that this architecture or this
library does not know are skipped, as runc does.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from pathlib import Path

ALLOW = 0x7FFF0000
ERRNO = 0x00050000
NOT_KNOWN = -1
COMPARE = {"SCMP_CMP_EQ": 4, "SCMP_CMP_MASKED_EQ": 7}


class Argument(ctypes.Structure):
    """``struct scmp_arg_cmp``."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


def main() -> None:
    profile = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.POINTER(Argument),
    ]
    context = library.seccomp_init(ERRNO | profile["defaultErrnoRet"])
    for rule in profile["syscalls"]:
        action = ALLOW if rule["action"] == "SCMP_ACT_ALLOW" else ERRNO | rule["errnoRet"]
        compared = [
            Argument(each["index"], COMPARE[each["op"]], each["value"], each.get("valueTwo", 0))
            for each in rule.get("args", ())
        ]
        for name in rule["names"]:
            number = library.seccomp_syscall_resolve_name(name.encode())
            if number == NOT_KNOWN:
                continue
            array = (Argument * len(compared))(*compared)
            # -EDOM and the like: a name of another architecture.
            library.seccomp_rule_add_array(context, action, number, len(compared), array)
    if failed := library.seccomp_load(ctypes.c_void_p(context)):
        raise SystemExit(f"seccomp_load: {os.strerror(-failed)}")
    os.execv(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
