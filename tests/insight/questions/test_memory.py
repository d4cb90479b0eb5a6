"""Questions about memory, answer by answer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.insight.memory import Reclaim
from exporter.insight.question import Level
from exporter.insight.vitals import Vitals
from exporter.snapshot import Guest
from tests.insight.questions.asking import answer
from tests.insight.vitals import GIB, MIB, WELL

COMING = replace(WELL, reclaim=Reclaim(1.0 * GIB, 5.0 * GIB, 0.0, 6.0 * GIB), balloon_target=1.0 * GIB)
STUCK = replace(COMING, balloon_stuck=600.0)

CASES: tuple[tuple[str, str, Vitals, Level, str], ...] = (
    ("memory-limit", "none", WELL, Level.OK, "No memory limit is set."),
    ("memory-limit", "not told", replace(WELL, memory_limit=None), Level.UNKNOWN, "does not tell the memory limit"),
    ("memory-limit", "of an unknown guest", replace(WELL, memory_limit=4.0 * GIB, guest=Guest()), Level.UNKNOWN, "4 GiB is set"),
    ("memory-limit", "covers", replace(WELL, memory_limit=7.9 * GIB), Level.OK, "7.9 GiB covers all"),
    ("memory-limit", "binds", replace(WELL, memory_limit=4.0 * GIB), Level.WARNING, "4 GiB is below the 8 GiB that the guest sees"),
    ("memory-limit", "reclaims", replace(WELL, memory_limit=4.0 * GIB, memory_limit_state="reclaiming"), Level.WARNING, "It is used up, and the host takes memory because of it."),
    ("reclaim", "nothing", WELL, Level.OK, "wants nothing more at present; the guest has 6 GiB to give."),
    ("reclaim", "not told", replace(WELL, reclaim=Reclaim(None, None, None, None)), Level.UNKNOWN, "does not tell what it wants"),
    ("reclaim", "the guest's view is not the VM's", replace(WELL, reclaim=Reclaim(1.0 * GIB, None, None, None)), Level.UNKNOWN, "The host wants 1 GiB more; what the guest could give is not known here."),
    ("reclaim", "enough", COMING, Level.OK, "The host wants 1 GiB more; the guest has 6 GiB to give."),
    ("reclaim", "enough for now", replace(WELL, reclaim=Reclaim(1.0 * GIB, 5.0 * GIB, 0.0, 2.0 * GIB)), Level.OK, "At worst it may take 5 GiB, which is more than the guest has (2 GiB)."),
    ("reclaim", "swap too", replace(WELL, reclaim=Reclaim(1.0 * GIB, 5.0 * GIB, 3.0 * MIB, 6.0 * GIB)), Level.OK, "1 GiB more, and 3 MiB more into its swap; the guest"),
    ("reclaim", "swap alone", replace(WELL, reclaim=Reclaim(0.0, 5.0 * GIB, 3.0 * MIB, 6.0 * GIB)), Level.OK, "The host asks the balloon for nothing more, but wants 3 MiB more into its swap; the guest"),
    ("reclaim", "too much", replace(WELL, reclaim=Reclaim(3.0 * GIB, 5.0 * GIB, 0.0, 2.0 * GIB)), Level.CRITICAL, "The host wants 3 GiB more, and the guest has 2 GiB to give, free swap included: it may run out of memory"),
    ("reclaim", "nothing to give", replace(WELL, reclaim=Reclaim(3.0 * GIB, 5.0 * GIB, 0.0, 0.0)), Level.CRITICAL, "has nothing to give"),
    ("balloon", "empty", WELL, Level.OK, "The balloon is empty."),
    ("balloon", "not told", replace(WELL, ballooned=None), Level.UNKNOWN, "does not tell the balloon's size"),
    ("balloon", "coming", COMING, Level.WARNING, "is empty. The host wants 1 GiB more."),
    ("balloon", "coming a little", replace(WELL, reclaim=Reclaim(64.0 * MIB, None, None, None)), Level.OK, "is empty."),
    ("balloon", "never to come", STUCK, Level.OK, "The balloon is empty."),
    ("balloon", "small", replace(WELL, ballooned=0.4 * GIB), Level.INFO, "taken 410 MiB of the guest's memory back, 5.0 % of it"),
    ("balloon", "big", replace(WELL, ballooned=0.5 * GIB), Level.WARNING, "512 MiB of the guest's memory back, 6.2 % of it"),
    ("balloon", "growing", replace(COMING, ballooned=0.1 * GIB), Level.WARNING, "The host wants 1 GiB more"),
    ("balloon", "full", replace(WELL, ballooned=5.0 * GIB), Level.WARNING, "near its maximum; after that the host compresses and swaps"),
    ("balloon", "full and swapped", replace(WELL, ballooned=5.0 * GIB, swapped=1.6 * GIB), Level.WARNING, "near its maximum; the host swaps already"),
    ("balloon", "of an unknown guest", replace(WELL, ballooned=0.5 * GIB, guest=Guest()), Level.INFO, "512 MiB of the guest's memory back; no process"),
    ("balloon", "without a maximum", replace(WELL, ballooned=0.1 * GIB, balloon_max=None), Level.INFO, "102 MiB"),
    ("balloon-driver", "idle", WELL, Level.OK, "follows its target"),
    ("balloon-driver", "not told", replace(WELL, balloon_target=None), Level.UNKNOWN, "does not tell"),
    ("balloon-driver", "on its way", replace(COMING, balloon_stuck=119.0), Level.OK, "follows its target"),
    ("balloon-driver", "dead", STUCK, Level.WARNING, "stayed empty for 10 minutes although the host wants 1 GiB: its driver is probably missing"),
    ("balloon-driver", "backs off", replace(STUCK, ballooned=0.5 * GIB), Level.INFO, "the guest has no more to give, or its driver backs off"),
    ("swap", "none", WELL, Level.OK, "Nothing is in the host's swap."),
    ("swap", "not told", replace(WELL, swapped=None), Level.UNKNOWN, "does not tell how much it has swapped"),
    ("swap", "coming back", replace(WELL, swapped=1.0 * GIB, swap_in=2.0 * MIB), Level.WARNING, "2 MiB a second came back from the host's disk in the last 5 minutes (1 GiB are out)"),
    ("swap", "waited for", replace(WELL, memory_contention=0.02), Level.WARNING, "waited for memory for 2.0 % of the time"),
    ("swap", "hardly waited for", replace(WELL, memory_contention=0.01), Level.OK, "Nothing"),
    ("swap", "past", replace(WELL, swapped=300.0 * MIB), Level.INFO, "300 MiB of its memory are in the host's swap"),
    ("swap", "compressed", replace(WELL, zipped=1.5 * MIB), Level.INFO, "1.5 MiB of its memory are compressed"),
    ("swap", "rates unknown", replace(WELL, swap_in=None, memory_contention=None, zipped=None), Level.OK, "Nothing"),
    ("reservation", "none", WELL, Level.OK, "No memory is reserved"),
    ("reservation", "not told", replace(WELL, memory_reservation=None), Level.UNKNOWN, "not known"),
    ("reservation", "full", replace(WELL, memory_reservation=8.0 * GIB), Level.OK, "All of its memory is reserved (8 GiB): the host can't take any of it."),
    ("reservation", "half", replace(WELL, memory_reservation=4.0 * GIB), Level.OK, "4 GiB of 8 GiB are reserved"),
    ("numa", "near", WELL, Level.OK, "98 % of its memory lies on the NUMA node"),
    ("numa", "not told", replace(WELL, numa_local=None), Level.UNKNOWN, "does not tell"),
    ("numa", "far", replace(WELL, numa_local=0.79), Level.INFO, "21 % of its memory lies on another NUMA node"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("key", "vitals", "level", "words"),
    [(row[0], *row[2:]) for row in CASES],
    ids=[f"{row[0]}: {row[1]}" for row in CASES],
)
def test_answer(key: str, vitals: Vitals, level: Level, words: str) -> None:
    found = answer(key, vitals)
    assert (found.level, words in found.text) == (level, True), found
