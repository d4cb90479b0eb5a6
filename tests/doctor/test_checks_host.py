from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

import pytest

from exporter.advice import Where
from exporter.catalogue import CURRENT_LIST, STATISTICS
from exporter.doctor import checks_host
from exporter.doctor.checks_host import judge_missing, listed
from exporter.doctor.finding import Finding, Verdict
from exporter.errors import ConnectionLost, NoDeviceError, RefusedError, TimeoutExpired, VMGuestError
from exporter.protocol import stats_v3
from exporter.session.wire import WireSource
from exporter.simulator.faults import Fault
from exporter.simulator.scenario import Scenario
from exporter.simulator.stat_get import ENCODERS
from exporter.snapshot import Snapshot

if TYPE_CHECKING:
    from tests.doctor.conftest import Guest

DEPENDENT = (
    "statistics-enabled",
    "protocol-version",
    "statistics-given",
    "extended-statistics",
    "ha-supported",
    "hardening",
)


def advice(finding: Finding) -> str:
    assert finding.diagnosis.advice is not None
    return finding.diagnosis.advice.sentence


def test_a_host_that_answers(guest: Guest) -> None:
    found = guest.finding("guestrpc-answer")
    assert found.verdict is Verdict.OK
    assert found.diagnosis.sentence.startswith("The host answers from a privileged port, in ")
    assert found.diagnosis.facts["privileged"] is True


def test_a_host_that_answers_to_an_unprivileged_port(guest: Guest) -> None:
    guest.may_bind = False
    found = guest.finding("guestrpc-answer")
    assert found.verdict is Verdict.OK
    assert "from an unprivileged port" in found.diagnosis.sentence


@pytest.mark.parametrize(
    ("error", "where", "word"),
    [
        (RefusedError("reset", errno.ECONNRESET), "On the VM", "guest_rpc.rpci.usevsocket"),
        (NoDeviceError("gone", errno.ENODEV), "On the VM", "vmci0.present"),
        (NoDeviceError("gone", errno.EAFNOSUPPORT), "In the guest", "modprobe"),
        (NoDeviceError("gone", errno.EPERM), "In the guest", "sandbox"),
        (TimeoutExpired("slow"), "On the host", "vMotion"),
        (ConnectionLost("broke"), "In the guest", "record FILE"),
    ],
)
def test_a_host_that_does_not_answer(guest: Guest, error: VMGuestError, where: str, word: str) -> None:
    guest.refuses = lambda privileged: error
    findings = guest.findings()
    found = findings["guestrpc-answer"]
    assert found.verdict is Verdict.FAIL
    assert found.diagnosis.facts["error"] == error.kind
    assert advice(found).startswith(f"{where}: ")
    assert word in advice(found)
    assert {findings[code].because for code in DEPENDENT} == {"guestrpc-answer"}


@pytest.mark.parametrize(
    ("fault", "kind", "word"),
    [
        (Fault("disconnect"), "lost", "record FILE"),
        (Fault("no-status"), "malformed", "--bundle"),
        (Fault("version-4"), "malformed", "--bundle"),
        (Fault("session-zero"), "malformed", "--bundle"),
        (Fault("cut-list"), "malformed", "--bundle"),
    ],
)
def test_a_host_that_answers_nonsense(guest: Guest, fault: Fault, kind: str, word: str) -> None:
    guest.faults = (fault,)
    found = guest.finding("guestrpc-answer")
    assert found.verdict is Verdict.FAIL
    assert found.diagnosis.facts["error"] == kind
    assert ("does not answer" in found.diagnosis.sentence) is (kind == "lost")
    assert word in advice(found)


def test_a_slow_host(guest: Guest) -> None:
    ticks: Iterator[float] = (0.06 * number for number in count())
    guest.world["clock"] = lambda: next(ticks)
    found = guest.finding("guestrpc-answer")
    assert found.verdict is Verdict.WARN
    assert "took 120 ms" in found.diagnosis.sentence
    assert advice(found).startswith("On the host: ")


@pytest.mark.parametrize(
    ("text", "word", "setting"),
    [
        ("disabled", "switched off for this VM", "isolation.tools.guestlibGetInfo.disable"),
        ("something new", "switched off for this VM", "isolation.tools.guestlibGetInfo.disable"),
        ("Unknown command", "as Workstation and Fusion have none", "Workstation"),
        ("Permission denied", "wants a privileged source port", "CAP_NET_BIND_SERVICE"),
    ],
)
def test_a_host_that_refuses(guest: Guest, text: str, word: str, setting: str) -> None:
    guest.faults = (Fault("error", text=text, on="guestlib.info.get"),)
    findings = guest.findings("statistics-given")
    assert findings["guestrpc-answer"].verdict is Verdict.OK
    found = findings["statistics-enabled"]
    assert found.verdict is Verdict.FAIL
    assert repr(text) in found.diagnosis.sentence
    assert word in found.diagnosis.sentence
    assert setting in advice(found)
    assert findings["statistics-given"].because == "statistics-enabled"


def test_a_host_without_the_command_is_no_reason_to_suspect_a_switch(guest: Guest) -> None:
    """Workstation answers so whatever the VM's settings are."""
    guest.faults = (Fault("error", text="Unknown command", on="guestlib."),)
    said = [
        f"{found.diagnosis.sentence} {found.diagnosis.advice}"
        for found in guest.findings("statistics-given").values()
    ]
    assert any("which product" in each for each in said)
    assert [each for each in said if "disable" in each or "switch" in each] == []


def test_a_refusal_in_other_words_of_an_unprivileged_port(guest: Guest) -> None:
    guest.may_bind = False
    guest.faults = (Fault("error", text="Not today", on="guestlib.info.get"),)
    assert "CAP_NET_BIND_SERVICE" in advice(guest.finding("statistics-enabled"))


def test_statistics_that_are_enabled(guest: Guest) -> None:
    found = guest.finding("statistics-enabled")
    assert found.verdict is Verdict.OK
    assert found.diagnosis.facts["given"]


def test_version_3(guest: Guest) -> None:
    assert guest.finding("protocol-version").verdict is Verdict.OK


def test_version_2(guest: Guest) -> None:
    guest.scenario = "v2-host"
    findings = guest.findings("protocol-version", "statistics-given")
    found = findings["protocol-version"]
    assert found.verdict is Verdict.WARN
    assert advice(found) == "On the host: move the VM to ESXi 6.0 or later."
    missing = findings["statistics-given"].diagnosis.facts["missing"]
    assert isinstance(missing, dict)
    assert missing["vmguest_cpu_stolen_seconds_total"] == "version 2 of the protocol has no such statistic"


def test_every_statistic(guest: Guest) -> None:
    found = guest.finding("statistics-given")
    assert found.diagnosis.sentence == "The host gives every statistic."
    assert found.diagnosis.facts["missing"] == {}


def test_statistics_of_the_host_that_are_withheld_are_no_fault(guest: Guest) -> None:
    guest.scenario = "host-stats-disabled"
    found = guest.finding("statistics-given")
    assert found.verdict is Verdict.OK
    assert "withholds 9 of its own" in found.diagnosis.sentence
    (line,) = found.diagnosis.details
    assert line.startswith(
        "the VM setting tools.guestlib.enableHostInfo is not TRUE: vmguest_host_cpu_cores, "
    )


def test_statistics_that_an_old_host_does_not_know(guest: Guest) -> None:
    guest.scenario = "older-host"
    found = guest.finding("statistics-given")
    assert found.verdict is Verdict.WARN
    assert "vmguest_memory_zipped_bytes" in found.diagnosis.details[0]
    assert found.diagnosis.details[0].startswith(
        "the host's list ends at 30: it is older than this statistic: "
    )
    assert advice(found).startswith("On the host: a newer ESXi gives more")


def test_what_only_a_newer_host_has_is_no_lack_of_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that is added to the catalogue must not make today's hosts look poor."""
    new = replace(STATISTICS[-1], id=len(STATISTICS) + 1, key="memory_new", symbol="GetMemNewMB")
    monkeypatch.setattr(checks_host, "STATISTICS", (*STATISTICS, new))
    values = {row.key: 1 for row in STATISTICS}
    assert judge_missing(Snapshot(5, 3, values), CURRENT_LIST).verdict is Verdict.OK
    assert judge_missing(Snapshot(5, 0, values), None).verdict is Verdict.OK
    assert judge_missing(Snapshot(5, 3, values), new.id).verdict is Verdict.WARN


def test_a_statistic_that_is_sent_but_not_valid() -> None:
    values = {row.key: 1 for row in STATISTICS if row.key != "memory_active"}
    found = judge_missing(Snapshot(5, 3, values), CURRENT_LIST)
    assert found.verdict is Verdict.WARN
    assert found.details == (
        "the host has no value for it (marks it as not valid, or says -1): vmguest_memory_active_bytes",
    )
    # No newer host would give it.
    assert found.advice is None


@pytest.mark.parametrize("lacks", ["host_memory_swapped", "host_cpu_cores"])
def test_a_host_that_gives_some_of_its_own_withholds_none(lacks: str) -> None:
    """-1 is one of several reasons for a gap; that the setting is TRUE shows in the rest."""
    values = {row.key: 1 for row in STATISTICS if row.key != lacks}
    found = judge_missing(Snapshot(5, 3, values), CURRENT_LIST)
    assert found.verdict is Verdict.OK
    assert found.sentence.startswith("The host gives all of this VM's statistics, but not 1 of its own;")
    assert "enableHostInfo" not in str(found)
    assert "says -1" in found.details[0]


@pytest.mark.parametrize("ends", [18, 30])
def test_a_library_does_not_tell_where_the_list_ends(ends: int) -> None:
    """Neither a switch nor a mark of the host is known to be the reason for what may not be in its list."""
    withheld = {row.key for row in STATISTICS if row.host_info} | {"memory_active"}
    values = {row.key: 1 for row in STATISTICS[:ends] if row.key not in withheld}
    found = judge_missing(Snapshot(5, 0, values), None)
    assert found.verdict is Verdict.WARN
    why = {line.partition(": ")[0]: line for line in found.details}
    untold = "VMware's library has no value for it, and does not tell whether the host's list ends before it"
    # No more is known of those at the end of the list of 30, which the host withholds.
    assert why.keys() == {
        "the host has no value for it (marks it as not valid, or says -1)",
        untold,
    }
    assert "vmguest_host_cpu_cores" in why[untold]
    # Of what stands before something that is given it is known that the list holds it.
    behind = judge_missing(Snapshot(5, 0, {**values, "memory_zipped": 1}), None)
    setting = [line for line in behind.details if "enableHostInfo" in line]
    assert len(setting) == 1
    assert "vmguest_host_cpu_cores" in setting[0]


def test_a_statistic_that_the_library_has_no_function_for() -> None:
    values = {row.key: 1 for row in STATISTICS if row.key != "memory_zipped"}
    found = judge_missing(Snapshot(5, 0, values), None, ("GetMemZippedMB",))
    assert found.details == ("the library has no function for it: vmguest_memory_zipped_bytes",)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (stats_v3.encode(5, {}, 37), 37),
        (stats_v3.encode(5, {}, 37)[:19], None),
        (b"\2\0\0\0" + bytes(665), None),
    ],
)
def test_the_length_of_the_list_is_read_from_a_v3_reply(raw: bytes, expected: int | None) -> None:
    assert listed(raw) == expected


LIST = "guestlib.stat.get text "


def without(*groups: str) -> tuple[Fault, ...]:
    """A host that gives none of these groups."""
    return tuple(
        Fault("error", text="no", on=f"guestlib.stat.get {encoding} {group}")
        for encoding in ("xml", "json", "yaml", "text")
        for group in groups
    )


def test_extended_statistics(guest: Guest) -> None:
    found = guest.finding("extended-statistics")
    assert found.verdict is Verdict.OK
    assert (
        found.diagnosis.sentence
        == "The host gives 7 groups of extended statistics, as xml, json, yaml, text."
    )
    assert found.diagnosis.facts["groups"] == ["host", "resources", "session", "vnet", "vscsi"]


def test_extended_statistics_in_some_encodings(guest: Guest) -> None:
    guest.scenario = Scenario("test", "", encodings=("text",))
    found = guest.finding("extended-statistics")
    assert found.verdict is Verdict.OK
    assert found.diagnosis.facts["encodings"] == ["text"]
    assert set(found.diagnosis.facts["refusals"]) == {"xml", "json", "yaml"}  # type: ignore[arg-type]


def test_extended_statistics_in_no_encoding(guest: Guest) -> None:
    guest.faults = without("session", "host", "resources", "vnet", "vscsi")
    found = guest.finding("extended-statistics")
    assert found.verdict is Verdict.WARN
    assert "--bundle" in advice(found)


def test_extended_statistics_without_the_group_that_is_asked_first(guest: Guest) -> None:
    guest.faults = without("resources")
    found = guest.finding("extended-statistics")
    assert found.verdict is Verdict.OK
    assert found.diagnosis.facts["encodings"] == ["xml", "json", "yaml", "text"]


@pytest.mark.parametrize(
    "fault",
    [Fault("error", text="Unsupported encoding", times=1, on=LIST), Fault("no-status", times=1, on=LIST)],
)
def test_a_list_that_can_not_be_used_is_not_all(guest: Guest, fault: Fault) -> None:
    """The exporter asks for the groups that every host has; so a switch is not in the way."""
    guest.faults = (fault,)
    findings = guest.findings("extended-statistics")
    found = findings["extended-statistics"]
    assert found.verdict is Verdict.WARN
    assert found.diagnosis.sentence.startswith(
        "The host gives extended statistics, as xml, json, yaml, text, but no list of them that can be used ("
    )
    assert "--bundle" in advice(found)


def test_a_refusal_in_unknown_words_is_no_switch_where_statistics_are_given(guest: Guest) -> None:
    guest.faults = (Fault("error", text="Unsupported encoding", on="guestlib.stat.get"),)
    found = guest.finding("extended-statistics")
    assert found.verdict is Verdict.WARN
    assert "'Unsupported encoding'" in found.diagnosis.sentence
    assert "--bundle" in advice(found)


def test_no_extended_statistics(guest: Guest) -> None:
    guest.scenario = "older-host"
    found = guest.finding("extended-statistics")
    assert found.verdict is Verdict.WARN
    assert "ESXi 6.0" in advice(found)


@pytest.mark.parametrize(
    ("text", "where", "word"),
    [("disabled", Where.VM, "guestlibGetInfo"), ("Permission denied", Where.GUEST, "CAP_NET_BIND_SERVICE")],
)
def test_extended_statistics_that_are_refused(guest: Guest, text: str, where: Where, word: str) -> None:
    guest.faults = (Fault("error", text=text, on="guestlib.stat.get"),)
    found = guest.finding("extended-statistics")
    assert found.verdict is Verdict.WARN
    assert found.diagnosis.advice is not None
    assert found.diagnosis.advice.code == "extended-statistics"
    assert found.diagnosis.advice.where is where
    assert word in advice(found)


def test_extended_statistics_that_do_not_come(guest: Guest) -> None:
    guest.faults = (Fault("no-status", on="guestlib.stat.get"),)
    found = guest.finding("extended-statistics")
    assert found.verdict is Verdict.FAIL
    assert found.diagnosis.facts["error"] == "malformed"


def switches(finding: Finding) -> dict[str, str]:
    return dict(finding.diagnosis.facts["switches"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "state", "sentence"),
    [
        ("Unknown command", "can't be seen from here", "Whether a hardening switch is in the way"),
        ("disabled", "TRUE, it seems", "A hardening switch is in the way"),
    ],
)
def test_a_host_without_the_command_tells_nothing_of_switches(
    guest: Guest, text: str, state: str, sentence: str
) -> None:
    """Workstation has no guest statistics, whatever the VM's settings are."""
    guest.faults = (Fault("error", text=text, on="guestlib."),)
    found = guest.finding("hardening")
    assert switches(found)["isolation.tools.guestlibGetInfo.disable"] == state
    assert found.diagnosis.sentence.startswith(sentence)


def test_hardening_switches_that_are_off(guest: Guest) -> None:
    found = guest.finding("hardening")
    assert found.verdict is Verdict.OK
    assert switches(found)["isolation.tools.guestlibGetInfo.disable"] == "FALSE or absent"
    assert switches(found)["tools.guestlib.enableHostInfo"] == "TRUE; not needed"
    assert switches(found)["guest_rpc.rpci.auth.app.APP_MONITOR"] == "FALSE or absent"
    assert any(
        "enableHostInfo" in line and "vm-9.restrict-host-info" in line for line in found.diagnosis.details
    )
    assert len(found.diagnosis.details) == 6


def test_host_info_that_is_withheld(guest: Guest) -> None:
    guest.scenario = "host-stats-disabled"
    assert (
        switches(guest.finding("hardening"))["tools.guestlib.enableHostInfo"] == "FALSE or absent; not needed"
    )


def test_version_2_does_not_tell_of_host_info(guest: Guest) -> None:
    guest.scenario = "v2-host"
    assert switches(guest.finding("hardening"))["tools.guestlib.enableHostInfo"] == "can't be seen from here"


def test_the_secure_channel_shows_among_the_switches(guest: Guest) -> None:
    guest.scenario = Scenario("test", "", secure_only=True)
    assert switches(guest.finding("hardening"))["guest_rpc.rpci.auth.app.APP_MONITOR"] == "TRUE, it seems"


@pytest.mark.parametrize(
    ("text", "switch", "state"),
    [
        ("disabled", "isolation.tools.guestlibGetInfo.disable", "TRUE, it seems"),
        ("something new", "isolation.tools.guestlibGetInfo.disable", "can't be seen from here"),
        ("Permission denied", "guest_rpc.rpci.auth.app.APP_MONITOR", "TRUE, it seems"),
    ],
)
def test_a_switch_in_the_way(guest: Guest, text: str, switch: str, state: str) -> None:
    guest.faults = (Fault("error", text=text, on="guestlib.info.get"),)
    found = guest.finding("hardening")
    assert found.verdict is Verdict.WARN
    assert switches(found)[switch] == state


def test_lockdown_is_mentioned(guest: Guest) -> None:
    guest.write("sys/kernel/security/lockdown", "none [integrity] confidentiality\n")
    assert guest.finding("hardening").diagnosis.details[-1].startswith("kernel lockdown: on")


def test_an_encoding_that_is_not_understood_is_a_refusal(
    guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exporter goes on to the next one too."""
    monkeypatch.setitem(ENCODERS, "xml", lambda session, rows: b"<metrics>A & B</metrics>")
    found = guest.finding("extended-statistics")
    assert found.verdict is Verdict.OK
    assert found.diagnosis.facts["encodings"] == ["json", "yaml", "text"]


def test_a_group_that_the_exporter_goes_without_is_named(guest: Guest) -> None:
    """The host lists it, and closes the connection when it is asked for it."""
    guest.faults = tuple(
        Fault("disconnect", on=f"guestlib.stat.get {encoding} vscsi")
        for encoding in ("xml", "json", "yaml", "text")
    )
    found = guest.finding("extended-statistics")
    assert found.verdict is Verdict.WARN
    assert found.diagnosis.sentence == (
        "The host gives 5 of 7 groups of extended statistics; the exporter goes without the others."
    )
    assert set(found.diagnosis.facts["missing"]) == {"vscsi scsi0:0", "vscsi scsi0:1"}  # type: ignore[arg-type]
    assert "vscsi scsi0:0: " in found.diagnosis.details[0]
    assert "--bundle" in advice(found)


def test_a_group_that_hangs_is_named_and_those_that_there_is_no_time_for(
    guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, answered = 0.0, WireSource.stat

    def stat(source: WireSource, encoding: str, name: str, timeout: float | None = None) -> bytes:
        nonlocal now
        if name.startswith(("resources", "vscsi")):
            assert timeout is not None
            now += timeout
            raise TimeoutExpired("no answer")
        return answered(source, encoding, name, timeout)

    monkeypatch.setattr(WireSource, "stat", stat)
    monkeypatch.setitem(guest.world, "clock", lambda: now)
    found = guest.finding("extended-statistics")
    assert found.verdict is Verdict.WARN
    assert found.diagnosis.sentence == (
        "The host gives 2 of 7 groups of extended statistics; the exporter goes without 1 of the others."
    )
    assert set(found.diagnosis.facts["missing"]) == {"resources"}  # type: ignore[arg-type]
    assert found.diagnosis.details[-1].startswith("not asked, for want of time: vscsi scsi0:0, vscsi scsi0:1")


@pytest.mark.parametrize(("seconds", "given"), [(0.31, 6), (0.45, 4), (0.7, 2)])
def test_the_exporter_does_not_go_without_what_a_slow_host_gives(
    guest: Guest, monkeypatch: pytest.MonkeyPatch, seconds: float, given: int
) -> None:
    """Its time for a question is that for all of them here: the last one had a moment of it, which is no time-out."""
    now, answered = 0.0, WireSource.stat

    def stat(source: WireSource, encoding: str, name: str, timeout: float | None = None) -> bytes:
        nonlocal now
        assert timeout is not None
        now += min(seconds, timeout)
        if timeout < seconds:
            raise TimeoutExpired("no answer")
        return answered(source, encoding, name, timeout)

    monkeypatch.setattr(WireSource, "stat", stat)
    monkeypatch.setitem(guest.world, "clock", lambda: now)
    found = guest.finding("extended-statistics")
    assert found.verdict is Verdict.OK
    assert found.diagnosis.sentence == (
        f"The host gives {given} groups of extended statistics, as xml; there was no time to ask for {7 - given} more."
    )
    assert not found.diagnosis.facts["missing"]
    assert not found.diagnosis.facts["refusals"]


def test_a_host_too_slow_to_give_one_group_in_time_is_not_said_to_give_none(
    guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, answered = 0.0, WireSource.stat

    def stat(source: WireSource, encoding: str, name: str, timeout: float | None = None) -> bytes:
        nonlocal now
        assert timeout is not None
        now += min(1.5, timeout)
        if timeout < 1.5:
            raise TimeoutExpired("no answer")
        return answered(source, encoding, name, timeout)

    monkeypatch.setattr(WireSource, "stat", stat)
    monkeypatch.setitem(guest.world, "clock", lambda: now)
    found = guest.finding("extended-statistics")
    assert found.verdict is Verdict.WARN
    assert found.diagnosis.sentence.startswith("The host is slow")
    assert found.diagnosis.advice is None


@pytest.mark.parametrize("offset", [0, 1])
def test_extended_statistics_of_another_session_are_none_to_the_exporter(
    guest: Guest, monkeypatch: pytest.MonkeyPatch, offset: int
) -> None:
    encode = ENCODERS["xml"]
    monkeypatch.setitem(ENCODERS, "xml", lambda session, rows: encode(session + offset, rows))
    found = guest.finding("extended-statistics")
    assert found.verdict is (Verdict.FAIL if offset else Verdict.OK)
    assert ("of another session" in found.diagnosis.sentence) is bool(offset)


def test_extended_statistics_whose_list_is_not_answered(guest: Guest) -> None:
    guest.faults = (Fault("disconnect", on=LIST),)
    found = guest.finding("extended-statistics")
    assert found.verdict is Verdict.WARN
    assert "no list of them that can be used" in found.diagnosis.sentence
