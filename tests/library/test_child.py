from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Iterator
from io import BytesIO
from typing import IO, Any

import pytest

from exporter.errors import LibraryNotFound
from exporter.library import child, messages
from exporter.library.loader import LoadedLibrary

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and limits of POSIX")


def serve(library: LoadedLibrary, *questions: messages.LibraryMessage) -> list[messages.LibraryMessage]:
    asked, answered = BytesIO(), BytesIO()
    for question in questions:
        messages.write(asked, {"limit": 1, "number": 4, **question})
    asked.seek(0)
    child.serve(asked, answered, child.Child(None, lambda _: library))
    answered.seek(0)
    answers: list[messages.LibraryMessage] = list(iter(lambda: messages.read(answered), None))
    assert [each.pop("number") for each in answers] == [4] * len(answers)
    return answers


def test_questions_are_answered_in_order_until_the_pipe_ends(fake: Any) -> None:
    fake.reply = b"\0\xff"
    answers = serve(
        fake.library(),
        {"ask": "load"},
        {"ask": "read"},
        {"ask": "stat", "encoding": "xml", "name": "resources"},
    )
    assert answers == [
        {"library": "fake.so", "missing": []},
        {"session": 5, "values": {"elapsed": 7}},
        {"data": "\0\xff"},
    ]
    assert fake.asked == [(b"xml", b"resources")]


@pytest.mark.parametrize(
    ("function", "code", "error"),
    [
        (
            "OpenHandle",
            2,
            ["NotVMwareError", "VMware's library says that this machine is not a VMware guest"],
        ),
        ("OpenHandle", 6, ["LibraryStatus", 6, "VMGuestLib_OpenHandle", "Text of 6"]),
    ],
)
def test_an_error_is_an_answer(fake: Any, function: str, code: int, error: list[object]) -> None:
    fake.statuses[function] = code
    assert serve(fake.library(), {"ask": "read"}, {"ask": "read"}) == [{"error": error}] * 2


def test_a_refusal_keeps_the_hosts_text_and_the_command(fake: Any) -> None:
    fake.reply = b"disabled"
    fake.statuses["StatGet"] = 4
    (answer,) = serve(fake.library(), {"ask": "stat", "encoding": "xml", "name": "a"})
    assert answer == {"error": ["RpcError", "disabled", "guestlib.stat.get xml a"]}


def test_a_missing_library_is_looked_for_again(fake: Any) -> None:
    asked: list[str | None] = []

    def load(path: str | None) -> LoadedLibrary:
        asked.append(path)
        if len(asked) < 2:
            raise LibraryNotFound("nothing there")
        library: LoadedLibrary = fake.library()
        return library

    subject = child.Child("/a.so", load)
    assert subject.answer({"ask": "load"}) == {"error": ["LibraryNotFound", "nothing there"]}
    assert subject.answer({"ask": "read"})["session"] == 5
    assert subject.answer({"ask": "read"})["session"] == 5
    assert asked == ["/a.so", "/a.so"]


def test_the_alarm_is_set_for_each_question_and_taken_back(fake: Any) -> None:
    asked = BytesIO()
    alarms: list[float] = []
    messages.write(asked, {"ask": "read", "number": 1, "limit": 3})
    messages.write(asked, {"ask": "load", "number": 2, "limit": 11.5})
    asked.seek(0)
    child.serve(asked, BytesIO(), child.Child(None, lambda _: fake.library()), alarms.append)
    assert alarms == [3.0, 0, 11.5, 0]


def test_a_parent_that_is_gone_is_the_end(fake: Any) -> None:
    class Broken(BytesIO):
        def write(self, data: object) -> int:
            raise BrokenPipeError

    asked = BytesIO()
    messages.write(asked, {"ask": "read", "number": 1, "limit": 1})
    asked.seek(0)
    child.serve(asked, Broken(), child.Child(None, lambda _: fake.library()))


@pytest.fixture
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_signals_to_the_group_are_outlived(handlers: None) -> None:
    child._outlive_signals()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        assert signal.getsignal(number) is signal.SIG_IGN
        os.kill(os.getpid(), number)


def test_a_crash_leaves_no_core_and_memory_and_processes_have_a_bound() -> None:
    bounds = (resource.RLIMIT_CORE, resource.RLIMIT_AS, resource.RLIMIT_NPROC)
    before = {each: resource.getrlimit(each) for each in bounds}
    try:
        child._limit_resources()
        after = {each: resource.getrlimit(each) for each in before}
    finally:
        for each, limits in before.items():
            resource.setrlimit(each, limits)
    assert after[resource.RLIMIT_CORE] == (0, before[resource.RLIMIT_CORE][1])
    assert after[resource.RLIMIT_AS] == (child.MEMORY, before[resource.RLIMIT_AS][1])
    most = before[resource.RLIMIT_NPROC][1]
    fewest = child.PROCESSES if most == resource.RLIM_INFINITY else min(child.PROCESSES, most)
    assert after[resource.RLIMIT_NPROC] == (fewest, most)


def test_the_alarm_is_the_timer_of_the_process() -> None:
    set_alarm = child._alarm()
    try:
        set_alarm(1000)
        assert 999 < signal.getitimer(signal.ITIMER_REAL)[0] <= 1000
    finally:
        set_alarm(0)
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL


@pytest.fixture
def pipes() -> Iterator[dict[str, IO[bytes]]]:
    """Both ends of three pipes that stand for the standard streams."""
    ends: dict[str, IO[bytes]] = {}
    for name in ("stdin", "stdout", "stderr"):
        reader, writer = os.pipe()
        ends[f"{name}_reader"] = os.fdopen(reader, "rb", 0)
        ends[f"{name}_writer"] = os.fdopen(writer, "wb", 0)
    yield ends
    for end in ends.values():
        end.close()


def test_what_the_library_prints_can_not_reach_the_answers(pipes: dict[str, IO[bytes]]) -> None:
    stdin, stdout, stderr = pipes["stdin_reader"], pipes["stdout_writer"], pipes["stderr_writer"]
    questions, answers = child._private_pipes(stdin.fileno(), stdout.fileno(), stderr.fileno())
    with questions, answers:
        pipes["stdin_writer"].write(b"question")
        pipes["stdin_writer"].close()
        assert questions.read() == b"question"
        assert stdin.read() == b""
        stdout.write(b"noise")
        answers.write(b"answer")
        answers.flush()
        assert pipes["stdout_reader"].read(100) == b"answer"
        assert pipes["stderr_reader"].read(100) == b"noise"


def test_a_library_that_prints_without_end_does_not_wait_for_a_reader(pipes: dict[str, IO[bytes]]) -> None:
    stdin, stdout, stderr = pipes["stdin_reader"], pipes["stdout_writer"], pipes["stderr_writer"]
    questions, answers = child._private_pipes(stdin.fileno(), stdout.fileno(), stderr.fileno())
    with questions, answers, pytest.raises(BlockingIOError):
        for _ in range(10_000):
            os.write(stderr.fileno(), b"noise" * 100)


def test_the_process_serves_and_ends(monkeypatch: pytest.MonkeyPatch, fake: Any, handlers: None) -> None:
    """The whole of ``main``, with the process's own parts replaced."""
    asked, answered = BytesIO(), BytesIO()
    ended: list[int] = []
    messages.write(asked, {"ask": "load", "number": 1, "limit": 1})
    asked.seek(0)
    monkeypatch.setattr(child, "_private_pipes", lambda: (asked, answered))
    monkeypatch.setattr(child, "_limit_resources", lambda: None)
    monkeypatch.setattr(os, "_exit", ended.append)
    child.main(["/nowhere/none.so"])
    assert ended == [0]
    answered.seek(0)
    answer = messages.read(answered)
    assert answer is not None
    assert answer["error"][0] == "LibraryNotFound"
    assert "/nowhere/none.so" in answer["error"][1]
