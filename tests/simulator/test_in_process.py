"""The simulated host as a connector: no path, no wait, and refusals that are refusals."""

import pytest

from exporter.errors import ConfigError, RefusedError
from exporter.protocol.appmonitor import Verb, command
from exporter.session.wire import Channel, WireSource
from exporter.simulator.faults import Fault
from exporter.simulator.in_process import in_process


def test_one_host_answers_all_its_connections() -> None:
    connector = in_process(seed=3)
    source, beats = WireSource(connector, source="simulated"), Channel(connector)
    session = source.read().session_id
    assert session == connector.server.host.session_id
    assert beats.call(command(Verb.ENABLE)) == b"0"
    assert connector.server.host.ha.enabled
    assert connector.server.connections == 2
    assert source.info.transport == "memory"
    source.close()
    beats.close()


def test_a_refused_connection_is_refused_and_counted_once() -> None:
    connector = in_process(faults=[Fault("refuse", times=1)])
    source = WireSource(connector)
    with pytest.raises(RefusedError, match="does not take the connection"):
        source.read()
    assert connector.server.rules.fired() == {"refuse": 1}
    assert source.read().protocol == 3
    assert connector.server.rules.rules[0].seen == 2
    source.close()


def test_a_host_that_restarts_takes_no_connections_for_a_while() -> None:
    now = 0.0
    connector = in_process(clock=lambda: now)
    source = WireSource(connector)
    before = source.read()
    with connector.server.hold() as host:
        host.host_restart(outage=5)
    with pytest.raises(RefusedError):
        source.read()
    now = 5.0
    after = source.read()
    assert after.session_id != before.session_id
    source.close()


def test_speed_and_clock_are_the_hosts() -> None:
    now = 0.0
    connector = in_process(clock=lambda: now, speed=10)
    source = WireSource(connector)
    now = 3.0
    assert source.read().values["elapsed"] == 30_000
    source.close()


def test_a_wrong_scenario_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="did you mean steady"):
        in_process("stead")
