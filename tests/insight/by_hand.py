"""A host of which each value, and both clocks, are set by hand, before the real parts of an exporter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from exporter.errors import RpcError
from exporter.insight.observer import Insight, Observer
from exporter.insight.vitals import Vitals, vitals_of
from exporter.metrics.published import Published
from exporter.outputs.page.charts import hour
from exporter.poller import Poller
from exporter.session.rounds import ExtendedReader
from exporter.snapshot import Guest, Snapshot, SourceInfo

WAITS, SWAPS = "vm.cpu.contention.mem", "guest.mem.swapIn"


class ByHand:
    """Source and clocks. One vCPU; a poll every 5 s, a round every 10 s."""

    info = SourceInfo("guestrpc", "memory", "3")
    restarts = None

    def __init__(self) -> None:
        self.now = 1000.0
        self.session_id = 7
        self.values: dict[str, int] = {}
        self.resources: dict[str, int] = {}
        self.vcpus = 1
        self.observer = Observer(
            lambda: Guest(vcpus=self.vcpus, memory_bytes=2**30), vcpus=lambda: self.vcpus
        )
        self.poller = Poller(
            self,
            5.0,
            clock=lambda: self.now,
            wall=self.wall,
            extended=ExtendedReader(10.0, clock=lambda: self.now, wall=self.wall),
            on_state=self.observer.polled,
        )
        self.published = Published(
            lambda: self.poller.state, insight=self.insight, wall=self.wall, monotonic=lambda: self.now
        )

    def wall(self) -> float:
        return 1.75e9 + self.now

    def read(self) -> Snapshot:
        rest = {"cpu_limit": 2**32 - 1, "host_cpu_frequency": 2600}
        return Snapshot(self.session_id, 3, rest | self.values)

    def stat(self, encoding: str, name: str, _timeout: float | None = None) -> bytes:
        if (encoding, name) == ("text", ""):
            return b"resources\n"
        if name != "resources" or encoding != "xml":
            raise RpcError("no")
        units = {WAITS: "us", SWAPS: "KB"}
        rows = "".join(
            f'<metric name="{key}" type="accumulate" units="{units[key]}">{value}</metric>'
            for key, value in self.resources.items()
        )
        return f'<metrics session="{self.session_id}">{rows}</metrics>'.encode()

    def close(self) -> None:
        pass

    def insight(self) -> Insight:
        return self.observer.insight

    def polls(self, count: int) -> Iterator[int]:
        """One after another; what the body of the loop sets is polled before the next."""
        for poll in range(count):
            self.now += 5.0
            yield poll
            self.poller.poll()
            self.poller.poll_extended(self.now + 5.0)

    @property
    def vitals(self) -> Vitals:
        return vitals_of(self.poller.state, self.insight(), self.now)

    def chart(self, key: str) -> list[float | None]:
        drawn = hour(self.poller.state, self.insight(), self.vitals, self.now)
        found: Any = next(each["values"] for each in drawn["charts"] if each["key"] == key)
        return [*found]
