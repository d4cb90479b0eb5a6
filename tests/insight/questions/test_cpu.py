"""Questions about CPU time, answer by answer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.insight.question import Level
from exporter.insight.vitals import Vitals
from exporter.snapshot import Guest
from tests.insight.questions.asking import answer
from tests.insight.vitals import GUEST, WELL

LIMITED = replace(
    WELL, cpu_limit=5e9, cpu_limit_state="throttling", used=0.5, stolen=0.3, lost_limit=0.3, lost_host=0.0
)
"""Half of what it could use is allowed, and used up."""
BURSTS = replace(WELL, worst=0.62, high=3, stolen=0.02)

CASES: tuple[tuple[str, str, Vitals, Level, str], ...] = (
    ("cpu-limit", "none", WELL, Level.OK, "No CPU limit is set."),
    ("cpu-limit", "not told", replace(WELL, cpu_limit=None), Level.UNKNOWN, "does not tell the CPU limit"),
    ("cpu-limit", "no frequency", replace(LIMITED, host_frequency=None), Level.UNKNOWN, "CPU limit of 5 GHz is set; whether it binds"),
    ("cpu-limit", "no vCPUs", replace(LIMITED, guest=Guest()), Level.UNKNOWN, "whether it binds"),
    ("cpu-limit", "scales with the VM", replace(WELL, cpu_limit=9.8e9), Level.OK, "9.8 GHz is no less than the vCPUs can use"),
    ("cpu-limit", "binds", replace(WELL, cpu_limit=9.79e9), Level.INFO, "gets there; in the last 5 minutes 41 % of it was used."),
    ("cpu-limit", "binds, use unknown", replace(WELL, cpu_limit=5e9, used_rate=None), Level.INFO, "allows 50 % of what the vCPUs could use. Little is lost until the load gets there."),
    ("cpu-limit", "throttles", LIMITED, Level.WARNING, "5 GHz was used up and held each vCPU back for 30 % of the time in the last 5 minutes. It is used up right now."),
    ("cpu-limit", "throttled a while ago", replace(LIMITED, cpu_limit_state="binding"), Level.WARNING, "minutes. Ask for the limit"),
    ("cpu-limit", "hardly", replace(LIMITED, lost_limit=0.01), Level.INFO, "Little is lost"),
    ("cpu-limit", "binds, nothing else known", replace(LIMITED, lost_limit=None, not_measured="The host gives no stolen time."), Level.UNKNOWN, "allows 50 % of what the vCPUs could use. Whether it holds them back is not known. The host gives no stolen time."),
    ("cpu-limit", "binds, too early", replace(LIMITED, lost_limit=None), Level.UNKNOWN, "not known. There are no two readings yet that"),
    ("cpu-limit", "of nothing", replace(LIMITED, cpu_limit=0.0, lost_limit=0.0), Level.INFO, "allows 0 %"),
    ("host", "quiet", WELL, Level.OK, "waited for the host for 0.1 % of the time in the last 5 minutes."),
    ("host", "not told", replace(WELL, lost_host=None), Level.UNKNOWN, "There are no two readings yet that stolen time could be told from."),
    ("host", "just quiet", replace(WELL, lost_host=0.025), Level.OK, "2.5 %"),
    ("host", "stirring", replace(WELL, lost_host=0.05), Level.INFO, "5.0 % of the time in the last 5 minutes, and no limit of its own explains it: worth watching"),
    ("host", "noisy", replace(WELL, lost_host=0.1), Level.WARNING, "neighbours, a parent pool's limit, co-stop or clock reduction"),
    ("host", "unbearable", replace(WELL, lost_host=0.11), Level.CRITICAL, "11 % of the time"),
    ("host", "not cleared by a limit", LIMITED, Level.OK, "Nothing is laid to it: a CPU limit binds, and beside it the host's part can't be told."),
    ("host", "vCPUs not known", replace(WELL, lost_host=None, not_measured="The number of vCPUs is not known."), Level.UNKNOWN, "The number of vCPUs is not known."),
    ("undetermined", "none", WELL, Level.OK, "can be laid to"),
    ("undetermined", "not told", replace(WELL, lost_undetermined=None), Level.UNKNOWN, "no two readings"),
    ("undetermined", "some", replace(LIMITED, lost_undetermined=0.02), Level.INFO, "2.0 % of each vCPU's time in the last 5 minutes was stolen while the CPU limit was not used up on average"),
    ("undetermined", "much", replace(LIMITED, lost_undetermined=0.06), Level.WARNING, "can't be told apart. Polling every second tells more."),
    ("undetermined", "too little known", replace(WELL, lost_undetermined=0.06, host_frequency=None), Level.WARNING, "too little is known to say by what"),
    ("bursts", "none", WELL, Level.OK, "No: the worst sample (5 s) lost 1.0 % of a vCPU's time in the last 5 minutes."),
    ("bursts", "not told", replace(WELL, worst=None), Level.UNKNOWN, "no two readings"),
    ("bursts", "one", replace(BURSTS, high=1), Level.INFO, "one sample lost more than 10 %, where the average is 2.0 %."),
    ("bursts", "many", BURSTS, Level.WARNING, "In bursts: the worst sample (5 s) lost 62 % of a vCPU's time in the last 5 minutes, and 3 samples lost more than 10 %"),
    ("bursts", "all the time", replace(BURSTS, stolen=0.3), Level.OK, "steady rather than in bursts"),
    ("steal", "no kernel's", replace(WELL, guest=Guest()), Level.UNKNOWN, "no steal at all"),
    ("steal", "too early", WELL, Level.UNKNOWN, "Too little"),
    ("steal", "believed", replace(WELL, steal_accounting=True), Level.OK, "can be believed"),
    ("steal", "blind", replace(WELL, steal_accounting=False), Level.INFO, "show 0 here"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("key", "vitals", "level", "words"),
    [(row[0], *row[2:]) for row in CASES],
    ids=[f"{row[0]}: {row[1]}" for row in CASES],
)
def test_answer(key: str, vitals: Vitals, level: Level, words: str) -> None:
    found = answer(key, vitals)
    assert (found.level, words in found.text) == (level, True), found


def test_a_limit_never_clears_the_neighbours() -> None:
    """A VM at its limit may be starved as well, which shows only once the limit is gone."""
    text = " ".join(answer(key, LIMITED).text for key in ("cpu-limit", "host"))
    assert "nothing to do" not in text
    assert GUEST.vcpus == 4
