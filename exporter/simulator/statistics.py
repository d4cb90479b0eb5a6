"""The basic statistics of a simulated VM: what the physics give, and what a scenario sets."""

from __future__ import annotations

from collections.abc import Mapping

from exporter.catalogue import BY_ID, STATISTICS, BasicStatistic, Wire
from exporter.errors import ConfigError
from exporter.protocol.stats_v3 import MAX_STRING
from exporter.simulator.curves import Curve
from exporter.simulator.faults import near
from exporter.simulator.physics import BALLOON_MAX, Memory, Totals
from exporter.simulator.scenario import Machine

StatisticValues = dict[int, tuple[bool, int | bytes]]
"""By id: whether the host marks it as valid, and the value."""

_BIGGEST = {Wire.U32: 2**32 - 1, Wire.U64: 2**64 - 1}


def compute(
    machine: Machine, elapsed: int, totals: Totals, memory: Memory, *, host_used: int, host_info: bool
) -> StatisticValues:
    """All of the catalogue's, in its units. ``elapsed`` in ms; ``host_used``: ms that the host had used before."""
    cpu_shares, memory_shares = machine.shares
    path = machine.resource_pool_path.encode()
    physical = machine.host_memory
    overhead = 48 + machine.memory // 128
    used = (memory.mapped >> 10) - (memory.saved >> 10)
    kernel = physical // 64
    others = min(memory.others >> 10, physical - kernel - used - overhead)
    consumed = used + overhead + others
    mapped = min((memory.mapped >> 10) + overhead + others, physical)
    # Through microseconds, of which the extended statistics are made: both round alike.
    numbers: dict[int, int | bytes] = {
        1: machine.cpu_reservation,
        2: machine.cpu_limit,
        3: cpu_shares,
        4: int(totals.used * 1e6) // 1000,
        5: machine.host_mhz,
        6: machine.memory_reservation,
        7: machine.memory_limit,
        8: memory_shares,
        9: memory.mapped >> 10,
        10: memory.active >> 10,
        11: overhead,
        12: memory.ballooned >> 10,
        13: memory.swapped >> 10,
        14: memory.shared >> 10,
        15: memory.saved >> 10,
        16: used,
        17: elapsed,
        18: path,
        19: int(totals.stolen * 1e6) // 1000,
        20: memory.target >> 10,
        21: machine.host_cores,
        22: host_used + int(totals.host_used * 1e6) // 1000,
        23: (memory.swapped >> 10) + (others // 50 if memory.swapped else 0),
        24: (memory.shared >> 10) + others // 10,
        25: consumed,
        26: physical,
        27: physical - kernel - consumed,
        28: kernel,
        29: mapped,
        30: physical - mapped,
        31: memory.zipped >> 10,
        32: (memory.zipped >> 10) * 3 // 5,
        33: memory.host_cache >> 10,
        34: memory.swap_target >> 10,
        35: memory.balloon_target >> 10,
        36: machine.memory * BALLOON_MAX // 100,
        37: path,
        38: memory_shares,
    }
    return {
        row.id: _sendable(row, numbers[row.id], given=host_info or not row.host_info) for row in STATISTICS
    }


def given(curves: Mapping[int, Curve], time: float) -> StatisticValues:
    """The statistics that a scenario sets, at ``time`` (seconds)."""
    found: StatisticValues = {}
    for statistic, curve in curves.items():
        row, value = BY_ID[statistic], curve.at(time)
        if isinstance(value, str):
            found[statistic] = _sendable(row, value.encode(), given=True)
        else:
            found[statistic] = _sendable(row, int(value), given=value is not False)
    return found


def _sendable(row: BasicStatistic, value: int | bytes, *, given: bool) -> tuple[bool, int | bytes]:
    """As it stands on the wire; what is too big for an older, narrower statistic is not valid there."""
    empty: int | bytes = 0 if row.wire in _BIGGEST else b""
    fits = (
        value <= _BIGGEST[row.wire]
        if isinstance(value, int) and row.wire in _BIGGEST
        else row.wire is not Wire.STRING or (isinstance(value, bytes) and len(value) <= MAX_STRING)
    )
    return (True, value) if given and fits else (False, empty)


def named(statistic: str | int) -> tuple[BasicStatistic, ...]:
    """The rows that a catalogue key or an id (also as text) names: a key may have two, the later the wider.

    Raises:
        ConfigError: none; with the nearest keys.
    """
    rows = tuple(row for row in STATISTICS if str(statistic) in (row.key, str(row.id)))
    if not rows:
        keys = dict.fromkeys(row.key for row in STATISTICS)
        raise ConfigError(
            f"{statistic}: no such statistic; {near(str(statistic), keys)} (or an id, 1 to {len(STATISTICS)})"
        )
    return rows


def set_curves(statistic: str | int, curve: Curve) -> dict[int, Curve]:
    """``curve`` by the ids that ``statistic`` names.

    Raises:
        ConfigError: no such statistic, or a value that it can't have.
    """
    rows = named(statistic)
    row = rows[-1]
    for _, value in curve.points:
        if value is False:
            continue
        if row.wire in _BIGGEST:
            most = _BIGGEST[row.wire]
            if isinstance(value, str | bool) or not 0 <= value <= most:
                raise ConfigError(
                    f"{statistic} = {value!r}: expected a number from 0 to {most}, or false for not valid"
                )
        elif not isinstance(value, str):
            raise ConfigError(f"{statistic} = {value!r}: expected a text, or false for not valid")
    return {row.id: curve for row in rows}
