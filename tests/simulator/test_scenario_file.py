"""Scenarios of users: everything can be said, and everything wrong is told at once, with its key."""

import inspect
from pathlib import Path

import pytest

from exporter.catalogue import STATISTICS
from exporter.errors import ConfigError
from exporter.simulator import scenario_file
from exporter.simulator.faults import Fault
from exporter.simulator.ha import MonitorOptions
from exporter.simulator.host import SimulatedHost
from exporter.simulator.scenario import Drive, Scenario, ScenarioEvent
from exporter.simulator.scenarios import SCENARIOS


def read(folder: Path, text: str) -> Scenario:
    file = folder / "mine.toml"
    file.write_text(text, encoding="utf-8")
    return scenario_file.read(str(file))


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        read(folder, text)
    start = f"{folder / 'mine.toml'}: "
    assert all(problem.startswith(start) for problem in raised.value.problems)
    return [problem.removeprefix(start) for problem in raised.value.problems]


def test_the_documented_example_works(tmp_path: Path) -> None:
    document = inspect.getdoc(scenario_file) or ""
    example = document.partition("::\n")[2].partition("\nTimes are")[0]
    example = example.replace("host_info,", "").replace("# disks, nics", "")
    scenario = read(tmp_path, inspect.cleandoc(example))
    assert scenario.name == "mine"
    assert scenario.machine.vcpus == 8
    assert scenario.drive.demand.number(30) == pytest.approx(0.55)
    assert scenario.drive.packets == SCENARIOS["steady"].drive.packets
    assert scenario.session_id == 2**64 - 1
    assert scenario.session_every == 30
    assert scenario.statistics == 30
    assert scenario.events == (ScenarioEvent(45, "add-disk", "scsi0:2"),)
    assert scenario.faults == (Fault("disconnect", p=0.1),)
    now = 25.0
    host = SimulatedHost(scenario, lambda: now)
    now += 25
    values = host.values()
    assert values[12] == (True, 2048 * 25 // 60)
    assert values[2] == (True, 0xFFFFFFFF)
    assert values[13] == (True, 512 * 5 // 10)
    assert values[25] == (False, 0)


def test_an_empty_file_is_the_steady_scenario(tmp_path: Path) -> None:
    scenario = read(tmp_path, "")
    assert scenario.machine == SCENARIOS["steady"].machine
    assert scenario.drive == Drive()


def test_a_base_gives_all_that_the_file_does_not(tmp_path: Path) -> None:
    scenario = read(tmp_path, 'base = "v2-host"\n[host]\nhost_info = true\n')
    assert scenario.versions == (2,)
    assert scenario.encodings == ()
    assert scenario.host_info
    assert scenario.summary == SCENARIOS["v2-host"].summary


def test_every_table_is_used(tmp_path: Path) -> None:
    scenario = read(
        tmp_path,
        """
        summary = "All of it."
        [machine]
        cpu_limit = "unlimited"
        memory_limit = 4096
        hypervisor = "VMware ESXi 9"
        [session]
        at = [10, "1m"]
        [host]
        versions = [3]
        encodings = ["text"]
        json_list = true
        secure_only = true
        disks = ["nvme0:0"]
        nics = []
        [ha]
        supported = false
        window = "20s"
        reset_delay = 5
        status_prefix = "appStatus"
        [set]
        12 = 5
        memory_shares = 7
        resource_pool_path = {steps = [[0, "/a"], [5, "/b"]]}
        [[event]]
        at = 5
        do = "host-restart"
        what = "2s"
        [[event]]
        at = 6
        do = "session-change"
        """,
    )
    assert scenario.summary == "All of it."
    assert scenario.machine.cpu_limit == 0xFFFFFFFF
    assert scenario.machine.hypervisor == "VMware ESXi 9"
    assert scenario.versions == (3,)
    assert scenario.encodings == ("text",)
    assert scenario.json_list
    assert scenario.secure_only
    assert scenario.disks == ("nvme0:0",)
    assert scenario.nics == ()
    assert scenario.ha == MonitorOptions(
        supported=False, window=20.0, reset_delay=5.0, status_prefix="appStatus"
    )
    assert set(scenario.set) == {12, 8, 38, 18, 37}
    assert scenario.events == (
        ScenarioEvent(10, "session-change"),
        ScenarioEvent(60, "session-change"),
        ScenarioEvent(5, "host-restart", "2.0"),
        ScenarioEvent(6, "session-change"),
    )


def test_extended_statistics_can_be_switched_off(tmp_path: Path) -> None:
    assert read(tmp_path, "[host]\nencodings = false\n").encodings == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sett = 1", "sett: no such key; did you mean set"),
        ("[host]\nhostinfo = false", "host.hostinfo: no such key; did you mean host_info"),
        ("[machine]\nvcpu = 2", "machine.vcpu: no such key; did you mean vcpus"),
        ("[drive]\nxyzzy = 2", "drive.xyzzy: no such key; expected one of demand, neighbours"),
        ("[session]\nevry = 2", "session.evry: no such key; did you mean every"),
        ("[ha]\nwindows = 2", "ha.windows: no such key; did you mean window"),
        ("[[event]]\nat = 1\ndo = 'session-change'\nwhen = 1", "event 1.when: no such key"),
        (
            "[set]\nmemory_balooned = 2",
            "set: memory_balooned: no such statistic; did you mean memory_ballooned",
        ),
        ("[set]\n99 = 2", "set: 99: no such statistic"),
        (
            "[set]\ncpu_limit = 4294967296",
            "set: cpu_limit = 4294967296: expected a number from 0 to 4294967295",
        ),
        ("[set]\ncpu_limit = true", "set.cpu_limit = True: expected a number, a text"),
        ("[set]\ncpu_limit = inf", "set.cpu_limit = inf: expected a number"),
        ("[set]\ncpu_limit = nan", "set.cpu_limit = nan: expected a number"),
        ("[set]\ncpu_limit = 1979-05-27", "set.cpu_limit = datetime.date(1979, 5, 27): expected a number"),
        ("[set]\ncpu_limit = []", "set.cpu_limit = []: expected points"),
        ("[set]\ncpu_limit = [[0]]", "set.cpu_limit = [[0]]: expected points of a time and a value, not [0]"),
        ("[set]\ncpu_limit = [[5, 1], [5, 2]]", "expected points by rising time; 5 s comes after 5 s"),
        ("[set]\ncpu_limit = [['1 day', 1]]", "expected seconds, or a time such as"),
        ("[set]\ncpu_limit = {}", "set.cpu_limit = {}: expected ramp = [[time, value], …] or steps"),
        ("[set]\ncpu_limit = {ramp = [[0, 1]], steps = [[0, 1]]}", "expected ramp = "),
        ("[set]\ncpu_limit = {ramp = 5}", "expected points: [[time, value], …]"),
        (
            "[set]\ncpu_limit = {ramp = [[0, 1], [9, 2]], every = 5}",
            "expected every to be the last point's time (9 s)",
        ),
        ("[set]\ncpu_limit = {ramp = [[0, 1]], every = 0.5}", "expected a second or more, or 0 for never"),
        ("set = 5", "set: expected a table; write [set] and its keys below"),
        ("[drive]\ndemand = 'high'", "drive.demand = 'high': expected numbers"),
        ("[machine]\nvcpus = 'four'", "machine.vcpus = 'four': expected a whole number"),
        ("[machine]\nvcpus = true", "machine.vcpus = True: expected a whole number"),
        ("[machine]\nvcpus = 0", "machine.vcpus = 0: expected a number of 1 or more"),
        ("[machine]\nhypervisor = 5", "machine.hypervisor = 5: expected a text"),
        ("[session]\nid = -1", "session.id = -1: expected a whole number from 0 to 18446744073709551615"),
        ("[session]\nat = 5", "session.at = 5: expected a list"),
        ("[session]\nevery = -5", "session.every = -5: expected seconds"),
        ("[host]\nversions = [4]", "host.versions = [4]: expected a whole number from 2 to 3"),
        (
            f"[host]\nstatistics = {len(STATISTICS) + 1}",
            f"host.statistics = {len(STATISTICS) + 1}: expected a whole number from 0 to {len(STATISTICS)}",
        ),
        (
            "[host]\nencodings = ['csv']",
            "host.encodings = ['csv']: expected a list of xml, json, yaml, text, or false",
        ),
        ("[host]\nhost_info = 'no'", "host.host_info = 'no': expected true or false"),
        ("[ha]\nwindow = 'soon'", "ha.window = 'soon': expected seconds, or a time"),
        ("event = 5", "event: expected tables; write [[event]] above each"),
        ("[[event]]", "event 1.at is missing: expected seconds"),
        (
            "[[event]]\nat = 1\ndo = 'reboot'",
            "event 1.do = 'reboot': expected one of session-change, host-restart",
        ),
        ("[[event]]\nat = 1\ndo = 'add-disk'", "event 1.what: expected the disk (scsi0:2) or the card's MAC"),
        ("[[event]]\nat = 1\ndo = 'host-restart'\nwhat = 'x'", "event 1.what = 'x': expected seconds"),
        ("[[fault]]", "fault 1.kind is missing: expected a text"),
        (
            "[[fault]]\nkind = 'disconect'",
            "fault 1: fault 'disconect': no such kind; did you mean disconnect",
        ),
        (
            "[[fault]]\nkind = 'delay'\nseconds = 'x'",
            "fault 1: fault delay: seconds = 'x': expected a number",
        ),
        ("base = 'stedy'", "base: no scenario 'stedy'; did you mean steady"),
        ("base = 5", "base = 5: expected a text"),
        ("summary = 5", "summary = 5: expected a text"),
    ],
)
def test_a_mistake_is_met_with_its_key_and_what_was_expected(
    tmp_path: Path, text: str, expected: str
) -> None:
    found = problems(tmp_path, text)
    assert any(expected in problem for problem in found), found


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    found = problems(tmp_path, "basis = 1\n[machine]\nvcpus = 0\n[set]\nx = 1\n[[fault]]\nkind = 'no'\n")
    assert len(found) == 4


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"= 5", "no TOML: .*line 1"),
        (b"\xff\xfe", "this is UTF-16; save it as UTF-8"),
        (b"a\xff", r"not UTF-8 text \(byte 1\)"),
    ],
)
def test_what_is_no_toml_is_refused(tmp_path: Path, content: bytes, expected: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=expected):
        scenario_file.read(str(file))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there\.toml: can't be read: No such file"):
        scenario_file.read(str(tmp_path / "there.toml"))
