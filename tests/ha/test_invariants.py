"""Whatever happens, in whatever order: the promises of docs/heartbeats.md, against the simulated vSphere HA.

The heart's real loop, policy, lock, wire source and channel run on a clock of the test's own against the simulated
host's real monitor. Each sequence mixes good and bad health, hung checks, stalls, broken connections, lost, slow and
refused replies, vMotions, orderly stops, crashes and restarts. Every disturbance by itself is one that the promises
cover: it keeps heartbeats from getting through for less than the window minus one interval.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections import deque
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from exporter.errors import ConnectionLost, RefusedError, TimeoutExpired
from exporter.ha import lock
from exporter.ha.heart import CALL_LIMIT
from exporter.ha.link import Link
from exporter.ha.loop import Heart
from exporter.ha.messages import ORPHANED, STOPPED, HealthUpdate, LogLine, Message
from exporter.ha.policy import Policy
from exporter.ha.rules import Health, OnUnhealthy, Rules
from exporter.ha.wire import WireAppMonitor
from exporter.protocol import packet, rpci
from exporter.protocol.appmonitor import PREFIX, Verb
from exporter.session.wire import Channel
from exporter.simulator.ha import Monitor, MonitorOptions

WINDOW = 30.0
LATENCY = 0.002
NEWS = 1.0
SEQUENCES = 2000 if os.environ.get("COMPLETE") else 100
"""All of them in make test-all."""
SETTLE = 6.0
"""Seconds after a disturbance within which a heartbeat has got through."""


class World:
    """One VM: its host, its clock, its exporter (or none)."""

    def __init__(self, rules: Rules, folder: Path, request_delay: float = 0.0) -> None:
        self.rules = rules
        self.now = 1000.0
        self.boot = folder / "boot_id"
        self.boots = 0
        self.path = str(folder / "ha.lock")
        self.host = Monitor(MonitorOptions(window=WINDOW, request_delay=request_delay), self.clock)
        self.deaf_until = 0.0
        """Until then the host refuses Disable."""
        self.unreachable_until = 0.0
        self.faults: deque[str] = deque()
        self.generation = 0
        self.beaters: set[tuple[int, int]] = set()
        self.number = 0
        self.heart: Heart | None = None
        self.held: lock.Lock | None = None
        self.link = FakeLink()
        self.stop_wanted = False
        self.policy: Policy | None = None
        self.health = Health.GOOD
        self.stalled = self.seen_healthy = False
        self.last_news = 0.0
        self.session_changes = 0
        self.unwell_since: float | None = None
        self.failed_for = 0.0
        """Seconds for which they had failed before a fault of the exporter's own."""
        self.failing_since: float | None = None
        """Since when a check of the user's fails."""
        self.asked_rightly = False
        """Checks had failed for the grace period when a reset was asked for, and have not become good again."""
        self.silent_since: float | None = None
        """Since when the exporter's silence counts as bad health."""
        self.covered = self.now
        """When an exporter last ran that had no right to be silent."""
        self.stopped = True
        self.seen_resets = 0
        self.undeserved: list[str] = []
        self.boot.write_text("boot")

    def clock(self) -> float:
        return self.now

    def start(self) -> bool:
        """Start an exporter; False: refused, another one runs."""
        held = lock.acquire(self.path, boot_id=self.boot)
        if held is None:
            return False
        self.number += 1
        self.held = held
        self.link = FakeLink()
        self.policy = Policy(self.rules, self.now, held.before.leftover)
        channel = Channel(FakeConnector(self, self.number), CALL_LIMIT, clock=self.clock)
        self.heart = Heart(
            WireAppMonitor(channel),
            self.policy,
            self.link,
            stop=lambda: self.stop_wanted,
            note=held.note,
            clock=self.clock,
            wall=self.clock,
        )
        self.stop_wanted = False
        self.stopped = False
        self.stalled = self.seen_healthy = False
        self.silent_since = None
        self.last_news = 0.0
        return True

    def end(self, *, orderly: bool) -> None:
        assert self.held is not None
        self.held.release()
        self.heart = self.held = self.policy = None
        self.stopped = orderly

    def run(self, seconds: float) -> int | None:
        """Let time pass; the heart's exit status when it ends on the way."""
        until = self.now + seconds
        status = None
        calls = 0
        while self.now < until:
            calls += 1
            if self.heart is not None and not self.may_be_silent(self.now):
                self.covered = self.now
            assert calls < 200 + 10 * seconds, f"the heart does not rest: {self.link.lines[-5:]}"
            if self.heart is None:
                self.now = until
                self.reset_if_due()
                break
            if not self.stalled and self.now - self.last_news >= NEWS:
                self.tell()
            status = self.heart.turn()
            if status is not None:
                self.end(orderly=status == STOPPED)
                break
            self.now += min(self.heart.pause, max(0.0, until - self.now))
            self.reset_if_due()
        return status

    def reset_if_due(self) -> None:
        self.host.advance()
        if len(self.host.resets) > self.seen_resets:
            self.reboot()

    def tell(self) -> None:
        self.last_news = self.now
        self.seen_healthy |= self.health is Health.GOOD
        self.link.inbox.append(HealthUpdate(self.health, "a check fails", self.now, self.session_changes))

    @property
    def bad_since(self) -> float | None:
        """Since when the heart must know that health is not good, for whatever reason."""
        return min((t for t in (self.unwell_since, self.silent_since) if t is not None), default=None)

    def may_be_silent(self, time: float) -> bool:
        """Whether bad health has lasted long enough at ``time`` for the heart to let a reset happen."""
        bad = self.bad_since is not None and time - self.bad_since >= self.rules.grace - 0.01
        return bad and self.rules.on_unhealthy is not OnUnhealthy.DISABLE

    def reboot(self) -> None:
        """The guest was reset. Was that right? Then it boots, and the unit starts the exporter."""
        reset = self.host.resets[-1]
        self.seen_resets = len(self.host.resets)
        silent = self.may_be_silent(reset.time) or reset.time - self.covered > self.budget
        if self.stopped or not (self.asked_rightly if "asked" in reset.reason else silent):
            said = self.link.lines[-5:]
            self.undeserved.append(f"{reset}, health {self.health}, {self.rules}, {said}")
        if self.held is not None:
            self.end(orderly=True)
        self.boots += 1
        self.boot.write_text(f"boot-{self.boots}")
        self.health, self.unwell_since, self.failing_since, self.failed_for = Health.GOOD, None, None, 0.0
        self.start()

    @property
    def budget(self) -> float:
        """Seconds without a heartbeat getting through that are survived, whenever they begin."""
        return WINDOW - self.rules.interval - SETTLE


class FakeLink(Link):
    def __init__(self) -> None:
        self.inbox: list[Message] = []
        self.closed = False
        self.lines: list[LogLine] = []

    def receive(self) -> list[Message]:
        inbox, self.inbox = self.inbox, []
        return inbox

    def send(self, message: Message) -> None:
        if isinstance(message, LogLine):
            self.lines.append(message)


class FakeConnector:
    transport = "memory"

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.number = number

    def connect(self, timeout: float) -> FakeStream:
        self.world.now += LATENCY
        if self.world.now < self.world.unreachable_until:
            raise RefusedError("unreachable")
        return FakeStream(self.world, self.number)


class FakeStream:
    """A connection to the host: exchanges take a little time, and go wrong as the world says."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.number = number
        self.generation = world.generation
        self.reply = b""

    def send(self, data: bytes, timeout: float) -> None:
        world = self.world
        fault = world.faults.popleft() if world.faults else ""
        if fault == "broken" or self.generation != world.generation:
            raise ConnectionLost("broken")
        if fault == "slow":
            world.now += 1.5
        if fault == "request lost" or world.now < world.unreachable_until:
            return
        decoder = packet.PacketDecoder()
        decoder.feed(data)
        body = decoder.next()
        assert body is not None
        command = rpci.parse_request(body).command
        if command == f"{PREFIX}{Verb.MARK_ACTIVE.value}".encode():
            world.beaters.add((self.number, threading.get_ident()))
        if b"eed" in command:
            since = world.failing_since
            world.asked_rightly = since is not None and world.now - since >= world.rules.grace - 0.01
        if fault == "refused" or (b"Disable" in command and world.now < world.deaf_until):
            self.reply = rpci.reply(b"1")
            return
        answer = rpci.reply(world.host.answer(command))
        if fault == "malformed":
            answer = rpci.reply(b"?")
        if fault != "reply lost":
            self.reply = answer

    def receive(self, timeout: float) -> bytes:
        if not self.reply:
            self.world.now += max(0.0, timeout)
            raise TimeoutExpired("no reply")
        self.world.now += LATENCY
        reply, self.reply = self.reply, b""
        return reply

    def unread(self) -> int:
        return 0

    def close(self) -> None:
        pass


FAULTS = st.lists(
    st.sampled_from(["broken", "request lost", "reply lost", "slow", "refused", "malformed"]),
    min_size=1,
    max_size=3,
)


class Promises(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="vmg"))

    def teardown(self) -> None:
        if hasattr(self, "world") and self.world.held:
            self.world.held.release()
        shutil.rmtree(self.folder)

    @initialize(
        interval=st.sampled_from([5.0, 10.0, 15.0]),
        grace=st.sampled_from([0.0, 5.0, 30.0]),
        on_unhealthy=st.sampled_from(OnUnhealthy),
        request_delay=st.sampled_from([0.0, 20.0]),
    )
    def begin(self, interval: float, grace: float, on_unhealthy: OnUnhealthy, request_delay: float) -> None:
        self.world = World(Rules(interval, grace, on_unhealthy), self.folder, request_delay)
        self.world.start()

    # What may be lost without a reset

    @property
    def budget(self) -> float:
        return self.world.budget

    def settle(self) -> None:
        self.world.run(SETTLE)
        if self.alive and self.world.health is Health.GOOD and not self.world.stalled:
            self.world.asked_rightly = False

    @property
    def alive(self) -> bool:
        return self.world.heart is not None

    @rule(seconds=st.floats(0.1, 40))
    def time_passes(self, seconds: float) -> None:
        self.world.run(seconds)

    @rule(health=st.sampled_from([Health.BAD, Health.FAULT]))
    def health_turns_bad(self, health: Health) -> None:
        world = self.world
        world.health = health
        if world.unwell_since is None:
            world.unwell_since = world.now
        # A fault of the exporter's own adds nothing to the time for which checks have failed, and clears nothing of it.
        if health is Health.FAULT:
            if world.failing_since is not None:
                world.failed_for = world.now - world.failing_since
            world.failing_since = None
        elif world.failing_since is None:
            world.failing_since = world.now - world.failed_for
        world.last_news = 0.0

    @rule()
    def health_turns_good(self) -> None:
        world = self.world
        world.health = Health.GOOD
        if not world.stalled:
            self.heard_that_it_is_good()

    @precondition(lambda self: self.alive)
    @rule()
    def the_exporter_stalls(self) -> None:
        """A blocked log write, garbage collection, a wedged main thread: no news, but the heart runs."""
        world = self.world
        if not world.stalled:
            world.stalled = True
            world.silent_since = max(world.last_news, world.now - NEWS) + world.rules.interval

    @precondition(lambda self: self.alive and self.world.stalled)
    @rule()
    def the_exporter_goes_on(self) -> None:
        world = self.world
        world.stalled, world.silent_since = False, None
        world.last_news = 0.0
        if world.health is Health.GOOD:
            self.heard_that_it_is_good()
        else:
            self.settle()

    def heard_that_it_is_good(self) -> None:
        world = self.world
        world.unwell_since = world.failing_since = None
        world.last_news = world.failed_for = 0.0
        self.settle()

    @precondition(lambda self: self.alive)
    @rule(faults=FAULTS)
    def exchanges_go_wrong(self, faults: list[str]) -> None:
        self.world.faults.extend(faults)
        self.world.run(self.world.rules.interval + SETTLE)
        # Three lost requests take eight seconds: only from here on a heartbeat gets through.
        self.world.faults.clear()
        self.settle()

    @rule(share=st.floats(0, 1))
    def the_host_is_away(self, share: float) -> None:
        self.world.unreachable_until = self.world.now + share * self.budget
        self.world.run(share * self.budget)
        self.settle()

    @rule(noticed=st.booleans())
    def vmotion(self, noticed: bool) -> None:
        """Also: host restart, resume, snapshot revert. The connection breaks, the host knows nothing."""
        self.world.host.forget("vMotion")
        self.world.generation += 1
        if noticed:
            self.world.session_changes += 1

    @rule()
    def the_connection_breaks(self) -> None:
        self.world.generation += 1

    @precondition(lambda self: self.alive)
    @rule(share=st.floats(0, 1))
    def the_whole_exporter_is_frozen(self, share: float) -> None:
        """SIGSTOP, a busy hypervisor: nothing runs, the heart neither."""
        world = self.world
        world.now += share * self.budget
        # A machine that was reset meanwhile does not go on where it stood.
        world.reset_if_due()
        self.settle()

    # Ends and beginnings

    @precondition(lambda self: self.alive)
    @rule(share=st.floats(0, 1), unknown=st.booleans())
    def crash_and_restart(self, share: float, unknown: bool) -> None:
        """kill -9, and systemd starts it again: within the window, as the last beat is an interval old at most."""
        self.crash()
        self.world.run(share * self.budget)
        if not self.alive:
            self.restart(unknown)

    @precondition(lambda self: self.alive)
    @rule()
    def crash(self) -> None:
        world = self.world
        world.link.closed = True
        status = world.run(10)
        assert status == ORPHANED

    @precondition(lambda self: not self.alive)
    @rule(unknown=st.booleans())
    def restart(self, unknown: bool) -> None:
        world = self.world
        assert world.start()
        if unknown:
            # The first verdicts take their time: checks need several good answers.
            known, world.health = world.health, Health.UNKNOWN
            world.run(45)
            world.health = known
        if world.health is not Health.GOOD:
            # Grace begins anew: what was before the start is not known.
            world.unwell_since = world.now
            world.failing_since = world.now if world.health is Health.BAD else None
            world.failed_for = 0.0
        self.settle()

    @precondition(lambda self: self.alive)
    @rule()
    def a_second_exporter_is_refused(self) -> None:
        assert not self.world.start()
        assert lock.holder(self.world.path) == os.getpid()

    @precondition(lambda self: self.alive)
    @rule(
        faults=st.lists(st.sampled_from(["", "broken", "request lost", "reply lost", "refused"]), max_size=3),
        before=st.sampled_from([0.0, 2.0, 10.0]),
        deaf=st.sampled_from([0.0, 50.0]),
    )
    def orderly_stop(self, faults: list[str], before: float, deaf: float) -> None:
        """Whatever else goes wrong just before it or during it; ``deaf``: the host refuses Disable for so long."""
        world = self.world
        resets = len(world.host.resets)
        world.faults.extend(faults)
        world.run(before)
        if not self.alive or len(world.host.resets) > resets:
            return
        world.deaf_until = world.now + deaf
        world.stop_wanted = True
        status = world.run(world.rules.stop_limit)
        world.faults.clear()
        if len(world.host.resets) > resets and not world.undeserved:
            # The end of a silence that was deserved came before the host could hear of the stop.
            return
        assert status == STOPPED
        assert not world.host.enabled
        world.run(3 * WINDOW)
        assert len(world.host.resets) == resets

    # What must come to pass

    @property
    def withholds(self) -> bool:
        """Monitoring is ours, health was good in this exporter's life, and bad health may lead to a reset."""
        world = self.world
        return (
            world.policy is not None
            and world.policy.conversation.claim.armed
            and world.seen_healthy
            and world.rules.on_unhealthy is not OnUnhealthy.DISABLE
        )

    @precondition(lambda self: self.withholds and self.world.rules.on_unhealthy is OnUnhealthy.WITHHOLD)
    @rule(
        health=st.sampled_from([Health.BAD, Health.FAULT, None]),
        vmotion=st.one_of(st.none(), st.floats(0, 60)),
    )
    def bad_health_that_lasts_ends_in_a_reset(self, health: Health | None, vmotion: float | None) -> None:
        """Within window + grace + one interval. ``health`` None: the exporter hangs, which is seen one interval later.

        After a vMotion on the way, what is left of it begins anew.
        """
        world = self.world
        rules = world.rules
        before = len(world.host.resets)
        limit = WINDOW + rules.grace + rules.interval + 0.1
        if health is None:
            self.the_exporter_stalls()
            limit += rules.interval
        else:
            if world.stalled:
                self.the_exporter_goes_on()
            self.health_turns_bad(health)
        end = world.now + limit
        if vmotion is not None:
            world.run(min(vmotion, limit))
            self.vmotion(noticed=False)
            end = max(end, world.now + WINDOW + rules.interval + 0.1)
        world.run(end - world.now)
        assert len(world.host.resets) > before

    @precondition(
        lambda self: (
            self.withholds
            and self.world.bad_since is None
            and (
                self.world.rules.on_unhealthy is OnUnhealthy.WITHHOLD or self.world.host.options.request_delay
            )
        )
    )
    @rule(share=st.floats(0, 1), health=st.sampled_from([Health.BAD, Health.FAULT]))
    def health_that_returns_in_time_resets_nothing(self, share: float, health: Health) -> None:
        """Beats in the window's last seconds, and a request for a reset that is taken back before it is acted upon."""
        world = self.world
        before = len(world.host.resets)
        self.health_turns_bad(health)
        world.run(world.rules.grace + share * self.budget)
        self.health_turns_good()
        world.run(world.host.options.request_delay)
        assert len(world.host.resets) == before

    # What must hold after every step

    @invariant()
    def resets_are_deserved(self) -> None:
        if not hasattr(self, "world"):
            return
        world = self.world
        assert world.undeserved == []

    @invariant()
    def one_thread_beats_for_each_exporter(self) -> None:
        if hasattr(self, "world"):
            numbers = [number for number, _ in self.world.beaters]
            assert len(numbers) == len(set(numbers))
            assert {thread for _, thread in self.world.beaters} <= {threading.get_ident()}


def test_the_promises_hold_in_arbitrary_sequences() -> None:
    run_state_machine_as_test(
        Promises,
        settings=settings(
            max_examples=SEQUENCES,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
