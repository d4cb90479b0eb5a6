"""vSphere HA on a clock that the test holds: state, window, resets, and the host's words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import RpcError
from exporter.protocol import appmonitor
from exporter.protocol.appmonitor import AppState, AppStatus, Code, Verb
from exporter.simulator.ha import WINDOW, Monitor, MonitorOptions, Reset


class Rig:
    """A monitor, its clock, and what it said."""

    def __init__(self, options: MonitorOptions | None = None) -> None:
        self.now = 100.0
        self.said: list[str] = []
        self.monitor = Monitor(options, lambda: self.now, self.said.append)

    def call(self, verb: Verb, argument: str = "") -> bytes:
        return self.monitor.answer(appmonitor.command(verb, argument))

    def code(self, verb: Verb, argument: str = "") -> Code:
        return appmonitor.parse_code(self.call(verb, argument))

    def enabled(self) -> bool:
        return appmonitor.parse_is_enabled(self.call(Verb.IS_ENABLED))

    def status(self) -> AppStatus:
        return appmonitor.parse_app_status(self.call(Verb.GET_APP_STATUS))


def test_before_enable_monitoring_is_off_and_heartbeats_are_refused() -> None:
    rig = Rig()
    assert not rig.enabled()
    assert rig.status() is AppStatus.GRAY
    assert rig.code(Verb.MARK_ACTIVE) is Code.NOT_ENABLED
    assert rig.monitor.heartbeats == 0
    rig.now += 1000
    assert rig.monitor.seconds_left() is None
    assert rig.monitor.resets == []


def test_enable_starts_the_window_and_heartbeats_keep_it_open() -> None:
    rig = Rig()
    assert rig.code(Verb.ENABLE) is Code.OK
    assert rig.enabled()
    for _ in range(10):
        rig.now += WINDOW
        assert rig.status() is AppStatus.GREEN
        assert rig.code(Verb.MARK_ACTIVE) is Code.OK
    assert rig.monitor.heartbeats == 10
    assert rig.monitor.resets == []
    assert rig.said == ["HA: monitoring enabled, status Green"]


def test_silence_is_a_reset_at_the_end_of_the_window_and_monitoring_is_off_then() -> None:
    rig = Rig()
    rig.code(Verb.ENABLE)
    rig.now += 10
    rig.code(Verb.MARK_ACTIVE)
    rig.now += 12
    assert rig.monitor.seconds_left() == 18
    rig.now += 100
    assert rig.status() is AppStatus.GRAY
    assert not rig.enabled()
    assert rig.monitor.resets == [Reset(140.0, "no heartbeat for 30 s")]
    assert rig.said[-1] == "HA: RESET of the VM (number 1): no heartbeat for 30 s"
    rig.now += 1000
    rig.monitor.advance()
    assert len(rig.monitor.resets) == 1


def test_a_second_enable_is_no_heartbeat() -> None:
    rig = Rig()
    rig.code(Verb.ENABLE)
    rig.now += 20
    assert rig.code(Verb.ENABLE) is Code.OK
    rig.now += 11
    assert rig.status() is AppStatus.GRAY
    assert len(rig.monitor.resets) == 1


def test_with_a_delay_red_comes_before_the_reset() -> None:
    rig = Rig(MonitorOptions(reset_delay=15))
    rig.code(Verb.ENABLE)
    rig.now += 31
    assert rig.status() is AppStatus.RED
    assert rig.monitor.seconds_left() == 14
    assert rig.said[-1] == "HA: no heartbeat for 30 s, status Red"
    rig.now += 15
    assert rig.status() is AppStatus.GRAY
    assert [reset.time for reset in rig.monitor.resets] == [145.0]


def test_a_heartbeat_in_time_takes_red_back() -> None:
    rig = Rig(MonitorOptions(reset_delay=15))
    rig.code(Verb.ENABLE)
    rig.now += 40
    assert rig.code(Verb.MARK_ACTIVE) is Code.OK
    assert rig.status() is AppStatus.GREEN
    assert rig.said[-1] == "HA: heartbeats are back, status Green"
    rig.now += 30
    assert rig.monitor.resets == []


def test_disable_ends_monitoring_also_when_red() -> None:
    rig = Rig(MonitorOptions(reset_delay=15))
    rig.code(Verb.ENABLE)
    rig.now += 40
    assert rig.code(Verb.DISABLE) is Code.OK
    assert rig.code(Verb.DISABLE) is Code.OK
    assert rig.status() is AppStatus.GRAY
    rig.now += 1000
    assert rig.monitor.seconds_left() is None
    assert rig.monitor.resets == []
    rig.code(Verb.ENABLE)
    assert rig.status() is AppStatus.GREEN


def test_a_forgotten_vm_is_gray_and_not_reset() -> None:
    rig = Rig()
    rig.code(Verb.ENABLE)
    rig.monitor.forget("vMotion")
    assert rig.status() is AppStatus.GRAY
    assert rig.code(Verb.MARK_ACTIVE) is Code.NOT_ENABLED
    rig.now += 1000
    assert rig.monitor.status is AppStatus.GRAY
    assert rig.monitor.resets == []
    rig.monitor.forget("vMotion")
    assert rig.said[-1] == "HA: vMotion, monitoring forgotten, status Gray"


def test_a_cluster_that_does_not_react_stays_red() -> None:
    rig = Rig(MonitorOptions(reacts=False))
    rig.code(Verb.ENABLE)
    rig.now += 1000
    assert rig.status() is AppStatus.RED
    assert rig.monitor.seconds_left() is None
    assert rig.code(Verb.POST_APP_STATE, "appStateNeedReset") is Code.OK
    assert rig.code(Verb.POST_APP_STATE, "appStateOk") is Code.OK
    assert rig.monitor.resets == []


def test_a_requested_reset_comes_at_once_and_without_enable() -> None:
    rig = Rig()
    assert rig.code(Verb.POST_APP_STATE, "appStateNeedReset") is Code.OK
    assert rig.monitor.resets == [Reset(100.0, "the guest asked for it (appStateNeedReset)")]


def test_a_requested_reset_may_take_a_while_and_can_be_taken_back() -> None:
    rig = Rig(MonitorOptions(request_delay=10))
    rig.code(Verb.POST_APP_STATE, "appStateNeedReset")
    rig.now += 4
    rig.code(Verb.POST_APP_STATE, "appStateNeedReset")
    assert rig.monitor.seconds_left() == 6
    rig.code(Verb.POST_APP_STATE, "appStateOk")
    rig.now += 100
    rig.code(Verb.POST_APP_STATE, "appStateOk")
    assert rig.monitor.resets == []
    rig.code(Verb.POST_APP_STATE, "appStateNeedReset")
    rig.now += 10
    assert rig.monitor.status is AppStatus.GRAY
    assert [reset.time for reset in rig.monitor.resets] == [214.0]
    assert rig.said == [
        "HA: the guest asks for a reset",
        "HA: the guest takes its request for a reset back",
        "HA: the guest asks for a reset",
        "HA: RESET of the VM (number 1): the guest asked for it (appStateNeedReset)",
    ]


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (b"GuestAppMonitor.Cmd.PostAppState", Code.ARGUMENT_EXPECTED),
        (b"GuestAppMonitor.Cmd.PostAppState ", Code.NULL_ARGUMENT),
        (b"GuestAppMonitor.Cmd.PostAppState nonsense", Code.BAD_ARGUMENT),
        (b"GuestAppMonitor.Cmd.PostAppState \xff", Code.BAD_ARGUMENT),
        (b"GuestAppMonitor.Cmd.PostAppState needReset", Code.BAD_ARGUMENT),
        (b"GuestAppMonitor.Cmd.MarkActive ", Code.NOT_ENABLED),
    ],
)
def test_arguments_are_answered_with_their_codes(command: bytes, code: Code) -> None:
    assert Rig().monitor.answer(command) == str(code.value).encode()


def test_a_host_with_the_guides_spelling_is_found_by_trying_both() -> None:
    rig = Rig(MonitorOptions(guide_spelling=True))
    tried: list[str] = []

    def send(spelling: str) -> Code:
        tried.append(spelling)
        return rig.code(Verb.POST_APP_STATE, spelling)

    assert appmonitor.post(AppState.NEED_RESET, send) is Code.OK
    assert tried == ["appStateNeedReset", "needReset"]
    assert len(rig.monitor.resets) == 1


def test_the_status_may_be_spelled_as_in_the_api() -> None:
    rig = Rig(MonitorOptions(status_prefix="appStatus"))
    assert rig.call(Verb.GET_APP_STATUS) == b"appStatusGray"
    assert rig.status() is AppStatus.GRAY


@pytest.mark.parametrize("verb", Verb)
def test_a_host_without_monitoring_has_no_such_command(verb: Verb) -> None:
    with pytest.raises(RpcError, match="Unknown command"):
        Rig(MonitorOptions(supported=False)).call(verb)


@pytest.mark.parametrize(
    "command", [b"GuestAppMonitor.Cmd.", b"GuestAppMonitor.Cmd.enable", b"GuestAppMonitor.Cmd.X"]
)
def test_an_unknown_verb_is_an_unknown_command(command: bytes) -> None:
    with pytest.raises(RpcError, match="Unknown command"):
        Rig().monitor.answer(command)


PAUSES = st.lists(st.floats(0, WINDOW), max_size=30)


@given(PAUSES, st.sampled_from([0.0, 5.0]))
def test_heartbeats_within_the_window_are_never_answered_with_a_reset(
    pauses: list[float], delay: float
) -> None:
    rig = Rig(MonitorOptions(reset_delay=delay))
    rig.code(Verb.ENABLE)
    for pause in pauses:
        due = rig.now + WINDOW
        rig.now = min(rig.now + pause, due)
        assert rig.code(Verb.MARK_ACTIVE) is Code.OK
    assert rig.monitor.resets == []


@given(PAUSES, st.floats(0.001, 1000), st.floats(0, 60))
def test_silence_is_always_a_reset_at_the_same_moment(
    pauses: list[float], longer: float, delay: float
) -> None:
    rig = Rig(MonitorOptions(reset_delay=delay))
    rig.code(Verb.ENABLE)
    for pause in pauses:
        rig.now = min(rig.now + pause, rig.now + WINDOW)
        rig.code(Verb.MARK_ACTIVE)
    due = rig.now + WINDOW
    rig.now = due + delay + longer
    rig.monitor.advance()
    assert [reset.time for reset in rig.monitor.resets] == [due + delay]
