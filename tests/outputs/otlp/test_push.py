from __future__ import annotations

import itertools
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.sdk.metrics.export import MetricsData

from exporter.catalogue import BY_KEY, OTLP_METRICS, POLLS
from exporter.clock import Instant, Life
from exporter.metrics.families import Family, Point
from exporter.outputs.otlp.client import ExportResult, Outcome
from exporter.outputs.otlp.endpoint import GRPC
from exporter.outputs.otlp.outage import REMIND, WORDINGS
from exporter.outputs.otlp.push import LONGEST_PAUSE, LONGEST_WISH, Push
from exporter.outputs.otlp.reader import Batch
from exporter.outputs.otlp.settings import PushSettings, Temporality
from tests.outputs.otlp.receivers import Gathered, GrpcReceiver, HttpReceiver, Reply, points, values

USED = BY_KEY["cpu_used"].metric
OK = ExportResult(Outcome.SUCCESS)
DOWN = ExportResult(Outcome.FAILED, "ConnectionRefusedError", "Connection refused")


class Host(Gathered):
    """A counter that has grown by 1 at each look, each at another second, and that began with this process."""

    def __init__(self) -> None:
        super().__init__(self._look)
        self.reads = 0

    def _look(self) -> list[Family]:
        self.reads += 1
        began = Point(float(self.reads), (), 1000.0, Life(1, 1000.0, 0.0))
        return [
            Family(USED, (began,), 1000.0 + self.reads, monotonic=float(self.reads)),
            Family(POLLS, (Point(float(self.reads), (), 1000.0),)),
        ]


class FakeClient:
    """Gives ``results`` in turn, then success; an exception among them is raised."""

    def __init__(self, *results: ExportResult | Exception) -> None:
        self.results = list(results)
        self.sent: list[float] = []
        self.taken: list[float] = []
        self.changed = threading.Condition()
        self.closed = threading.Event()

    def export(self, data: MetricsData) -> ExportResult:
        metrics = {each.name: each.data for each in data.resource_metrics[0].scope_metrics[0].metrics}
        value: float = metrics["vmguest.cpu.used"].data_points[0].value  # type: ignore[union-attr]
        result = self.results.pop(0) if self.results else OK
        with self.changed:
            self.sent.append(value)
            if isinstance(result, Exception):
                self.changed.notify_all()
                raise result
            if result.outcome in {Outcome.SUCCESS, Outcome.PARTIAL}:
                self.taken.append(value)
            self.changed.notify_all()
        return result

    def close(self) -> None:
        self.closed.set()

    def wait_for(self, done: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(done, 20)


def push(client: FakeClient, published: Any = None, **more: Any) -> Push:
    given = {"interval": 0.02, "capacity": 100, "timeout": 1.0, **more}
    return Push(
        PushSettings("http://receiver/v1/metrics?api-key=hush", **given),
        published or Host(),
        attributes={"host.name": "vm1"},
        client=lambda settings: client,
        jitter=lambda low, high: 0.0,
    )


@contextmanager
def running(push: Push, limit: float = 20.0) -> Iterator[Push]:
    push.start()
    try:
        yield push
    finally:
        push.stop(limit)


def counts(push: Push) -> dict[str, float]:
    family = push.families()[0]
    return {dict(point.labels)["outcome"]: point.value for point in family.points}


def test_readings_are_taken_again_and_again_and_sent_in_order() -> None:
    client = FakeClient()
    with running(push(client)) as it:
        client.wait_for(lambda: len(client.sent) >= 4)
    assert client.taken == [float(number + 1) for number in range(len(client.taken))]
    assert counts(it)["success"] == len(client.taken)
    assert client.closed.is_set()


def test_an_outage_keeps_what_was_read_and_sends_it_in_order_when_the_receiver_is_back() -> None:
    client = FakeClient(OK, DOWN, DOWN, ConnectionError("lost"), DOWN)
    with running(push(client)) as it:
        client.wait_for(lambda: len(client.taken) >= 6)
    assert client.taken == [float(number + 1) for number in range(len(client.taken))]
    assert client.sent[1:6] == [2.0] * 5
    assert counts(it) == {
        "success": len(client.taken),
        "partial_success": 0,
        "failed": 4,
        "rejected": 0,
        "dropped": 0,
    }


def test_beyond_the_bound_the_oldest_are_dropped_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "exporter.otlp")
    host = Host()
    client = FakeClient()
    held = threading.Event()
    real = client.export

    def export(data: MetricsData) -> ExportResult:
        held.wait(20)
        return real(data)

    client.export = export  # type: ignore[method-assign]
    client.results = [DOWN]
    with running(push(client, host, capacity=3)) as it:
        while host.reads < 10:
            time.sleep(0.005)
        held.set()
        client.wait_for(lambda: len(client.taken) >= 3)
    assert client.sent[0] == 1.0
    # The one under way when the receiver failed was the oldest of all.
    assert client.taken[0] > 4
    assert client.taken == sorted(client.taken)
    assert counts(it)["dropped"] + counts(it)["success"] == host.reads
    assert caplog.messages.count("the oldest waiting exports are dropped") == 1
    back = next(
        each for each in caplog.records if each.getMessage() == "the OTLP receiver takes exports again"
    )
    assert back.__dict__["dropped"] == counts(it)["dropped"]


def test_bad_data_and_a_partial_success_hold_up_nothing(caplog: pytest.LogCaptureFixture) -> None:
    client = FakeClient(
        ExportResult(Outcome.REJECTED, "400", "HTTP 400: what is this"),
        ExportResult(Outcome.PARTIAL, "partial", "too old", refused_points=3),
        ExportResult(Outcome.PARTIAL, "partial", "too old", refused_points=3),
    )
    with running(push(client)) as it:
        client.wait_for(lambda: len(client.sent) >= 4)
    assert client.sent[:4] == [1.0, 2.0, 3.0, 4.0]
    assert (counts(it)["rejected"], counts(it)["partial_success"]) == (1, 2)
    rejected, partial = (each for each in caplog.records if each.levelno == logging.WARNING)
    assert rejected.getMessage() == "the OTLP receiver rejects exports, which are dropped"
    assert (partial.getMessage(), partial.__dict__["points"], partial.__dict__["reason"]) == (
        "the OTLP receiver refuses some points",
        3,
        "too old",
    )


@pytest.mark.parametrize("outcome", [Outcome.SUCCESS, Outcome.PARTIAL, Outcome.REJECTED])
def test_a_rejection_is_no_success(outcome: Outcome) -> None:
    it = push(FakeClient())
    it.stop()
    it.collect_batches()  # the last one
    it.send(lambda batch: ExportResult(outcome, "", "so it is"))
    assert counts(it)[outcome.value] == 1
    told = "vmguest_otlp_last_success_timestamp_seconds" in {each.name for each in it.families()}
    assert told is (outcome is not Outcome.REJECTED)


def test_what_blames_address_or_credentials_is_not_kept_longer_than_it_may() -> None:
    """A rotated secret is back within minutes; for a wrong address nothing is kept for a day."""
    now = 0.0
    unauthorized = ExportResult(Outcome.FAILED, "401", "HTTP 401", give_up_after=900.0)

    class Stopping(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            nonlocal now
            now += 100.0
            if it._queue._closed is False:
                it.collect()
            if now >= 3000:
                it._queue.close()
            return False

    class Aging(Host):
        def now(self) -> Instant:
            return Instant(1000.0 + now, now)

    it = Push(
        PushSettings("http://receiver/v1/metrics", capacity=1000),
        Aging(),
        attributes={},
        clock=lambda: now,
    )
    it._stopping = Stopping()
    it.collect()
    lengths: list[int] = []

    def deliver(batch: Batch) -> ExportResult:
        lengths.append(len(it._queue))
        return unauthorized if now < 3000 else OK

    it.send(deliver)
    # A batch every 100 s, and after each attempt none that is older than 900 s.
    assert max(lengths) == 11
    assert (counts(it)["success"], counts(it)["dropped"]) == (11, 20)


@pytest.mark.parametrize(("data", "sent"), [(True, [1.0, 1.0, 1.0, 1.0]), (False, [1.0, 1.0, 2.0, 1.0])])
def test_a_rejected_export_goes_into_the_next_difference_unless_its_data_was_refused(
    data: bool, sent: list[float]
) -> None:
    """Prometheus answers 500 to differences that it was not told to expect; nine good exports waited behind."""
    client = FakeClient(OK, ExportResult(Outcome.REJECTED, "500", "HTTP 500", data_refused=data))
    with running(push(client, temporality=Temporality.DELTA)) as it:
        client.wait_for(lambda: len(client.sent) >= 4)
    assert client.sent[:4] == sent
    assert counts(it)["rejected"] == 1


def test_an_outage_is_told_once_by_its_cause_and_its_end_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "exporter.otlp")
    token = ExportResult(Outcome.FAILED, "401", "HTTP 401: no token")
    client = FakeClient(DOWN, DOWN, token, DOWN, token, OK, OK, DOWN, OK)
    with running(push(client)):
        client.wait_for(lambda: len(client.taken) >= 4)
    told = [(each.getMessage(), each.__dict__.get("reason")) for each in caplog.records]
    endpoints = {each.__dict__["endpoint"] for each in caplog.records if "endpoint" in each.__dict__}
    assert endpoints == {"http://receiver/v1/metrics?<hidden>"}
    assert told == [
        ("pushing", None),
        ("the OTLP receiver takes no exports, which wait", "Connection refused"),
        ("the OTLP receiver takes no exports, which wait", "HTTP 401: no token"),
        ("the OTLP receiver takes exports again", None),
        ("the OTLP receiver takes no exports, which wait", "Connection refused"),
        ("the OTLP receiver takes exports again", None),
    ]


def test_a_remark_of_the_receiver_is_passed_on_once(caplog: pytest.LogCaptureFixture) -> None:
    remark = ExportResult(Outcome.SUCCESS, reason="use another name")
    client = FakeClient(remark, remark, OK, remark)
    with running(push(client)):
        client.wait_for(lambda: len(client.taken) >= 5)
    assert [each.__dict__["warning"] for each in caplog.records] == ["use another name"]


def test_two_causes_of_one_code_are_told_each(caplog: pytest.LogCaptureFixture) -> None:
    causes = ("Connection refused", "certificate has expired", "unable to get local issuer certificate")
    failures = [ExportResult(Outcome.FAILED, "UNAVAILABLE", f"UNAVAILABLE: {cause}") for cause in causes]
    client = FakeClient(*failures, *failures, OK)
    with running(push(client)):
        client.wait_for(lambda: len(client.taken) >= 1)
    assert [each.__dict__["reason"] for each in caplog.records] == [each.reason for each in failures]


def test_numbers_and_ids_make_no_new_cause_and_there_is_a_bound(caplog: pytest.LogCaptureFixture) -> None:
    ids = [ExportResult(Outcome.FAILED, "503", f"HTTP 503: request 7f{n}a-{n:x}b") for n in range(20)]
    words = [ExportResult(Outcome.FAILED, "502", f"HTTP 502: {'x' * n}") for n in range(1, 40)]
    client = FakeClient(*ids, *words, DOWN, OK)
    with running(push(client)):
        client.wait_for(lambda: len(client.taken) >= 1)
    reasons = [each.__dict__["reason"] for each in caplog.records]
    assert (len([each for each in reasons if "503" in each]), len(reasons)) == (1, 1 + WORDINGS + 1)


def test_a_receiver_that_rejects_now_and_then_is_told_once_an_hour(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It was never away, so it can't be back either."""
    caplog.set_level(logging.INFO, "exporter.otlp")
    now = 0.0
    bad, other = (ExportResult(Outcome.REJECTED, "400", f"HTTP 400: {what}") for what in ("bad", "too old"))
    it = Push(PushSettings("http://receiver/v1/metrics"), Host(), attributes={}, clock=lambda: now)

    def ended(*results: ExportResult) -> list[str]:
        caplog.clear()
        for result in results:
            it._outage.ended(result)
        return [each.__dict__["reason"] for each in caplog.records]

    assert ended(bad, OK, bad, OK, bad) == ["HTTP 400: bad"]
    assert ended(OK, other, OK, bad, OK, other) == ["HTTP 400: too old"]
    now = REMIND - 1
    assert ended(bad, OK) == []
    now = REMIND
    assert ended(bad, OK, bad) == ["HTTP 400: bad"]


@pytest.mark.parametrize("taken", [OK, ExportResult(Outcome.PARTIAL, "partial", "too old", refused_points=3)])
def test_an_outage_ends_when_an_export_is_taken_and_counts_those_that_were_rejected(
    taken: ExportResult, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "exporter.otlp")
    rejected = ExportResult(Outcome.REJECTED, "400", "HTTP 400")
    client = FakeClient(DOWN, rejected, rejected, taken)
    with running(push(client)):
        client.wait_for(lambda: len(client.taken) >= 2)
    back = [each for each in caplog.records if each.getMessage() == "the OTLP receiver takes exports again"]
    assert [each.__dict__["dropped"] for each in back] == [2]


def test_the_pause_doubles_up_to_a_limit_and_obeys_the_receiver() -> None:
    pauses: list[float] = []

    class Stopping(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            assert timeout is not None
            pauses.append(timeout)
            return False

    wishes = [ExportResult(Outcome.FAILED, "429", retry_after=seconds) for seconds in (90.0, 1e6, 0.0, 7.0)]
    results = [*[DOWN] * 7, *wishes, OK, DOWN]
    it = push(FakeClient())
    it._jitter = lambda low, high: (low + high) / 2
    it._stopping = Stopping()
    it.collect()
    it.collect()
    it._queue.close()
    it.send(lambda batch: results.pop(0) if results else OK)
    assert pauses == [1, 2, 4, 8, 16, LONGEST_PAUSE, LONGEST_PAUSE, 90.0, LONGEST_WISH, 1, 7.0, 1]


def test_deadlines_are_absolute_and_those_that_were_missed_are_skipped() -> None:
    now = 100.0
    waits: list[float] = []
    taken: list[float] = []

    class Stopping(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            nonlocal now
            assert timeout is not None
            waits.append(round(timeout, 6))
            now += timeout
            return len(waits) > 4

    def gather() -> list[Family]:
        nonlocal now
        taken.append(now)
        now += {1: 1.0, 2: 25.0}.get(len(taken), 0.0)
        return []

    it = Push(
        PushSettings("http://receiver/v1/metrics", interval=10.0),
        Gathered(gather),
        delay=2.5,
        attributes={},
        clock=lambda: now,
    )
    it._stopping = Stopping()
    it.collect_batches()
    assert taken == [102.5, 112.5, 142.5, 152.5, 162.5]
    assert waits == [2.5, 9.0, 5.0, 10.0, 10.0]


def test_a_mistake_in_gathering_is_logged_and_the_next_reading_comes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    host = Host()
    turns = itertools.count()

    def gather() -> list[Family]:
        if next(turns) == 0:
            raise RuntimeError("broken")
        return host.gather()

    client = FakeClient()
    with running(push(client, Gathered(gather))):
        client.wait_for(lambda: len(client.taken) >= 2)
    assert caplog.messages == ["nothing was collected for the push, by a mistake in this program"]


def test_the_end_takes_a_last_reading_and_sends_what_waits() -> None:
    host = Host()
    client = FakeClient()
    it = push(client, host, interval=3600.0)
    it.start()
    client.wait_for(lambda: client.taken == [1.0])
    it.stop()
    assert client.taken == [1.0, 2.0]
    assert len(it._queue) == 0


def test_a_receiver_that_is_away_at_the_end_gets_one_more_chance(caplog: pytest.LogCaptureFixture) -> None:
    client = FakeClient(*[DOWN] * 50)
    it = push(client, interval=3600.0)
    it._jitter = lambda low, high: 3600.0
    it.start()
    client.wait_for(lambda: len(client.sent) == 1)
    it.stop()
    assert client.sent == [1.0, 1.0]
    assert counts(it) == {"success": 0, "partial_success": 0, "failed": 2, "rejected": 0, "dropped": 2}
    assert len(it._queue) == 0
    lost = caplog.records[-1]
    assert (lost.getMessage(), lost.__dict__["exports"]) == ("exports were not sent before the end", 2)


def test_a_receiver_that_asked_to_be_left_alone_is_left_alone_at_the_end() -> None:
    client = FakeClient(*[ExportResult(Outcome.FAILED, "429", "HTTP 429", retry_after=100.0)] * 5)
    it = push(client, interval=3600.0)
    it.start()
    client.wait_for(lambda: len(client.sent) == 1)
    it.stop()
    assert client.sent == [1.0]


def test_the_end_does_not_wait_longer_than_its_limit_for_a_receiver_that_hangs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = FakeClient()
    entered = threading.Event()

    def hang(data: MetricsData) -> ExportResult:
        entered.set()
        client.closed.wait(20)
        return DOWN

    client.export = hang  # type: ignore[method-assign]
    it = push(client)
    it.start()
    assert entered.wait(20)
    it.stop(limit=0.05)
    assert client.closed.is_set()
    assert counts(it)["dropped"] > 0
    assert caplog.messages == ["exports were not sent before the end"]
    assert not any(thread.is_alive() for thread in it._threads)


def test_stopping_what_never_started_is_fine() -> None:
    push(FakeClient()).stop()


def test_the_metrics_about_itself_are_there_from_the_start() -> None:
    client = FakeClient()
    it = push(client, interval=3600.0)
    assert counts(it) == dict.fromkeys(("success", "partial_success", "failed", "rejected", "dropped"), 0.0)
    assert [each.metric for each in it.families()] == list(OTLP_METRICS[:2])
    before = time.time()
    with running(it):
        client.wait_for(lambda: client.taken == [1.0])
    _, queue, last = it.families()
    assert last.metric is OTLP_METRICS[2]
    assert before <= last.points[0].value <= time.time()
    assert queue.points[0].value == 0


def test_differences_are_against_what_the_receiver_took() -> None:
    """A failed export does not lose its share, and a queue that overflows does not either."""
    client = FakeClient(OK, DOWN, DOWN, OK)
    with running(push(client, temporality=Temporality.DELTA, capacity=0)) as it:
        client.wait_for(lambda: len(client.taken) >= 5)
    assert sum(client.taken) == it._reader._published.reads  # type: ignore[attr-defined]
    assert counts(it)["dropped"] >= 2


# With real clients and receivers on the loopback.


def over_http(receiver: HttpReceiver, **more: Any) -> Push:
    settings = PushSettings(f"{receiver.url}/v1/metrics", interval=0.03, timeout=5.0, capacity=100)
    return Push(replace(settings, **more), Host(), attributes={}, jitter=lambda low, high: 0.0)


def test_http_outages_of_every_kind_lose_nothing_and_keep_the_order(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    replies = [
        Reply(),
        Reply(hang_up=True),
        Reply(hang_up=True),
        Reply(429, {"Retry-After": "0"}),
        Reply(404, {"Content-Type": "text/html"}, b"<html>"),
        Reply(302, {"Location": "/login"}),
        Reply(503, {"Retry-After": "0"}),
        Reply(401),
    ]
    with HttpReceiver(*replies).running() as receiver:
        with running(over_http(receiver)) as it:
            receiver.wait_for(lambda: len(values(receiver.accepted, "vmguest.cpu.used")) >= 5)
        taken = values(receiver.accepted, "vmguest.cpu.used")
    assert taken == [float(number + 1) for number in range(len(taken))]
    assert counts(it)["dropped"] == 0
    # One line per cause, none of the libraries' own.
    assert not [each for each in caplog.records if not each.name.startswith("exporter.")]
    assert len([each for each in caplog.records if each.levelno >= logging.WARNING]) == 6


def test_an_answer_of_404_is_counted_as_what_it_is() -> None:
    """The SDK's force_flush would say True here."""
    with HttpReceiver(*[Reply(404)] * 1000).running() as receiver:
        with running(over_http(receiver)) as it:
            receiver.wait_for(lambda: len(receiver.received) >= 3)
        assert counts(it)["success"] == 0
        assert counts(it)["failed"] >= 3
        assert len(it.families()) == 2


def test_a_receiver_that_hangs_holds_up_neither_readings_nor_the_end() -> None:
    """The SDK's reader would read nothing meanwhile, and wait out its whole time limit at the end."""
    hold = threading.Event()
    with HttpReceiver(Reply(hold=hold)).running() as receiver:
        it = over_http(receiver, timeout=60.0)
        it.start()
        receiver.wait_for(lambda: len(receiver.received) == 1)
        reads = it._reader._published.reads  # type: ignore[attr-defined]
        while it._reader._published.reads < reads + 5:  # type: ignore[attr-defined]
            time.sleep(0.005)
        begun = time.monotonic()
        it.stop(limit=0.1)
        took = time.monotonic() - begun
        hold.set()
    assert took < 30
    assert counts(it)["dropped"] >= 5
    assert not any(thread.is_alive() for thread in it._threads)


def test_a_grpc_receiver_that_comes_late_gets_everything_in_order() -> None:
    with socket.create_server(("127.0.0.1", 0)) as placeholder:
        port = placeholder.getsockname()[1]
    host = Host()
    settings = PushSettings(f"127.0.0.1:{port}", GRPC, interval=0.03, timeout=0.2, capacity=1000)
    it = Push(settings, host, attributes={}, jitter=lambda low, high: 0.0)
    receiver = GrpcReceiver()
    with running(it):
        while counts(it)["failed"] < 2:
            time.sleep(0.005)
        with receiver.running(port=port):
            while len(receiver.accepted) < 5:
                time.sleep(0.005)
            it.stop()
    taken = values(receiver.accepted, "vmguest.cpu.used")
    assert taken == [float(number + 1) for number in range(host.reads)]
    assert points(receiver.accepted[0])["vmguest.cpu.used"][0].time_unix_nano == 1001 * 10**9
