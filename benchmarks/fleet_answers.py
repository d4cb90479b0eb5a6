"""What an engine's answers are held against: pages that were handed over, and the truth of who was robbed."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import yaml

from benchmarks.fleet_site import RULES, Store, get
from benchmarks.host import ROOT

INTERVAL = 15
"""Seconds between two scrapes, as deploy/fleet has it."""
BOARD = ROOT / "dashboards" / "vmguest-fleet.json"
WINDOW = 300
"""Seconds over which the rules take rates."""
MARGIN = 0.3
"""A VM this near to a threshold may be on the list or not."""
CPU_LOST, BALLOONED = 0.05, 256
"""Thresholds of the lists: a share of each vCPU's time, and MiB."""
SHIFT = 30
"""Seconds by which the last evaluation of a rule may be behind: the truth is taken twice, so far apart."""


class Loss(NamedTuple):
    """Pages of all VMs together."""

    handed_over: int
    given_up: int
    """Of those: scrapes that the agent itself calls failed (``up`` is 0) though the VM ran: it waited too long."""
    stored: int
    lost: int
    """Of those handed over and not given up: VM by VM, so that one's surplus hides no other's loss."""
    missed: int
    """Scrapes that nobody made, between the first and the last of each VM."""


def loss(
    handed_over: Mapping[str, int],
    stored: Mapping[str, float],
    given_up: Mapping[str, float],
    gaps: Mapping[str, int],
) -> Loss:
    """``gaps``: VM -> scrapes of which the store knows nothing, be they lost or never made."""
    kept = {name: int(stored.get(name, 0)) for name in handed_over}
    late = {name: int(given_up.get(name, 0)) for name in handed_over}
    lost = {name: max(count - kept[name] - late[name], 0) for name, count in handed_over.items()}
    missed = sum(max(gaps.get(name, 0) - count, 0) for name, count in lost.items())
    return Loss(sum(handed_over.values()), sum(late.values()), sum(kept.values()), sum(lost.values()), missed)


def gaps(times: Mapping[str, Sequence[float]], interval: float) -> dict[str, int]:
    """VM -> how many samples are missing between its first and its last."""
    return {
        name: sum(max(round((after - before) / interval) - 1, 0) for before, after in pairwise(each))
        for name, each in times.items()
    }


def stored_pages(store: Store, at: float, seconds: float) -> dict[str, float]:
    """VM -> samples of a series that every page has once, of the time before ``at``."""
    return store.by_vm(f'count_over_time(vmguest_up{{job="vmguest"}}[{int(seconds)}s])', at)


def failed_scrapes(store: Store, at: float, seconds: float, truth: dict[str, Any]) -> dict[str, float]:
    """VM -> scrapes that failed, of VMs that were never off."""
    up = f'up{{job="vmguest"}}[{int(seconds)}s]'
    found = store.by_vm(f"count_over_time({up}) - sum_over_time({up})", at)
    return {name: count for name, count in found.items() if truth["vms"][name]["boots"] == 1}


@dataclass(frozen=True)
class Verdict:
    """A list with a threshold, held against the truth."""

    name: str
    robbed: int
    """VMs that the truth has clearly above the threshold."""
    found: int
    """Those of them that are on the list."""
    spared: int
    """VMs that the truth has clearly below."""
    accused: int
    """Those of them that are on the list."""
    near: int
    """Too near to the threshold to tell."""
    apart: int
    """Not looked at: they moved, were off or were not scraped within the window, so that no rate can tell."""
    names: tuple[str, ...] = ()
    """Those that are not where they should be."""

    @property
    def right(self) -> bool:
        return self.found == self.robbed and not self.accused


Range = tuple[float, float]
"""A share by the first truth and by the second, the smaller one first."""


def held(name: str, shares: Mapping[str, Range], listed: set[str], threshold: float, apart: int) -> Verdict:
    """Clearly above or below is who is so by both truths."""
    above = {vm for vm, (least, _) in shares.items() if least > threshold * (1 + MARGIN)}
    below = {vm for vm, (_, most) in shares.items() if most < threshold * (1 - MARGIN)}
    near = len(shares) - len(above) - len(below)
    wrong = (*sorted(above - listed), *sorted(below & listed))
    return Verdict(name, len(above), len(above & listed), len(below), len(below & listed), near, apart, wrong)


class Lost(NamedTuple):
    """Of a VM's CPU time in a window, per vCPU."""

    vms: float
    limit: float
    both: float
    """Beyond its limit, while others had some of what the limit allows."""


def lost(before: dict[str, Any], after: dict[str, Any]) -> Lost:
    first, second = before["cpu"], after["cpu"]
    growth = (
        sum(second["lost_to_vms"].values()) - sum(first["lost_to_vms"].values()),
        second["lost_to_limit"] - first["lost_to_limit"],
        second["lost_to_both"] - first["lost_to_both"],
    )
    time = (second["seconds"] - first["seconds"]) * after["vcpus"]
    return Lost(*(each / time for each in growth))


def between(numbers: Iterable[float]) -> Range:
    found = sorted(numbers)
    return found[0], found[-1]


def verdicts(store: Store, truths: Sequence[dict[str, Any]], at: float) -> list[Verdict]:
    """The fleet's lists at ``at``, held against what was lost in two windows.

    ``truths``: of the beginnings of both windows, and of their ends. A guest that has a limit and gets less than it
    can't tell the limit from the host, and says *undetermined*: such VMs have to be on one of two lists.
    """
    vms = [truth["vms"] for truth in truths]
    scraped = store.by_vm(f'count_over_time(up{{job="vmguest"}}[{WINDOW}s])', at)
    failed = store.by_vm(f'min_over_time(up{{job="vmguest"}}[{WINDOW}s]) == 0', at)

    def stayed(name: str) -> bool:
        """Where it was, and with all of its scrapes."""
        same = all(
            each[name][key] == vms[0][name][key] for each in vms for key in ("boots", "session_changes")
        )
        whole = scraped.get(name, 0) >= WINDOW / INTERVAL - 1 and name not in failed
        return bool(same and whole and all(each[name]["host"] for each in vms))

    still = [name for name in vms[-1] if stayed(name)]
    apart = len(vms[-1]) - len(still)
    shares = {
        name: [lost(before[name], after[name]) for before, after in zip(vms[:2], vms[2:], strict=True)]
        for name in still
    }
    limited = {name for name in still if vms[-1][name]["cpu"]["limited"]}
    torn = {name for name in limited if any(each.vms or each.both for each in shares[name])}

    def listed(*causes: str) -> set[str]:
        return set(store.by_vm(f'vmguest:cpu_lost:ratio{{cause=~"{"|".join(causes)}"}} > {CPU_LOST}', at))

    megabytes = {name: between(each[name]["memory"]["balloon"] for each in vms[2:]) for name in still}
    ballooned = set(store.by_vm(f"vmguest_memory_ballooned_bytes > {BALLOONED} * 1048576", at))
    return [
        held(
            "robbed of CPU by other VMs: `host`",
            {name: between(each.vms for each in shares[name]) for name in still if name not in limited},
            listed("host"), CPU_LOST, apart,
        ),
        held(
            "held back by their CPU limit alone: `limit`",
            {name: between(each.limit for each in shares[name]) for name in still if name not in torn},
            listed("limit"), CPU_LOST, apart,
        ),
        held(
            "held back by a limit, with or without others: `limit` or `undetermined`",
            {
                name: between(sum(each) if name in limited else 0.0 for each in shares[name])
                for name in still
            },
            listed("limit", "undetermined"), CPU_LOST, apart,
        ),
        held("more than 256 MiB ballooned", megabytes, ballooned, BALLOONED, apart),
    ]  # fmt: skip


class Asked(NamedTuple):
    """``time`` in seconds, the median; ``samples`` that were read for it."""

    what: str
    expression: str
    over_time: bool
    time: float
    samples: int
    results: int


def questions() -> list[tuple[str, str, bool]]:
    """Every query of the fleet board and every expression of the rules: name, expression, whether over time."""
    found: list[tuple[str, str, bool]] = []
    for panel in json.loads(BOARD.read_text())["panels"]:
        for place, target in enumerate(panel.get("targets", ()), 1):
            text = target["expr"]
            for variable, value in {
                "$__rate_interval": "1m", "$__range": "10m", "$cluster": ".*", "$job": ".*", "$instance": ".+",
            }.items():  # fmt: skip
                text = text.replace(variable, value)
            found.append((f"{panel['title']} ({place})", text, panel["type"] == "timeseries"))
    for name in ("vmguest.yml", "vmguest-insight.yml"):
        found += [
            (f"rule {rule}", expression, False) for rule, expression in rules((RULES / name).read_text())
        ]
    return found


def rules(text: str) -> list[tuple[str, str]]:
    """Name and expression of each rule."""
    return [
        (rule.get("record") or rule["alert"], re.sub(r"\s+", " ", rule["expr"]).strip())
        for group in yaml.safe_load(text)["groups"]
        for rule in group["rules"]
    ]


def building() -> set[str]:
    """Rules that build on what others record of every VM."""
    texts = [(RULES / name).read_text() for name in ("vmguest.yml", "vmguest-insight.yml")]
    recorded = {
        rule["record"]
        for text in texts
        for group in yaml.safe_load(text)["groups"]
        if group["name"].endswith(".recording")
        for rule in group["rules"]
    }
    return {
        name
        for text in texts
        for name, expression in rules(text)
        if recorded & set(re.findall(r"\bvmguest:\w+:\w+", expression))
    }


def ask(store: Store, name: str, expression: str, *, over_time: bool, at: float, span: float) -> Asked:
    """Three times for the time; once more for the samples, by the store's own trace."""
    parameters = {"query": expression, "nocache": "1"}
    if over_time:
        path = "query_range"
        parameters |= {"start": f"{at - span:.3f}", "end": f"{at:.3f}", "step": "15"}
    else:
        path = "query"
        parameters["time"] = f"{at:.3f}"
    times, result = [], []
    for _ in range(3):
        begun = time.perf_counter()
        result = json.loads(get(f"{store.url}/api/v1/{path}", parameters))["data"]["result"]
        times.append(time.perf_counter() - begun)
    trace = get(f"{store.url}/api/v1/{path}", parameters | {"trace": "1"}).decode()
    samples = sum(map(int, re.findall(r"samplesScanned=(\d+)", trace)))
    return Asked(name, expression, over_time, sorted(times)[1], samples, len(result))
