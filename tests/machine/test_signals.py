from __future__ import annotations

import os
import signal

from exporter.machine.signals import FAILED, RELOAD, STOP, Signals


def test_signals_are_waited_for_in_order() -> None:
    with Signals() as signals:
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.wait(5) == (RELOAD, signal.SIGTERM)
    assert signal.SIGTERM in STOP


def test_a_failure_is_waited_for_like_a_signal() -> None:
    with Signals() as signals:
        signals.fail()
        assert signals.wait(5) == (FAILED,)


def test_nothing_comes_within_the_time() -> None:
    with Signals() as signals:
        assert signals.wait(0) == ()


def test_a_foreign_signal_is_not_reported() -> None:
    before = signal.signal(signal.SIGUSR2, lambda number, frame: None)
    try:
        with Signals([signal.SIGUSR1]) as signals:
            os.kill(os.getpid(), signal.SIGUSR2)
            os.kill(os.getpid(), signal.SIGUSR1)
            assert signals.wait(5) == (signal.SIGUSR1,)
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_afterwards_everything_is_as_before() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with Signals():
        assert signal.getsignal(signal.SIGTERM) != before[0]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    assert signal.set_wakeup_fd(-1) == -1
