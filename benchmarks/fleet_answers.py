"""What an engine's answers are held against: pages that were handed over, and the truth of who was robbed."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import yaml

from benchmarks.fleet_site import RULES, Store, get
from benchmarks.host import ROOT

BOARD = ROOT / "dashboards" / "vmguest-fleet.json"
WINDOW = 300
"""Seconds over which the rules take rates."""
MARGIN = 0.3
"""A VM this near to a threshold may be on the list or not: rule and truth look at windows that differ by a scrape."""


class Loss(NamedTuple):
    """Pages of all VMs together."""

    handed_over: int
    stored: int
    given_up: int
    """Scrapes that the agent itself calls failed (``up`` is 0) though the VM ran: it waited too long."""
    lost: int
    """Of those handed over and not given up: VM by VM, so that one's surplus hides no other's loss."""


def loss(handed_over: Mapping[str, int], stored: Mapping[str, float], given_up: Mapping[str, float]) -> Loss:
    kept = {name: int(stored.get(name, 0)) for name in handed_over}
    late = {name: int(given_up.get(name, 0)) for name in handed_over}
    lost = sum(max(count - kept[name] - late[name], 0) for name, count in handed_over.items())
    return Loss(sum(handed_over.values()), sum(kept.values()), sum(late.values()), lost)


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
    moved: int
    """Not looked at: they moved or were off within the window, so that their counters began anew."""

    @property
    def right(self) -> bool:
        return self.found == self.robbed and not self.accused


def held(name: str, shares: Mapping[str, float], listed: set[str], threshold: float, moved: int) -> Verdict:
    above = {vm for vm, share in shares.items() if share > threshold * (1 + MARGIN)}
    below = {vm for vm, share in shares.items() if share < threshold * (1 - MARGIN)}
    near = len(shares) - len(above) - len(below)
    return Verdict(name, len(above), len(above & listed), len(below), len(below & listed), near, moved)


def verdicts(store: Store, before: dict[str, Any], after: dict[str, Any], at: float) -> list[Verdict]:
    """The fleet's lists at ``at``, against two truths that lie a window apart."""

    def stayed(name: str) -> bool:
        first, second = before["vms"][name], after["vms"][name]
        same = all(first[key] == second[key] for key in ("boots", "session_changes", "host"))
        return bool(same and second["host"])

    still = [name for name in after["vms"] if stayed(name)]
    moved = len(after["vms"]) - len(still)

    def grown(name: str, key: str) -> float:
        first, second = before["vms"][name]["cpu"], after["vms"][name]["cpu"]
        if key == "vms":
            growth = sum(second["lost_to_vms"].values()) - sum(first["lost_to_vms"].values())
        else:
            growth = second["lost_to_limit"] - first["lost_to_limit"]
        return float(growth / (second["seconds"] - first["seconds"]) / after["vms"][name]["vcpus"])

    lists = (
        ("robbed of CPU by other VMs", 'vmguest:cpu_lost:ratio{cause="host"} > 0.05', "vms"),
        ("held back by their CPU limit", 'vmguest:cpu_lost:ratio{cause="limit"} > 0.05', "limit"),
    )
    found = [
        held(name, {vm: grown(vm, key) for vm in still}, set(store.by_vm(query, at)), 0.05, moved)
        for name, query, key in lists
    ]
    megabytes = {vm: after["vms"][vm]["memory"]["balloon"] for vm in still}
    listed = set(store.by_vm("vmguest_memory_ballooned_bytes > 256 * 1048576", at))
    found.append(held("more than 256 MiB ballooned", megabytes, listed, 256.0, moved))
    return found


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
