"""VMware's own command, ``vmware-toolbox-cmd stat``, prints what the host says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from exporter.protocol import rpci, stats_v3

pytestmark = pytest.mark.real

Stat = Callable[..., str]

IDS = {"balloon": 12, "swap": 13, "memlimit": 7, "memres": 6, "cpures": 1, "cpulimit": 2}
UNITS = {"cpures": "MHz", "cpulimit": "MHz"}


@pytest.mark.parametrize("number", [0, 1234, 2**32 - 1])
@pytest.mark.parametrize("name", IDS)
def test_a_statistic(host: Any, sources: Any, toolbox: Stat, name: str, number: int) -> None:
    values: dict[int, tuple[bool, int | bytes]] = dict.fromkeys(IDS.values(), (True, 77))
    host.answer = lambda _: rpci.reply(stats_v3.encode(5, {**values, IDS[name]: (True, number)}))
    assert toolbox(sources, name) == f"{number} {UNITS.get(name, 'MB')}\n"


def test_the_session(host: Any, sources: Any, toolbox: Stat) -> None:
    host.answer = lambda _: rpci.reply(stats_v3.encode(0xFEDCBA9876543210, {}))
    assert toolbox(sources, "sessionid") == "0xfedcba9876543210\n"


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        ((), b"guestlib.stat.get   "),
        (("json", "resources"), b"guestlib.stat.get json resources "),
        (("text", "vscsi", "scsi0:0"), b"guestlib.stat.get text vscsi scsi0:0"),
    ],
)
def test_raw(host: Any, sources: Any, toolbox: Stat, arguments: tuple[str, ...], command: bytes) -> None:
    host.answer = lambda _: rpci.reply(b"what the host holds")
    assert toolbox(sources, "raw", *arguments).strip() == "what the host holds"
    assert host.commands == [command]
