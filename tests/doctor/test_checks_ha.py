from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from exporter.advice import Where
from exporter.config.settings import Ha
from exporter.doctor import checks_ha
from exporter.doctor.finding import Finding, Verdict
from exporter.errors import ConnectionLost, NoDeviceError, RefusedError, VMGuestError
from exporter.ha import explain
from exporter.protocol.appmonitor import Verb
from exporter.simulator.faults import Fault
from exporter.simulator.ha import MonitorOptions
from exporter.simulator.scenario import Scenario
from exporter.transport.base import Connector

if TYPE_CHECKING:
    from tests.doctor.conftest import Guest

WANTED = Ha(enabled=True, lock_file="/run/ha.lock")


def advice(finding: Finding) -> str:
    assert finding.diagnosis.advice is not None
    assert finding.diagnosis.advice.code == finding.code
    return finding.diagnosis.advice.sentence


def test_a_host_with_monitoring(guest: Guest) -> None:
    assert guest.finding("ha-supported").verdict is Verdict.OK


def test_a_host_without_monitoring_where_nobody_wants_it(guest: Guest) -> None:
    guest.scenario = Scenario("test", "", ha=MonitorOptions(supported=False))
    findings = guest.findings("ha-fault-tolerance", "ha-enabled")
    assert findings["ha-supported"].verdict is Verdict.SKIPPED
    assert findings["ha-supported"].because == ""
    assert findings["ha-enabled"].because == "ha-supported"


def test_a_host_without_monitoring_where_it_is_wanted(guest: Guest) -> None:
    guest.scenario = Scenario("test", "", ha=MonitorOptions(supported=False))
    guest.settings["ha"] = WANTED
    found = guest.finding("ha-supported")
    assert found.verdict is Verdict.FAIL
    assert explain.NOT_SUPPORTED[1:].rstrip(".") in advice(found)
    assert advice(found).startswith("In the cluster: this host")


@pytest.mark.parametrize(("settings", "verdict"), [(WANTED, Verdict.FAIL), (Ha(), Verdict.WARN)])
def test_a_host_that_refuses(guest: Guest, settings: Ha, verdict: Verdict) -> None:
    """Where nobody wants heartbeats, statistics are all that counts."""
    guest.settings["ha"] = settings
    guest.faults = (Fault("error", text="Permission denied", on="GuestAppMonitor"),)
    found = guest.finding("ha-supported")
    assert found.verdict is verdict
    assert "APP_MONITOR" in advice(found)


def test_refused_heartbeats_that_nobody_wants_fail_nothing(guest: Guest) -> None:
    guest.faults = (Fault("error", text="Permission denied", on="GuestAppMonitor"),)
    findings = guest.findings()
    assert [each.code for each in findings.values() if each.verdict is Verdict.FAIL] == []
    assert findings["ha-enabled"].verdict is Verdict.SKIPPED
    assert findings["ha-secure-channel"].verdict is Verdict.WARN


def test_a_host_that_answers_nonsense(guest: Guest) -> None:
    guest.faults = (Fault("no-status", on="GuestAppMonitor"),)
    found = guest.finding("ha-supported")
    assert found.verdict is Verdict.FAIL
    assert found.diagnosis.facts["error"] == "malformed"


def test_nobody_wants_heartbeats(guest: Guest) -> None:
    found = guest.finding("ha-enabled")
    assert found.verdict is Verdict.OK
    assert found.diagnosis.facts == {"expected_by_host": False, "status": "gray", "wanted": False}


def test_heartbeats_that_arrive(guest: Guest) -> None:
    guest.settings["ha"] = WANTED
    guest.tell(Verb.ENABLE)
    guest.tell(Verb.MARK_ACTIVE)
    found = guest.finding("ha-enabled")
    assert found.verdict is Verdict.OK
    assert found.diagnosis.sentence == "Heartbeats arrive (green)."


def test_heartbeats_that_have_stopped(guest: Guest) -> None:
    guest.scenario = Scenario("test", "", ha=MonitorOptions(window=0.0, reset_delay=3600.0))
    guest.tell(Verb.ENABLE)
    found = guest.finding("ha-enabled")
    assert found.verdict is Verdict.FAIL
    assert "resets this VM" in found.diagnosis.sentence
    assert "ha disable" in advice(found)


def test_heartbeats_that_somebody_else_must_send(guest: Guest) -> None:
    guest.tell(Verb.ENABLE)
    found = guest.finding("ha-enabled")
    assert found.verdict is Verdict.WARN
    assert "another program must" in found.diagnosis.sentence


def test_heartbeats_that_the_cluster_does_not_watch(guest: Guest) -> None:
    guest.settings["ha"] = WANTED
    guest.scenario = Scenario("test", "", ha=MonitorOptions())
    guest.tell(Verb.ENABLE)
    # A host that says yes to IsEnabled and gray to GetAppStatus.
    monitor = guest.server.host.ha
    answer = monitor.answer

    def gray(command: bytes) -> bytes:
        return b"Gray" if command.endswith(b"GetAppStatus") else answer(command)

    monitor.answer = gray  # type: ignore[method-assign]
    found = guest.finding("ha-enabled")
    assert found.verdict is Verdict.WARN
    assert found.diagnosis.advice is not None
    assert found.diagnosis.advice.where is Where.CLUSTER
    assert "VM and Application Monitoring" in advice(found)


def test_heartbeats_that_are_wanted_and_not_sent(guest: Guest) -> None:
    guest.settings["ha"] = WANTED
    found = guest.finding("ha-enabled")
    assert found.verdict is Verdict.WARN
    assert "systemctl start" in advice(found)


def test_a_state_that_is_refused_where_it_is_wanted(guest: Guest) -> None:
    guest.settings["ha"] = WANTED
    guest.faults = (Fault("error", text="no", on="GuestAppMonitor.Cmd.GetAppStatus"),)
    assert guest.finding("ha-enabled").verdict is Verdict.FAIL


def test_a_state_that_can_not_be_read(guest: Guest) -> None:
    guest.faults = (Fault("no-status", on="GuestAppMonitor.Cmd.GetAppStatus"),)
    found = guest.finding("ha-enabled")
    assert found.verdict is Verdict.FAIL
    assert found.diagnosis.facts["error"] == "malformed"


def test_no_secure_channel_is_demanded(guest: Guest) -> None:
    findings = guest.findings("ha-fault-tolerance")
    assert findings["ha-secure-channel"].verdict is Verdict.OK
    assert "no secure channel is demanded" in findings["ha-secure-channel"].diagnosis.sentence
    assert findings["ha-fault-tolerance"].verdict is Verdict.OK


def test_a_secure_channel_is_demanded_and_there(guest: Guest) -> None:
    guest.scenario = Scenario("test", "", secure_only=True)
    findings = guest.findings("ha-fault-tolerance")
    assert findings["ha-secure-channel"].verdict is Verdict.OK
    assert "APP_MONITOR = TRUE" in findings["ha-secure-channel"].diagnosis.sentence
    found = findings["ha-fault-tolerance"]
    assert found.verdict is Verdict.WARN
    assert advice(found).startswith(
        "On the VM: with Fault Tolerance, remove guest_rpc.rpci.auth.app.APP_MONITOR"
    )


def test_an_unprivileged_process_where_none_is_demanded(guest: Guest) -> None:
    guest.may_bind = False
    findings = guest.findings("ha-fault-tolerance")
    assert findings["ha-secure-channel"].verdict is Verdict.OK
    assert findings["ha-fault-tolerance"].verdict is Verdict.OK


def only(guest: Guest, *answers: bool) -> None:
    """The host takes only connections of these kinds, and those by which it is found to support HA."""
    normal = guest.connector

    def connector(privileged: bool | None) -> Connector:
        taken = privileged is None or privileged in answers
        guest.refuses = lambda port: None if taken else RefusedError("reset")
        return normal(privileged)

    guest.world["new_connector"] = connector


def test_only_the_non_secure_channel_works_under_fault_tolerance(guest: Guest) -> None:
    only(guest, False)
    findings = guest.findings("ha-fault-tolerance")
    assert findings["ha-secure-channel"].verdict is Verdict.WARN
    assert "without CAP_NET_BIND_SERVICE" in advice(findings["ha-secure-channel"])
    assert findings["ha-fault-tolerance"].verdict is Verdict.WARN
    assert "Only the non-secure channel works" in findings["ha-fault-tolerance"].diagnosis.sentence


def test_no_channel_works(guest: Guest) -> None:
    guest.settings["ha"] = WANTED
    only(guest)
    found = guest.finding("ha-secure-channel")
    assert found.verdict is Verdict.FAIL
    assert "Fault Tolerance" in advice(found)


def test_a_secure_channel_is_demanded_and_not_to_be_had(guest: Guest) -> None:
    def connector(privileged: bool | None) -> Connector:
        if privileged is None:
            return guest.connector(True)
        guest.may_bind = False
        return guest.connector(privileged)

    guest.settings["ha"] = WANTED
    guest.scenario = Scenario("test", "", secure_only=True)
    guest.world["new_connector"] = connector
    found = guest.finding("ha-secure-channel")
    assert found.verdict is Verdict.FAIL
    assert "CAP_NET_BIND_SERVICE" in advice(found)


@pytest.mark.parametrize("error", [ConnectionLost("broke"), NoDeviceError("gone", 19)])
def test_silence_is_told_from_refusal(guest: Guest, error: VMGuestError) -> None:
    guest.settings["ha"] = WANTED
    normal = guest.connector

    def connector(privileged: bool | None) -> Connector:
        guest.refuses = lambda port: error if privileged is not None else None
        return normal(privileged)

    guest.world["new_connector"] = connector
    found = guest.finding("ha-secure-channel")
    assert found.verdict is Verdict.FAIL
    assert found.diagnosis.facts["privileged"] == str(error)


def test_where_the_channel_was_not_looked_at_fault_tolerance_is_not_judged(guest: Guest) -> None:
    assert checks_ha.fault_tolerance(guest.build()).verdict is Verdict.SKIPPED
