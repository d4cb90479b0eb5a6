from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exporter.errors import (
    ConfigError,
    ConnectionLost,
    NoDeviceError,
    RefusedError,
    RpcError,
    TimeoutExpired,
    TransportError,
)
from exporter.poller import Poller
from exporter.protocol import rpci, stats_v2, stats_v3
from exporter.session import recording as recording_
from exporter.session.record import Exchange, Recorder, TapConnector
from exporter.session.replay import ReplayConnector, ReplaySource, ReplayStream
from exporter.session.rounds import ExtendedReader
from exporter.session.wire import Channel, WireSource
from exporter.simulator.host import SimulatedHost
from exporter.simulator.in_process import InProcess
from exporter.simulator.server import Server

ASK = "guestlib.info.get 3"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def statistics(number: int, session_id: int = 7) -> bytes:
    return rpci.reply(stats_v3.encode(session_id, {17: (True, number)}))


Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """``write(exchange, …, end=10.0)``: a recording's path; ``end`` None leaves it cut off."""

    def write_(*exchanges: Exchange, end: float | None = 10.0, interval: float = 0.0) -> str:
        file, clock = io.BytesIO(), Clock()
        recorder = Recorder(file, interval, clock=clock)
        for exchange in exchanges:
            recorder(exchange)
        if end is not None:
            clock.now = end
            recorder.end()
        path = tmp_path / "host.rec"
        path.write_bytes(file.getvalue())
        return str(path)

    return write_


def good(at: float, number: int, session_id: int = 7) -> Exchange:
    return Exchange(at, 0.001, ASK, statistics(number, session_id))


def failed(at: float, error: str, ask: str = ASK) -> Exchange:
    return Exchange(at, 0.001, ask, b"", error, "as it was")


def elapsed(source: WireSource) -> Any:
    return source.read().values["elapsed"]


def test_the_host_says_what_it_said_by_then(write: Write) -> None:
    clock = Clock()
    source = ReplaySource(write(good(0.1, 1), good(5.0, 2), good(9.0, 3)), clock=clock)
    heard = []
    for clock.now in (0.0, 4.0, 5.0, 8.9, 9.5):
        heard.append(elapsed(source))
    assert heard == [1, 1, 2, 2, 3]
    assert source.info.source == "replay"
    assert source.info.transport == "file"
    assert source.info.protocol == "3"
    source.close()


def test_speed(write: Write) -> None:
    clock = Clock()
    source = ReplaySource(write(good(0.0, 1), good(5.0, 2)), speed=10.0, clock=clock)
    assert elapsed(source) == 1
    clock.now = 0.5
    assert elapsed(source) == 2


def test_a_poll_a_little_early_hears_what_the_recorder_heard(write: Write) -> None:
    clock = Clock()
    source = ReplaySource(write(good(0.01, 1), good(5.01, 2), interval=5.0), clock=clock)
    assert elapsed(source) == 1
    clock.now = 5.0
    assert elapsed(source) == 2


def test_at_the_end_nothing_comes_any_more_and_it_is_said_once(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    source = ReplaySource(write(good(0.0, 1)), clock=clock)
    assert elapsed(source) == 1
    clock.now = 10.1
    for _ in range(2):
        with pytest.raises(
            ConnectionLost, match=r"the recording is over .*1 replies; it ends after 10.0 s.*--replay.loop"
        ):
            source.read()
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        "the recording is over"
    ]


@pytest.mark.parametrize("protocol", [2, 3])
def test_a_loop_begins_anew_in_another_session(write: Write, protocol: int) -> None:
    def at(time: float, number: int) -> Exchange:
        encode = stats_v2.encode if protocol == 2 else stats_v3.encode
        return Exchange(
            time, 0.0, f"guestlib.info.get {protocol}", rpci.reply(encode(7, {17: (True, number)}))
        )

    clock = Clock()
    refusal = Exchange(0.0, 0.0, ASK, rpci.reply(b"Unsupported version", ok=False))
    source = ReplaySource(
        write(*([refusal] if protocol == 2 else []), at(0.0, 1), at(5.0, 2), end=8.0), loop=True, clock=clock
    )
    heard = []
    for clock.now in (0.0, 5.0, 8.5, 13.5, 16.5):
        snapshot = source.read()
        heard.append((snapshot.session_id, snapshot.values["elapsed"]))
    assert heard == [(7, 1), (7, 2), (8, 1), (8, 2), (9, 1)]


def test_extended_statistics_turn_with_the_session(write: Write) -> None:
    clock = Clock()
    text = Exchange(0.1, 0.0, "guestlib.stat.get xml session", rpci.reply(b'<metrics session="7"></metrics>'))
    source = ReplaySource(write(good(0.0, 1), text, end=2.0), loop=True, clock=clock)
    source.read()
    assert source.stat("xml", "session") == b'<metrics session="7"></metrics>'
    clock.now = 2.5
    assert source.read().session_id == 8
    assert source.stat("xml", "session") == b'<metrics session="8"></metrics>'


@pytest.mark.parametrize(
    ("encoding", "reply", "turned"),
    [
        (
            "xml",
            '<metrics session="7"><metric name="a">7</metric></metrics>',
            '<metrics session="8"><metric name="a">7<',
        ),
        ("json", '{"session": 7, "metrics": {"a": 7}}', '{"session": 8, "metrics": {"a": 7}}'),
        ("json", '{"session": {"type": "static", "units": "", "value": 7}, "a": 7}', '"value": 8}, "a": 7}'),
        ("json", '{"session": 77, "a": 7}', '{"session": 77, "a": 7}'),
        ("yaml", "a: 7\nsession:\n  value: 7\n", "a: 7\nsession:\n  value: 8\n"),
        ("text", "a = 7\nsession = 7\nuptime = 7\n", "a = 7\nsession = 8\nuptime = 7\n"),
    ],
)
def test_no_other_number_turns_with_the_session(write: Write, encoding: str, reply: str, turned: str) -> None:
    clock = Clock()
    said = Exchange(0.1, 0.0, f"guestlib.stat.get {encoding} session", rpci.reply(reply.encode()))
    source = ReplaySource(write(good(0.0, 1), said, end=2.0), loop=True, clock=clock)
    source.read()
    clock.now = 2.5
    source.read()
    assert turned in source.stat(encoding, "session").decode()


@pytest.mark.parametrize(("recorded", "shown"), [(2**64 - 2, 2**64 - 1), (2**64 - 1, 1)])
def test_no_session_of_a_loop_is_beyond_64_bits_or_none(write: Write, recorded: int, shown: int) -> None:
    clock = Clock()
    source = ReplaySource(write(good(0.0, 1, recorded), end=2.0), loop=True, clock=clock)
    assert source.read().session_id == recorded
    clock.now = 2.5
    assert source.read().session_id == shown


def test_a_clock_that_did_not_begin_with_the_recording(write: Write) -> None:
    clock = Clock()
    clock.now = 1000.0
    source = ReplaySource(write(good(0.0, 1), good(5.0, 2)), clock=clock)
    heard = []
    for clock.now in (1000.0, 1004.9, 1005.0):
        heard.append(elapsed(source))
    assert heard == [1, 1, 2]


@pytest.mark.parametrize("session", [0, 1, 2])
def test_a_session_that_no_basic_reply_has_named_does_not_turn(write: Write, session: int) -> None:
    clock = Clock()
    reply = b'<metrics session="%d"></metrics>' % session
    said = Exchange(0.0, 0.0, "guestlib.stat.get xml session", rpci.reply(reply))
    source = ReplaySource(write(said, end=2.0), loop=True, clock=clock)
    for clock.now in (0.0, 2.5):
        assert source.stat("xml", "session") == reply


@pytest.mark.parametrize("length", [11, 12, 13])
def test_a_basic_reply_turns_as_far_as_it_has_an_id(write: Write, length: int) -> None:
    clock = Clock()
    reply = (b"\3\0\0\0" + (2**56 + 7).to_bytes(8, "little") + b"!")[:length]
    connector = ReplayConnector(
        recording_.read(write(Exchange(0.0, 0.0, ASK, rpci.reply(reply)), end=2.0)), loop=True, clock=clock
    )
    assert connector.answer(ASK) == (rpci.reply(reply), None)
    clock.now = 2.5
    turned = reply if length == 11 else reply[:4] + (2**56 + 8).to_bytes(8, "little") + reply[12:]
    assert connector.answer(ASK) == (rpci.reply(turned), None)


def test_the_slack_of_a_poll_is_a_tenth_of_the_interval(write: Write) -> None:
    clock = Clock()
    source = ReplaySource(write(good(0.0, 1), good(5.0, 2), interval=5.0), loop=True, clock=clock)
    heard = []
    for clock.now in (0.0, 4.49, 4.51, 10.01, 14.49, 14.51):
        heard.append(elapsed(source))
    assert heard == [1, 1, 2, 1, 1, 2]


def test_the_last_moment_belongs_to_the_recording_and_in_a_loop_too(write: Write) -> None:
    for loop in (False, True):
        clock = Clock()
        source = ReplaySource(write(good(0.0, 1), good(10.0, 2)), loop=loop, clock=clock)
        assert elapsed(source) == 1
        clock.now = 10.0
        snapshot = source.read()
        assert (snapshot.session_id, snapshot.values["elapsed"]) == (7, 2)


@pytest.mark.parametrize(
    ("at", "down"), [(0.0, False), (1.99, False), (2.0, True), (2.99, True), (3.0, False), (99.0, False)]
)
def test_a_failed_attempt_holds_until_the_next_answer(write: Write, at: float, down: bool) -> None:
    recording = recording_.read(write(good(0.0, 1), failed(2.0, "refused", ""), good(3.0, 2)))
    assert (recording.down(ASK, at) is not None) == down


def test_an_attempt_that_failed_when_an_answer_came_came_after_it(write: Write) -> None:
    """The recorder's clock may show the same for both: an answer needs a connection that was there before."""
    recording = recording_.read(write(good(2.0, 1), failed(2.0, "refused", "")))
    assert recording.down(ASK, 2.0) is not None


def test_before_its_first_time_the_first_answer_is_given_and_no_failure(write: Write) -> None:
    recording = recording_.read(write(failed(1.0, "refused", ""), failed(2.0, "lost", ""), good(3.0, 1)))
    first = recording.latest(ASK, 0.0)
    assert first is not None
    assert first.at == 3.0
    assert recording.down(ASK, 0.5) is None
    newest = recording.down(ASK, 2.5)
    assert newest is not None
    assert newest.error == "lost"


@pytest.mark.parametrize("end", [0.0, 5.0])
def test_a_recording_ends_when_it_ends_and_does_not_begin_again_unasked(write: Write, end: float) -> None:
    clock = Clock()
    connector = ReplayConnector(recording_.read(write(end=end)), clock=clock)
    connector.connect(1.0)
    clock.now = end + 0.001
    with pytest.raises(ConnectionLost):
        connector.connect(1.0)
    assert recording_.read(write(end=None)).duration == 0.0


def test_a_loop_of_no_length_ends(write: Write) -> None:
    clock = Clock()
    source = ReplaySource(write(good(0.0, 1), end=0.0), loop=True, clock=clock)
    assert elapsed(source) == 1
    clock.now = 1.0
    with pytest.raises(ConnectionLost):
        source.read()


def test_what_was_never_asked_is_unknown(write: Write) -> None:
    source = ReplaySource(write(good(0.0, 1)), clock=Clock())
    with pytest.raises(RpcError, match="Unknown command"):
        source.stat("xml", "session")


def test_nonsense_is_played_as_it_was_also_in_a_loop(write: Write) -> None:
    clock = Clock()
    nonsense = Exchange(0.0, 0.0, ASK, rpci.reply(b"\3\0"))
    source = ReplaySource(write(nonsense, end=1.0), loop=True, clock=clock)
    for clock.now in (0.0, 1.5):
        with pytest.raises(Exception, match="a V3 reply of 2 bytes"):
            source.read()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("lost", ConnectionLost),
        ("timeout", TimeoutExpired),
        ("refused", RefusedError),
        ("no_device", NoDeviceError),
        ("transport", TransportError),
        ("of-tomorrow", TransportError),
    ],
)
def test_failures_come_back_without_the_wait(write: Write, error: str, kind: type[TransportError]) -> None:
    clock = Clock()
    source = ReplaySource(write(good(0.0, 1), failed(5.0, error), good(6.0, 2)), clock=clock)
    assert elapsed(source) == 1
    clock.now = 5.5
    with pytest.raises(kind, match=r"as it was \(recorded\)"):
        source.read()
    clock.now = 6.0
    assert elapsed(source) == 2


def test_half_a_reply_comes_before_the_connection_breaks(write: Write) -> None:
    half = Exchange(0.0, 0.0, ASK, statistics(1)[:20], "lost", "gone")
    stream = ReplayConnector(recording_.read(write(half)), clock=Clock()).connect(1.0)
    stream.send(rpci.request(ASK.encode()), 1.0)
    assert stream.receive(1.0) == statistics(1)[:20]
    with pytest.raises(ConnectionLost):
        stream.receive(1.0)
    stream.close()
    with pytest.raises(TimeoutExpired):
        stream.receive(1.0)


def test_a_host_that_was_not_to_be_reached_is_not(write: Write) -> None:
    clock = Clock()
    source = ReplaySource(
        write(failed(0.0, "refused", ""), good(2.0, 1), failed(4.0, "refused", ""), good(6.0, 2)), clock=clock
    )
    with pytest.raises(RefusedError):
        source.read()
    clock.now = 2.5
    assert elapsed(source) == 1
    # The connection is open, the host is gone: the channel finds it broken, and no new one to be had.
    clock.now = 4.5
    with pytest.raises(RefusedError):
        source.read()
    clock.now = 6.5
    assert elapsed(source) == 2


def test_a_recording_of_nothing_answers_nothing(write: Write) -> None:
    connector = ReplayConnector(recording_.read(write()), clock=Clock())
    channel = Channel(connector, 1.0)
    with pytest.raises(RpcError):
        channel.call(b"guestlib.info.get 3")
    channel.close()
    assert isinstance(connector.connect(1.0), ReplayStream)


def test_a_recording_that_was_cut_off_plays_up_to_the_cut_and_says_so(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    path = Path(write(good(0.0, 1), good(5.0, 2), good(7.5, 3), end=None))
    text = path.read_bytes()
    path.write_bytes(text[:-20])
    clock = Clock()
    source = ReplaySource(str(path), clock=clock)
    assert source.info.note == f"{path}: 2 replies; cut off: it ends after 5.0 s"
    assert caplog.records[0].levelno == logging.WARNING
    assert elapsed(source) == 1
    clock.now = 5.0
    assert elapsed(source) == 2
    clock.now = 5.1
    with pytest.raises(ConnectionLost, match="cut off"):
        source.read()


@pytest.mark.parametrize("keep", range(0, 700, 13))
def test_wherever_it_is_cut_off_what_is_whole_is_played(write: Write, keep: int) -> None:
    path = Path(write(good(0.0, 1), good(5.0, 2)))
    whole = path.read_bytes()
    path.write_bytes(whole[:keep])
    if whole.find(b"\n") + 1 > keep + 1:
        with pytest.raises(ConfigError, match=":1: no recording"):
            recording_.read(str(path))
        return
    recording = recording_.read(str(path))
    assert recording.cut
    assert recording.lines == max(whole[:keep].count(b"\n") - 1, 0)


def line(**fields: Any) -> str:
    return json.dumps({"at": 0.0, "took": 0.0, "ask": ASK, "reply": "", **fields})


HEAD = json.dumps({"format": "vmguest-recording", "version": 1, "interval": 5.0, "of_tomorrow": 1})


@pytest.mark.parametrize(
    ("text", "where", "word"),
    [
        ("", ":1:", "no recording"),
        ("hello\n", ":1:", "no recording"),
        ("[1]\n", ":1:", "no recording"),
        ('{"format": "vmguest-recording"}\n', ":1:", "no recording"),
        ('{"format": "pcap", "version": 1}\n', ":1:", "'pcap'"),
        ('{"format": "vmguest-recording", "version": 2}\n', ":1:", "version 2"),
        (f"{HEAD}\nhello\n", ":2:", "expected a JSON object with at, took, ask and reply"),
        (f"{HEAD}\n{line()}\n\n", ":3:", "expected a JSON object"),
        (f"{HEAD}\n[1, 2]\n", ":2:", "expected a JSON object"),
        (f"{HEAD}\n" + '{"at": 1.0, "took": 1.0, "ask": ""}\n', ":2:", "'reply' is missing"),
        (f"{HEAD}\n{line(at='x')}\n", ":2:", "expected a JSON object"),
        (f"{HEAD}\n{line(reply='%')}\n", ":2:", "expected a JSON object"),
        (f"{HEAD}\n{line(at=5.0)}\n{line(at=4.0)}\n", ":3:", "at goes back, from 5.0 to 4.0"),
        (f"{HEAD}\n" + '{"at": 1.0, "guest": {"vcpus": "4"}}\n', ":2:", "vcpus is '4', where a number"),
        (f"{HEAD}\n" + '{"at": 1.0, "guest": {"vcpus": true}}\n', ":2:", "vcpus is True"),
        (f"{HEAD}\n" + '{"at": 1.0, "guest": {"steal_seconds": NaN}}\n', ":2:", "steal_seconds is nan"),
        (f"{HEAD}\n" + '{"at": 1.0, "guest": 4}\n', ":2:", "expected a JSON object"),
        (f"{HEAD}\n" + '{"at": 2.0, "guest": {}}\n{"at": 1.0, "guest": {}}\n', ":3:", "at goes back"),
        (f"{HEAD}\n" + '{"at": 1.0, "end": true}\n' + f"{line()}\n", ":3:", "has ended in the line before"),
    ],
)
def test_what_is_no_recording_is_refused_by_file_and_line(
    tmp_path: Path, text: str, where: str, word: str
) -> None:
    path = tmp_path / "x.rec"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        ReplaySource(str(path))
    assert str(caught.value).startswith(f"{path}{where} ")
    assert word in str(caught.value)


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match=r"/nonexistent/x\.rec: No such file"):
        ReplaySource("/nonexistent/x.rec")


def test_keys_of_later_versions_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "x.rec"
    path.write_text(f"{HEAD}\n{line(of_tomorrow=1)}\n")
    recording = recording_.read(str(path))
    assert recording.lines == 1
    assert recording.interval == 5.0


def said(at: float, ask: str, reply: bytes | None) -> Exchange:
    """``reply`` None: a refusal."""
    whole = rpci.reply(b"Unsupported encoding", ok=False) if reply is None else rpci.reply(reply)
    return Exchange(at, 0.001, f"guestlib.stat.get {ask}", whole)


def contention(at: float, seconds: int, encoding: str) -> Exchange:
    name, units = "vm.cpu.contention.cpu", seconds * 1_000_000
    replies = {
        "json": f'{{"{name}": {{"type": "accumulate", "units": "us", "value": "{units}"}}}}',
        "yaml": f"{name}:\n  type: accumulate\n  units: us\n  value: {units}\n",
        "text": f"{name} = {units}\n",
    }
    return said(at, f"{encoding} resources", replies[encoding].encode())


def shown_of(path: str, interval: float) -> list[tuple[int, float | None, bool | None]]:
    """What a poller shows of a recording: number of the session, its contention, and whether there are such statistics."""
    clock = Clock()
    reader = ExtendedReader(2.0, clock=clock, wall=clock)
    poller = Poller(ReplaySource(path, clock=clock), interval, clock=clock, wall=clock, extended=reader)
    found = []
    for number in range(int(20 / interval) + 1):
        clock.now = number * interval
        poller.poll()
        poller.poll_extended(clock.now + interval)
        state = poller.state
        values = state.extended.groups["resources"] if state.extended is not None else ()
        value = next((float(each.value) / 1e6 for each in values), None)
        found.append((state.session_changes + 1, value, state.extended_up))
    return found


@pytest.mark.parametrize("encoding", ["json", "yaml", "text"])
@pytest.mark.parametrize(("session_id", "elapsed_after"), [(8, 2_000_000), (7, 500_000), (8, 90_000_000)])
@pytest.mark.parametrize("interval", [0.5, 2.0, 3.7])
def test_extended_statistics_are_never_those_of_another_session(
    write: Write, encoding: str, session_id: int, elapsed_after: int, interval: float
) -> None:
    """They do not say of which they are. The VM moved, or was begun anew, between the poll at 12 s and the reply after it."""
    refused = [
        said(at, f"{each} resources", None)
        for at in (0.02, 14.06)
        for each in ("xml", "json", "yaml", "text")
    ]
    path = write(
        *sorted(
            (
                *(each for each in refused if encoding not in each.ask),
                *(said(at, "text ", b"resources\n") for at in (0.01, 14.05)),
                *(good(at, 1_000_000 + round(at * 1000)) for at in (0.0, 6.0, 12.0)),
                *(good(at, elapsed_after + round(at * 1000), session_id) for at in (14.0, 16.0, 18.0)),
                contention(0.1, 6000, encoding),
                contention(6.1, 6006, encoding),
                contention(12.1, 1, encoding),
                contention(14.1, 3, encoding),
                contention(18.1, 7, encoding),
            ),
            key=lambda each: each.at,
        ),
        end=20.0,
    )
    shown = shown_of(path, interval)
    of = {
        number: {value for each, value, _ in shown if each == number and value is not None}
        for number in (1, 2)
    }
    assert of[1] == {6000, 6006}
    assert of[2] <= {3, 7}
    assert 3 in of[2]


def test_what_was_not_asked_in_a_session_is_withheld_in_it(write: Write) -> None:
    path = write(
        good(0.0, 1_000_000),
        said(0.01, "text ", b"resources\n"),
        said(0.02, "xml resources", None),
        contention(0.1, 6000, "json"),
        good(6.0, 1_006_000),
        good(8.0, 1_000, 8),
        end=20.0,
    )
    shown = shown_of(path, 0.5)
    assert {(value, up) for number, value, up in shown if number == 2} == {(None, False)}
    assert (1, 6000.0, True) in shown


@pytest.mark.parametrize("scenario", ["steady", "vmotion", "v2-host", "older-host", "host-stats-disabled"])
def test_a_recorded_host_is_to_a_poller_what_the_host_was(tmp_path: Path, scenario: str) -> None:
    """Record through the poller itself, then play: each poll sees the same, extended statistics too."""

    def poll(source: WireSource, clock: Clock) -> list[Any]:
        poller = Poller(
            source, 5.0, clock=clock, wall=clock, extended=ExtendedReader(5.0, clock=clock, wall=clock)
        )
        seen = []
        for number in range(12):
            clock.now = 5.0 * number
            poller.poll()
            poller.poll_extended(clock.now + 5.0)
            state = poller.state
            extended = state.extended.groups if state.extended else None
            seen.append((state.snapshot, state.last_error, extended, state.session_changes))
        source.close()
        return seen

    clock, path = Clock(), tmp_path / "host.rec"
    with path.open("wb") as file:
        recorder = Recorder(file, 5.0, clock=clock)
        host = InProcess(Server(SimulatedHost(scenario, clock)))
        recorded = poll(WireSource(TapConnector(host, recorder, clock=clock)), clock)
        recorder.end()
    clock = Clock()
    played = poll(ReplaySource(str(path), clock=clock), clock)
    assert played == recorded
    assert all(snapshot is not None for snapshot, *_ in played)
