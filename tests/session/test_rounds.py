"""Reading the extended statistics: when, in which encoding, and never in the way."""

import logging
from collections.abc import Callable
from types import MappingProxyType

import pytest

from exporter.catalogue.extended_names import MAX_DEVICES
from exporter.errors import ConnectionLost, RefusedError, RemoteProtocolError, RpcError, VMGuestError
from exporter.session.rounds import MARGIN, ExtendedReader
from exporter.snapshot import ExtendedState, ExtendedValue, Snapshot, SourceInfo

UNKNOWN = RpcError("Unknown command")
LIST = b"session\nhost\nresources\nvscsi scsi0:0\n"
FAR = 1000.0


def xml(session: int = 7, value: int = 5) -> bytes:
    return (
        f'<metrics session="{session}"><metric name="vm.numa.local" type="instant" units="KB">{value}</metric></metrics>'
    ).encode()


class Host:
    """Answers ``stat`` by (encoding, name): bytes, an error to raise, or a function of the call."""

    info = SourceInfo("guestrpc", "memory")
    restarts = None

    def __init__(
        self, answers: dict[tuple[str, str], bytes | Exception], default: bytes | Exception = b""
    ) -> None:
        self.answers = answers
        self.default = default
        self.asked: list[tuple[str, str]] = []
        self.timeouts: list[float | None] = []
        self.takes: Callable[[], None] = lambda: None

    def read(self) -> Snapshot:
        raise AssertionError

    def close(self) -> None:
        raise AssertionError

    def stat(self, encoding: str, name: str, timeout: float | None = None) -> bytes:
        self.asked.append((encoding, name))
        self.timeouts.append(timeout)
        self.takes()
        answer = self.answers.get((encoding, name), self.default)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def reader(clock: Clock) -> ExtendedReader:
    return ExtendedReader(15.0, clock=clock, wall=lambda: 5000.0)


def offers(listing: bytes = LIST) -> Host:
    return Host({("text", ""): listing}, xml())


def test_a_round(reader: ExtendedReader, clock: Clock) -> None:
    host = offers()
    state = reader.step(host, 7, FAR)
    assert host.asked == [("text", "")] + [
        ("xml", name) for name in ("session", "host", "resources", "vscsi scsi0:0")
    ]
    assert state.up is True
    assert state.snapshot is not None
    assert (state.snapshot.session_id, state.snapshot.read_time, state.snapshot.read_monotonic) == (
        7,
        5000.0,
        0.0,
    )
    assert state.snapshot.groups["resources"] == (ExtendedValue("vm.numa.local", 5, "instant", "KB"),)


def test_nothing_is_asked_before_the_next_round_is_due(reader: ExtendedReader, clock: Clock) -> None:
    host = offers()
    reader.step(host, 7, FAR)
    host.asked.clear()
    clock.now = 14.9
    reader.step(host, 7, FAR)
    assert host.asked == []
    clock.now = 15.0
    reader.step(host, 7, FAR)
    assert [name for _, name in host.asked] == ["session", "host", "resources", "vscsi scsi0:0"]


def test_groups_are_listed_anew_every_minute(reader: ExtendedReader, clock: Clock) -> None:
    host = offers()
    reader.step(host, 7, FAR)
    host.answers["text", ""] = b"resources\nvnet m\n"
    clock.now = 60.0
    reader.step(host, 7, FAR)
    # A group that was not there waits for a basic poll of the same epoch.
    state = reader.step(host, 7, FAR)
    assert state.snapshot is not None
    assert set(state.snapshot.groups) == {"resources", "vnet m"}


def test_a_session_change_begins_anew_at_once(reader: ExtendedReader, clock: Clock) -> None:
    host = offers()
    reader.step(host, 7, FAR)
    host.default = xml(8)
    host.asked.clear()
    clock.now = 1.0
    state = reader.step(host, 8, FAR)
    assert host.asked[0] == ("text", "")
    assert state.snapshot is not None
    assert state.snapshot.session_id == 8


def test_a_reply_of_another_session_drops_the_round(reader: ExtendedReader) -> None:
    """The session changed between the basic poll and this one; the next basic poll will say so."""
    host = Host({("text", ""): LIST, ("xml", "session"): xml()}, xml(9))
    assert reader.step(host, 7, FAR).snapshot is None
    assert host.asked[-1] == ("xml", "host"), "what follows in that round would be of the new session too"
    host.answers["xml", "session"] = xml(9)
    state = reader.step(host, 9, FAR)
    assert state.snapshot is not None
    assert state.snapshot.session_id == 9


@pytest.mark.parametrize("refusal", [UNKNOWN, RpcError("disabled")])
def test_an_unsupported_host_is_asked_every_ten_minutes_and_told_once_a_session(
    reader: ExtendedReader, clock: Clock, refusal: RpcError, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    host = Host({}, refusal)
    for now in range(0, 1900, 10):
        clock.now = float(now)
        state = reader.step(host, 7, now + FAR)
    assert host.asked == [("text", "")] * 4
    assert (state.up, state.snapshot) == (None, None)
    assert [record.getMessage() for record in caplog.records] == ["the host has no extended statistics"]
    reader.step(host, 8, clock.now + FAR)
    assert len(host.asked) == 5


def test_a_host_that_was_wrong_about_having_none_is_believed_later(
    reader: ExtendedReader, clock: Clock
) -> None:
    host = offers()
    host.answers["text", ""] = UNKNOWN
    assert reader.step(host, 7, FAR).up is None
    host.answers["text", ""] = LIST
    clock.now = 600.0
    assert reader.step(host, 7, FAR).up is True


@pytest.mark.parametrize(
    "error",
    [
        *(RpcError(word) for word in ("Unknown command", "disabled", "Permission denied", "busy")),
        RemoteProtocolError("nonsense"),
        ConnectionLost("gone"),
    ],
)
def test_one_bad_answer_to_the_list_takes_nothing_away(
    reader: ExtendedReader, clock: Clock, error: VMGuestError
) -> None:
    """Whatever word it is: what the host gave in this session it has."""
    host = offers()
    groups = set(LIST.decode().split("\n")) - {""}
    for now in range(0, 300, 15):
        clock.now = float(now)
        host.answers["text", ""] = error if 60 <= now < 120 else LIST
        host.asked.clear()
        state = reader.step(host, 7, FAR)
        assert state.up is True
        assert state.snapshot is not None
        assert (set(state.snapshot.groups), state.snapshot.read_monotonic) == (groups, now)


def test_a_host_that_took_its_statistics_away_is_a_failed_round(reader: ExtendedReader, clock: Clock) -> None:
    host = offers()
    reader.step(host, 7, FAR)
    host.answers, host.default = {}, UNKNOWN
    clock.now = 60.0
    assert reader.step(host, 7, FAR).up is False


def test_a_host_that_lists_nothing_in_text_is_asked_for_what_every_host_has(reader: ExtendedReader) -> None:
    host = Host({("text", ""): RpcError("bad encoding")}, xml())
    state = reader.step(host, 7, FAR)
    assert state.snapshot is not None
    assert set(state.snapshot.groups) == {"session", "host", "resources"}


@pytest.mark.parametrize(
    ("encoding", "reply"),
    [
        ("json", b'[{"name": "vm.numa.local", "type": "instant", "units": "KB", "value": 5}]'),
        ("yaml", b"vm.numa.local:\n  type: instant\n  units: KB\n  value: 5\n"),
        ("text", b"vm.numa.local = 5\n"),
    ],
)
def test_another_encoding_where_xml_is_refused(
    reader: ExtendedReader, clock: Clock, encoding: str, reply: bytes
) -> None:
    answers: dict[tuple[str, str], bytes | Exception] = {
        ("text", ""): b"resources\n",
        (encoding, "resources"): reply,
    }
    host = Host(answers, RpcError("bad encoding"))
    reader.step(host, 7, FAR)
    state = reader.step(host, 7, FAR)
    assert state.snapshot is not None
    assert state.snapshot.groups["resources"][0].value == 5
    host.asked.clear()
    clock.now = 15.0
    reader.step(host, 7, FAR)
    assert host.asked == [(encoding, "resources")], "what worked is asked for first"


def test_a_device_that_is_gone_is_left_out_and_the_list_asked_for_anew(
    reader: ExtendedReader, clock: Clock
) -> None:
    host = offers()
    reader.step(host, 7, FAR)
    for encoding in ("xml", "json", "yaml", "text"):
        host.answers[encoding, "vscsi scsi0:0"] = RpcError("no such device")
    clock.now = 15.0
    state = reader.step(host, 7, FAR)
    assert state.up is True
    assert state.snapshot is not None
    assert "vscsi scsi0:0" not in state.snapshot.groups
    host.asked.clear()
    clock.now = 30.0
    reader.step(host, 7, FAR)
    assert host.asked[0] == ("text", "")


def test_a_group_that_is_refused_alone_costs_only_itself(reader: ExtendedReader) -> None:
    host = offers()
    for encoding in ("xml", "json", "yaml", "text"):
        host.answers[encoding, "host"] = RpcError("Permission denied")
    state = reader.step(host, 7, FAR)
    assert state.up is True
    assert state.snapshot is not None
    assert "host" not in state.snapshot.groups


def test_everything_refused_is_a_failed_round(reader: ExtendedReader) -> None:
    host = Host({("text", ""): b"resources\n"}, RpcError("Permission denied"))
    assert reader.step(host, 7, FAR).up is False


@pytest.mark.parametrize("error", [ConnectionLost("gone"), RefusedError("no")])
def test_a_failed_round_is_tried_again_in_its_time(
    reader: ExtendedReader, clock: Clock, error: VMGuestError, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    host = offers()
    good = reader.step(host, 7, FAR).snapshot
    answers, host.answers, host.default = host.answers, {}, error
    for now in (15.0, 30.0):
        clock.now = now
        state = reader.step(host, 7, FAR)
        assert (state.up, state.snapshot) == (False, good), "the last good round stays until it is stale"
    host.asked.clear()
    clock.now = 31.0
    reader.step(host, 7, FAR)
    assert host.asked == []
    host.answers, host.default = answers, xml()
    clock.now = 45.0
    assert reader.step(host, 7, FAR).up is True
    told = [record.getMessage() for record in caplog.records]
    assert told[0] == "extended statistics"
    assert told.count("no extended statistics this round") == 1
    assert told[-1] == "extended statistics are back"


def test_nonsense_is_a_failed_round(reader: ExtendedReader) -> None:
    assert reader.step(Host({("text", ""): LIST}, b"<nonsense"), 7, FAR).up is False


def test_a_mistake_in_this_program_does_not_leave_the_step(
    reader: ExtendedReader, caplog: pytest.LogCaptureFixture
) -> None:
    host = Host({("text", ""): LIST}, ZeroDivisionError())
    assert reader.step(host, 7, FAR).up is False
    assert caplog.records[0].exc_info is not None


def test_a_round_stops_before_the_next_poll_and_goes_on_after_it(
    reader: ExtendedReader, clock: Clock
) -> None:
    host = offers()

    def takes() -> None:
        clock.now += 0.4

    host.takes = takes
    first = reader.step(host, 7, 1.0)
    assert first.snapshot is None
    assert [name for _, name in host.asked] == ["", "session", "host"]
    second = reader.step(host, 7, 5.0)
    assert second.snapshot is not None
    assert set(second.snapshot.groups) == {"session", "host", "resources", "vscsi scsi0:0"}
    assert [name for _, name in host.asked[3:]] == ["resources", "vscsi scsi0:0"]


def test_no_request_may_take_longer_than_there_is_time(reader: ExtendedReader, clock: Clock) -> None:
    host = offers(b"resources\n")
    clock.now = 3.0
    reader.step(host, 7, 3.5)
    assert host.timeouts == [0.5 - MARGIN, 0.5 - MARGIN]
    clock.now = 100.0
    for deadline in (99.0, 100.0, 100.0 + MARGIN):
        reader.step(host, 7, deadline)
    assert len(host.timeouts) == 2
    assert MARGIN > 0


def test_drops_are_counted_over_rounds(
    reader: ExtendedReader, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    host = Host(
        {("text", ""): b"resources\nweird thing\n"},
        b'<metrics><metric name="a.b" type="instant" units="">1</metric>'
        b'<metric name="a_b" type="instant" units="">1</metric></metrics>',
    )
    assert reader.step(host, 7, FAR).dropped == 2
    clock.now = 15.0
    assert reader.step(host, 7, FAR).dropped == 3
    assert sum(record.getMessage() == "extended statistics were dropped" for record in caplog.records) == 1


def test_unknown_statistics_can_be_left_out(clock: Clock) -> None:
    reader = ExtendedReader(15.0, unknown=False, clock=clock)
    host = Host(
        {("text", ""): b"resources\n"},
        b'<metrics session="7"><metric name="x.y" type="instant" units="">1</metric></metrics>',
    )
    state = reader.step(host, 7, FAR)
    assert state.snapshot is not None
    assert state.snapshot.groups["resources"] == ()
    assert reader.interval == 15.0


JSON = b'{"vm.numa.local": {"type": "instant", "units": "KB", "value": 5}}'
BROKEN = b'<metrics session="7"><metric name="version">A & B</metric></metrics>'


def speaks(xml: bytes | Exception, json: bytes | Exception = JSON) -> Host:
    """Lists its groups, and gives each in XML and JSON alone."""
    host = Host({("text", ""): LIST}, RpcError("Unsupported encoding"))
    for group in LIST.decode().splitlines():
        host.answers["xml", group], host.answers["json", group] = xml, json
    return host


def test_a_malformed_encoding_is_followed_by_the_next_one(
    reader: ExtendedReader, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "exporter.extended")
    host = speaks(BROKEN)
    reader.step(host, 7, FAR)
    state = reader.step(host, 7, FAR)
    assert state.up is True
    assert state.snapshot is not None
    assert len(state.snapshot.groups) == 4
    # Asked in XML once; then JSON is known to work.
    assert [encoding for encoding, _ in host.asked] == ["text", "xml", *["json"] * 4]
    assert [record.message for record in caplog.records].count("extended statistics in another encoding") == 1
    host.asked.clear()
    clock.now = 15.0
    reader.step(host, 7, FAR)
    assert {encoding for encoding, _ in host.asked} == {"json"}


def test_the_better_encoding_is_tried_again_after_a_session_change(reader: ExtendedReader) -> None:
    reader.step(speaks(BROKEN), 7, FAR)
    host = offers()
    host.default = xml(8)
    assert reader.step(host, 8, FAR).up is True
    assert {encoding for encoding, _ in host.asked} == {"text", "xml"}


def test_a_host_that_is_understood_in_no_encoding_is_malformed(
    reader: ExtendedReader, caplog: pytest.LogCaptureFixture
) -> None:
    host = speaks(BROKEN, b"{")
    assert reader.step(host, 7, FAR).up is False
    assert [getattr(record, "kind", "") for record in caplog.records][-1] == "malformed"
    assert [encoding for encoding, _ in host.asked][:5] == ["text", "xml", "json", "yaml", "text"]


def test_a_group_that_is_understood_in_no_encoding_costs_only_itself(
    reader: ExtendedReader, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    host = offers()
    for encoding in ("xml", "json", "yaml", "text"):
        host.answers[encoding, "session"] = BROKEN
    for now in (0.0, 15.0, 30.0):
        clock.now = now
        state = reader.step(host, 7, FAR)
    assert state.up is True
    assert state.snapshot is not None
    assert set(state.snapshot.groups) == {"host", "resources", "vscsi scsi0:0"}
    assert state.dropped == 3
    told = [record.getMessage() for record in caplog.records]
    assert told.count("a group of extended statistics is not understood") == 1


@pytest.mark.parametrize(
    "listing", [b"", b"\n\n", b"session\0host\0resources", b"x" * 70_000, b"nothing known\n", RpcError("bad")]
)
def test_a_list_that_cant_be_used_is_said_once_and_what_every_host_has_is_asked_for(
    reader: ExtendedReader, clock: Clock, listing: bytes | Exception, caplog: pytest.LogCaptureFixture
) -> None:
    host = Host({("text", ""): listing}, xml())
    for now in (0.0, 60.0, 120.0):
        clock.now = now
        state = reader.step(host, 7, FAR)
    assert state.up is True
    assert state.snapshot is not None
    assert set(state.snapshot.groups) == {"session", "host", "resources"}
    told = [record.getMessage() for record in caplog.records]
    assert told.count("the host's list of extended statistics can't be used") == 1


def test_no_more_devices_are_asked_for_than_are_published(reader: ExtendedReader) -> None:
    devices = [f"vscsi s{n}" for n in range(MAX_DEVICES + 30)] + [f"vnet {n}" for n in range(MAX_DEVICES + 5)]
    host = offers("\n".join(["session", *devices, "resources"]).encode())
    state = reader.step(host, 7, FAR)
    assert len(host.asked) == 1 + 2 + 2 * MAX_DEVICES
    assert ("xml", "resources") in host.asked
    assert state.dropped == 35


def test_groups_in_different_encodings_are_each_asked_for_in_their_own(
    reader: ExtendedReader, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "exporter.extended")
    host = speaks(BROKEN)
    for group in ("host", "vscsi scsi0:0"):
        host.answers["xml", group], host.answers["json", group] = xml(), RpcError("Unsupported encoding")
    for now in range(0, 100, 15):
        clock.now = float(now)
        host.asked.clear()
        reader.step(host, 7, FAR)
    assert [each for each in host.asked if each[1]] == [
        ("json", "session"),
        ("xml", "host"),
        ("json", "resources"),
        ("xml", "vscsi scsi0:0"),
    ]
    told = [record.getMessage() for record in caplog.records]
    assert told.count("extended statistics in another encoding") <= 4


def test_one_malformed_group_does_not_cost_the_others_their_encoding_for_ever(reader: ExtendedReader) -> None:
    host = offers()
    host.answers["xml", "session"] = BROKEN
    host.answers["json", "session"] = b'{"version": "A & B"}'
    for group in ("host", "resources", "vscsi scsi0:0"):
        host.answers["json", group] = JSON
    reader.step(host, 7, FAR)
    state = reader.step(host, 7, FAR)
    assert state.snapshot is not None
    assert state.snapshot.groups["session"] == (ExtendedValue("version", "A & B"),)
    assert state.up is True


def test_a_session_id_that_never_matches_is_told_once_and_asked_no_more_than_once_a_round(
    reader: ExtendedReader, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    host = Host({("text", ""): LIST}, xml(9))
    first = reader.step(host, 7, FAR)
    assert first.up is None
    for second in range(5, 65, 5):
        clock.now = float(second)
        state = reader.step(host, 7, FAR)
        assert state.up is False
    asked = [name for _, name in host.asked if name]
    # The first round, once more at the next poll, and then one question in each interval.
    assert len(asked) == 2 + 3
    told = [each for each in caplog.records if each.getMessage() == "no extended statistics this round"]
    assert len(told) == 1
    assert state.dropped == len(asked), "each reply has one"
    assert "of session 9, the basic ones of 7" in getattr(told[0], "reason", "")
    host.default = xml(7)
    clock.now = 80.0
    assert reader.step(host, 7, FAR).up is True


def test_what_a_parser_leaves_out_is_counted(reader: ExtendedReader) -> None:
    host = offers()
    host.answers["xml", "resources"] = (
        b'<metrics session="7"><metric name="vm.numa.local" type="instant" units="KB">5</metric>'
        b'<metric name="vm.numa.remote" type="instant" units="KB">99999999999999999999999</metric></metrics>'
    )
    state = reader.step(host, 7, FAR)
    assert state.snapshot is not None
    assert len(state.snapshot.groups["resources"]) == 1
    assert state.dropped == 1


class TestSessions:
    """A reply in XML says of which session it is; the others are held back until a basic poll has seen the same.

    So is a reply in which something fell: elapsed may have fallen too, under the same session id.
    """

    TEXT = MappingProxyType(
        {("text", ""): b"session\nresources\n", ("text", "resources"): b"vm.numa.local = 5\n"}
    )

    def host(self) -> Host:
        answers: dict[tuple[str, str], bytes | Exception] = {**self.TEXT, ("xml", "session"): xml()}
        return Host(answers, RpcError("bad encoding"))

    def test_a_round_that_does_not_say_waits_for_the_next_basic_poll(self, reader: ExtendedReader) -> None:
        host = self.host()
        assert reader.step(host, 7, FAR) == ExtendedState()
        asked = len(host.asked)
        state = reader.step(host, 7, FAR)
        assert len(host.asked) == asked, "no further request"
        assert state.snapshot is not None
        assert (state.up, set(state.snapshot.groups)) == (True, {"session", "resources"})

    def test_the_poll_before_it_is_none_after_it(self, reader: ExtendedReader, clock: Clock) -> None:
        host = self.host()
        for told in (0.0, 0.0):
            clock.now = 1.0
            assert reader.step(host, 7, FAR, told=told).snapshot is None
        assert reader.step(host, 7, FAR, told=5.0).snapshot is not None

    def test_it_keeps_the_time_at_which_it_was_read(self, reader: ExtendedReader, clock: Clock) -> None:
        host = self.host()
        reader.step(host, 7, FAR)
        clock.now = 5.0
        state = reader.step(host, 7, FAR)
        assert state.snapshot is not None
        assert state.snapshot.read_monotonic == 0.0

    @pytest.mark.parametrize(("session", "epoch"), [(8, 1), (7, 2)])
    def test_one_that_straddles_a_change_is_thrown_away_and_counted(
        self, reader: ExtendedReader, session: int, epoch: int
    ) -> None:
        host = self.host()
        reader.step(host, 7, FAR, 1)
        host.answers["xml", "session"] = RpcError("gone")
        host.answers["text", ""] = RpcError("Unknown command")
        state = reader.step(host, session, FAR, epoch)
        assert (state.snapshot, state.dropped) == (None, 2)

    def test_a_reply_of_another_session_is_counted_as_is_what_came_before_it(
        self, reader: ExtendedReader
    ) -> None:
        host = offers(b"host\nresources\n")
        host.answers["xml", "host"], host.answers["xml", "resources"] = xml(7), xml(9)
        state = reader.step(host, 7, FAR)
        assert (state.snapshot, state.dropped) == (None, 2)

    def test_one_that_a_change_cuts_in_two_is_counted_too(self, reader: ExtendedReader, clock: Clock) -> None:
        host = offers(b"host\nresources\n")

        def takes() -> None:
            clock.now += 0.6

        host.takes = takes
        reader.step(host, 7, 1.2)
        state = reader.step(Host({}, RpcError("Unknown command")), 8, FAR)
        assert (state.snapshot, state.dropped) == (None, 1)

    def test_when_the_session_group_was_answered_is_kept(self, reader: ExtendedReader, clock: Clock) -> None:
        """Its uptime is as of then, not as of the end of a slow round."""
        host = offers()

        def takes() -> None:
            clock.now += 1.0

        host.takes = takes
        state = reader.step(host, 7, FAR)
        assert state.snapshot is not None
        assert (state.snapshot.at("session").monotonic, state.snapshot.read_monotonic) == (2.0, 5.0)

    @staticmethod
    def signed(**values: int) -> Host:
        """A host with a counter in ``resources``, another in ``host``, and the session's uptime."""
        host = offers(b"session\nresources\nhost\n")
        for group, name, kind, units in (
            ("session", "uptime", "instant", "us"),
            ("resources", "vm.cpu.contention.cpu", "accumulate", "us"),
            ("resources", "vm.numa.local", "instant", "KB"),
            ("host", "energy.used", "accumulate", "ms"),
        ):
            if (value := values.get(name.rpartition(".")[2])) is not None:
                row = f'<metric name="{name}" type="{kind}" units="{units}">{value}</metric></metrics>'
                before = host.answers.get(("xml", group), b'<metrics session="7"></metrics>')
                assert isinstance(before, bytes)
                host.answers["xml", group] = before.replace(b"</metrics>", row.encode())
        return host

    BEFORE = MappingProxyType({"uptime": 900, "cpu": 70, "local": 500, "used": 3000})

    @pytest.mark.parametrize("fallen", ["uptime", "cpu", "used"])
    def test_a_round_in_which_something_fell_waits_for_the_next_basic_poll(
        self, reader: ExtendedReader, clock: Clock, fallen: str
    ) -> None:
        before = reader.step(self.signed(**self.BEFORE), 7, FAR).snapshot
        clock.now = 15.0
        host = self.signed(**{**self.BEFORE, fallen: 5})
        assert reader.step(host, 7, FAR, told=14.0).snapshot is before
        asked = len(host.asked)
        after = reader.step(host, 7, FAR, told=20.0).snapshot
        assert after is not None
        assert after.read_monotonic == 15.0
        assert len(host.asked) == asked, "no further request"
        clock.now = 30.0
        shown = reader.step(host, 7, FAR, told=29.0).snapshot
        assert shown is not None
        assert shown.read_monotonic == 30.0, "it fell once"

    def test_a_group_that_the_round_before_did_not_have_waits_for_the_next_basic_poll(
        self, reader: ExtendedReader, clock: Clock
    ) -> None:
        """Nothing in it can be seen to have fallen: the counters may have begun anew in the middle of the round."""
        host = self.signed(**self.BEFORE)
        away = host.answers.pop(("xml", "host"))
        host.default = RpcError("not now")
        before = reader.step(host, 7, FAR, told=0.0).snapshot
        assert before is not None
        assert "host" not in before.groups
        clock.now = 15.0
        host.answers["xml", "host"] = away
        assert reader.step(host, 7, FAR, told=14.0).snapshot is before
        after = reader.step(host, 7, FAR, told=20.0).snapshot
        assert after is not None
        assert (after.read_monotonic, "host" in after.groups) == (15.0, True)

    def test_it_is_thrown_away_and_counted_where_elapsed_fell_too(
        self, reader: ExtendedReader, clock: Clock
    ) -> None:
        reader.step(self.signed(**self.BEFORE), 7, FAR, 1)
        clock.now = 15.0
        reader.step(self.signed(**{**self.BEFORE, "cpu": 5}), 7, FAR, 1)
        state = reader.step(Host({}, RpcError("Unknown command")), 7, FAR, 2)
        assert (state.snapshot, state.dropped) == (None, 4)

    def test_what_may_fall_or_is_new_or_gone_holds_nothing_back(
        self, reader: ExtendedReader, clock: Clock
    ) -> None:
        for values in ({**self.BEFORE, "local": 5}, {"cpu": 70}, {"cpu": 70, "used": 1}):
            shown = reader.step(self.signed(**values), 7, FAR, told=clock.now).snapshot
            assert shown is not None
            assert shown.read_monotonic == clock.now
            clock.now += 15.0

    def test_a_round_that_is_shown_at_once_takes_the_place_of_one_that_waits(
        self, reader: ExtendedReader, clock: Clock
    ) -> None:
        """Both between two basic polls: a round of slow replies, and the next that was due by then."""
        reader.step(self.signed(**self.BEFORE), 7, FAR, told=0.0)
        clock.now = 15.0
        reader.step(self.signed(**{**self.BEFORE, "cpu": 5}), 7, FAR, told=14.0)
        clock.now = 30.0
        for told in (14.0, 40.0):
            shown = reader.step(self.signed(**self.BEFORE), 7, FAR, told=told).snapshot
            assert shown is not None
            assert shown.read_monotonic == 30.0


def test_a_series_has_one_source_for_as_long_as_its_session_lasts(
    reader: ExtendedReader, clock: Clock
) -> None:
    """Of two names that become one; also when the VM's counters begin anew under the same id, as the host's own don't."""

    def reply(session: int, *rows: tuple[str, int]) -> bytes:
        body = "".join(
            f'<metric name="{name}" type="accumulate" units="">{number}</metric>' for name, number in rows
        )
        return f'<metrics session="{session}">{body}</metrics>'.encode()

    host = Host({("text", ""): b"host\n"})
    shown = []
    for session, epoch, rows in (
        (7, 1, (("io.reads", 90000), ("ioReads", 5000))),
        (7, 1, (("ioReads", 5001), ("io.reads", 90001))),
        (7, 1, (("ioReads", 5002),)),
        (7, 2, (("ioReads", 5003), ("io.reads", 90003))),
        (8, 3, (("ioReads", 5004),)),
    ):
        host.default = reply(session, *rows)
        state = reader.step(host, session, clock.now + FAR, epoch=epoch)
        assert state.snapshot is not None
        shown.append([each.value for each in state.snapshot.groups["host"]])
        clock.now += 15.0
    assert shown == [[90000], [90001], [], [90003], [5004]]
    assert reader.state.dropped == 4


def test_a_reply_without_units_does_not_bend_what_was_read_in_another(
    reader: ExtendedReader, clock: Clock
) -> None:
    host = Host({("text", ""): b"resources\n"}, RpcError("bad encoding"))
    name = "vm.cpu.contention.mem"
    host.answers["xml", "resources"] = (
        f'<metrics session="7"><metric name="{name}" type="accumulate" units="ns">9000000000</metric></metrics>'
    ).encode()
    reader.step(host, 7, FAR)
    del host.answers["xml", "resources"]
    host.answers["text", "resources"] = f"{name} = 9001000000\nguest.mem.swapIn = 5\n".encode()
    clock.now = 15.0
    reader.step(host, 7, FAR, told=0.0)
    clock.now = 20.0
    state = reader.step(host, 7, FAR, told=20.0)
    assert state.snapshot is not None
    assert [each.name for each in state.snapshot.groups["resources"]] == ["guest.mem.swapIn"]
    assert state.dropped == 1
