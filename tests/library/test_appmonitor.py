"""Heartbeats through VMware's library, against a stand-in in C with the header's ABI that counts what it gives away and who calls."""

from __future__ import annotations

import ctypes
import io
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from exporter.errors import (
    LibraryCrashed,
    LibraryNotFound,
    LibraryStatus,
    NotVMwareError,
    RemoteProtocolError,
    RpcError,
    TimeoutExpired,
)
from exporter.library import appmonitor, appmonitor_process, messages
from exporter.library.appmonitor_process import LibraryAppMonitor
from exporter.machine import isolated
from exporter.protocol.appmonitor import AppState, AppStatus, Code, Verb

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

PATIENCE = 60.0
"""Seconds: only a test that fails waits for so long."""


@dataclass(frozen=True)
class Call:
    process: int
    thread: str
    blocks: int
    """Texts given away and not got back."""
    function: str
    argument: str


class Stub:
    """The folder by which the stand-in is told what to answer, and tells what was asked."""

    def __init__(self, file: str, folder: Path) -> None:
        self.file = file
        self.folder = folder

    def answers(self, function: str, answer: object) -> None:
        (self.folder / function).write_text(str(answer))

    def answers_well(self, function: str) -> None:
        (self.folder / function).unlink()

    @property
    def calls(self) -> list[Call]:
        log = self.folder / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        calls = []
        for line in lines:
            process, thread, blocks, function, argument = line.split(" ", 4)
            calls.append(Call(int(process), thread, int(blocks), function, argument))
        return calls

    @property
    def functions(self) -> list[str]:
        return [f"{call.function} {call.argument}".rstrip() for call in self.calls]

    @property
    def processes(self) -> list[int]:
        return list(dict.fromkeys(call.process for call in self.calls))


class Clock:
    """Stands still, until ``meanwhile`` is set: that is called at the second look, which then is much later."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.looks = 0
        self.meanwhile: Callable[[], None] | None = None

    def __call__(self) -> float:
        if self.meanwhile is not None:
            self.looks += 1
            if self.looks == 2:
                self.meanwhile()
                self.meanwhile = None
                self.now += 10 * PATIENCE
        return self.now


@pytest.fixture(scope="session")
def build(
    require_program: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., str]:
    """``build(*options)``: the stand-in as a shared object."""
    compiler = require_program("cc", "apt-get install gcc libc6-dev")
    source = Path(__file__).parent / "appmonitor_stub.c"

    def compile_(*options: str) -> str:
        target = str(tmp_path_factory.mktemp("built") / "appmonitor_stub.so")
        warnings = ("-std=gnu11", "-Wall", "-Wextra", "-Werror")
        subprocess.run(
            [compiler, "-shared", "-fPIC", *warnings, *options, "-o", target, source, "-pthread"], check=True
        )
        return target

    return compile_


@pytest.fixture(scope="session")
def whole(build: Callable[..., str]) -> str:
    return build()


@pytest.fixture
def stub(whole: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    """Whatever a test does: every text is given back, and each process calls from one thread."""
    monkeypatch.setenv("APPMONITOR_STUB", str(tmp_path))
    stub = Stub(whole, tmp_path)
    yield stub
    calls = stub.calls
    last = {call.process: call for call in calls}
    assert [call.blocks for call in last.values()] == [0] * len(last)
    assert stub.functions.count("Free of what was not given") == 0
    assert len({(call.process, call.thread) for call in calls}) == len(last)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def monitor(stub: Stub, clock: Clock) -> Iterator[LibraryAppMonitor]:
    monitor = LibraryAppMonitor(stub.file, PATIENCE, clock=clock)
    yield monitor
    monitor.close()


def gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


# Through the process, as the heart does


def test_every_function_reaches_the_library_in_one_process(monitor: LibraryAppMonitor, stub: Stub) -> None:
    assert monitor.enable() is Code.OK
    assert monitor.mark_active() is Code.OK
    stub.answers("IsEnabled", 1)
    assert monitor.is_enabled()
    assert monitor.get_app_status() is AppStatus.GREEN
    assert monitor.post_app_state(AppState.OK) is Code.OK
    assert monitor.post_app_state(AppState.NEED_RESET) is Code.OK
    assert monitor.disable() is Code.OK
    assert stub.functions == [
        "Enable",
        "MarkActive",
        "IsEnabled",
        "GetAppStatus",
        "Free",
        "PostAppState appStateOk",
        "PostAppState appStateNeedReset",
        "Disable",
    ]
    assert monitor.starts == len(stub.processes) == 1


def test_no_process_is_started_before_the_first_call_or_after_the_end(stub: Stub) -> None:
    monitor = LibraryAppMonitor(stub.file, PATIENCE)
    assert monitor.starts == 0
    monitor.close()
    monitor.enable()
    monitor.close()
    monitor.close()
    assert monitor.starts == 1
    assert gone(stub.processes[0])


def test_a_thousand_statuses_leave_no_memory_behind(monitor: LibraryAppMonitor, stub: Stub) -> None:
    for _ in range(1000):
        monitor.get_app_status()
    assert stub.functions == ["GetAppStatus", "Free"] * 1000
    assert {call.blocks for call in stub.calls} == {0}


@pytest.mark.parametrize(
    ("text", "status"),
    [("appStatusRed", AppStatus.RED), ("gray", AppStatus.GRAY), ("Green", AppStatus.GREEN)],
)
def test_a_status_is_read_in_any_spelling(
    monitor: LibraryAppMonitor, stub: Stub, text: str, status: AppStatus
) -> None:
    stub.answers("GetAppStatus", text)
    assert monitor.get_app_status() is status


def test_a_status_that_means_nothing_is_given_back_too(monitor: LibraryAppMonitor, stub: Stub) -> None:
    stub.answers("GetAppStatus", "Bl\u00fce")
    with pytest.raises(RemoteProtocolError, match="Green, Red or Gray is expected"):
        monitor.get_app_status()
    assert stub.functions == ["GetAppStatus", "Free"]


def test_no_status_is_a_failure_and_is_not_freed(monitor: LibraryAppMonitor, stub: Stub) -> None:
    stub.answers("GetAppStatus", "null")
    with pytest.raises(LibraryStatus, match=r"VMGuestAppMonitor_GetAppStatus answered 1 \(no text"):
        monitor.get_app_status()
    assert stub.functions == ["GetAppStatus"]


def test_not_enabled_is_believed_only_beside_gray(monitor: LibraryAppMonitor, stub: Stub) -> None:
    """The library says so of every failure too: one beside Green was a stop that was confirmed, and a reset."""
    stub.answers("GetAppStatus", "Gray")
    assert not monitor.is_enabled()
    for status in ("Green", "appStatusRed", "null"):
        stub.answers("GetAppStatus", status)
        with pytest.raises(LibraryStatus):
            monitor.is_enabled()


class Telling(LibraryAppMonitor):
    """A library whose calls end as ``answers`` say, without a process."""

    def __init__(self, *answers: dict[str, object]) -> None:
        super().__init__(None, PATIENCE, arguments=[])
        self.answers = list(answers)

    def _ask(self, verb: Verb, argument: str = "") -> messages.LibraryMessage:
        return self.answers.pop(0)


@pytest.mark.parametrize("status", ["Green", "Gray"])
def test_one_failure_of_is_enabled_is_no_word_on_what_is_on(status: str) -> None:
    """Gray goes with "on" too: soon after Enable, and where the cluster does not act."""
    assert Telling({"status": 0}, {"text": status}, {"status": 1}).is_enabled()


@pytest.mark.parametrize(
    ("function", "call"),
    [
        ("Enable", LibraryAppMonitor.enable),
        ("Disable", LibraryAppMonitor.disable),
        ("MarkActive", LibraryAppMonitor.mark_active),
        ("PostAppState", lambda monitor: monitor.post_app_state(AppState.OK)),
    ],
)
def test_each_status_has_its_meaning(
    monitor: LibraryAppMonitor, stub: Stub, function: str, call: Callable[[LibraryAppMonitor], Code]
) -> None:
    stub.answers(function, 1)
    assert call(monitor) is Code.UNTOLD
    stub.answers(function, 2)
    with pytest.raises(NotVMwareError):
        call(monitor)
    stub.answers(function, 4)
    with pytest.raises(RpcError) as refused:
        call(monitor)
    assert refused.value.reason == "unknown_command"
    assert refused.value.command == f"VMGuestAppMonitor_{function}"
    assert refused.value.repeated, "for all that is known"
    assert monitor.starts == 1
    stub.answers(function, 99)
    with pytest.raises(LibraryStatus, match=f"VMGuestAppMonitor_{function} answered 99") as unknown:
        call(monitor)
    assert unknown.value.code == 99
    assert monitor.starts == 2


def test_a_state_that_is_refused_is_spelt_the_other_way_once(monitor: LibraryAppMonitor, stub: Stub) -> None:
    stub.answers("PostAppState", 1)
    assert monitor.post_app_state(AppState.NEED_RESET) is Code.UNTOLD
    assert stub.functions == ["PostAppState appStateNeedReset", "PostAppState needReset"]


def test_without_a_channel_the_process_is_replaced_before_it_can_crash(
    monitor: LibraryAppMonitor, stub: Stub
) -> None:
    stub.answers("MarkActive", 3)
    for round_ in (1, 2):
        with pytest.raises(LibraryStatus, match="no channel to the host could be opened") as lost:
            monitor.mark_active()
        assert lost.value.code == 3
        assert monitor.starts == round_ + 1, "the next process is there before it is needed"
        assert gone(stub.processes[-1])
    stub.answers_well("MarkActive")
    assert monitor.mark_active() is Code.OK
    assert len(stub.processes) == monitor.starts == 3


def test_a_crash_is_told_with_its_signal_and_a_new_process_goes_on(
    monitor: LibraryAppMonitor, stub: Stub
) -> None:
    monitor.enable()
    stub.answers("MarkActive", "crash")
    with pytest.raises(LibraryCrashed, match=r"signal 11.*MarkActive"):
        monitor.mark_active()
    assert monitor.starts == 2
    stub.answers_well("MarkActive")
    assert monitor.mark_active() is Code.OK
    assert monitor.starts == 2


def test_a_call_that_hangs_is_killed_at_the_limit(
    monitor: LibraryAppMonitor, stub: Stub, clock: Clock
) -> None:
    def inside() -> None:
        deadline = time.monotonic() + PATIENCE
        while "MarkActive" not in stub.functions:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    monitor.enable()
    stub.answers("MarkActive", "hang")
    clock.meanwhile = inside
    with pytest.raises(TimeoutExpired, match=r"did not answer within 60 s; its process was killed"):
        monitor.mark_active()
    assert gone(stub.processes[0])
    assert monitor.starts == 2
    stub.answers_well("MarkActive")
    assert monitor.mark_active() is Code.OK


def test_a_process_that_is_new_has_time_to_start_as_well(
    monitor: LibraryAppMonitor, stub: Stub, clock: Clock
) -> None:
    clock.meanwhile = lambda: None
    with pytest.raises(TimeoutExpired, match="within 63 s"):
        monitor.enable()


def test_the_library_of_an_older_sdk_has_no_states(
    build: Callable[..., str], stub: Stub, clock: Clock
) -> None:
    monitor = LibraryAppMonitor(build("-DOLDER"), PATIENCE, clock=clock)
    try:
        assert monitor.enable() is Code.OK
        with pytest.raises(RpcError, match="VMGuestAppMonitor_PostAppState") as refused:
            monitor.post_app_state(AppState.OK)
        assert refused.value.reason == "unknown_command"
        assert not refused.value.repeated, "it was not sent"
        assert monitor.starts == 1
    finally:
        monitor.close()


def test_a_library_that_is_missing_is_looked_for_again_by_a_new_process(clock: Clock) -> None:
    monitor = LibraryAppMonitor("/nowhere/none.so", PATIENCE, clock=clock)
    try:
        for _ in range(2):
            with pytest.raises(LibraryNotFound, match=r"VMware's HA library .*/nowhere/none\.so"):
                monitor.enable()
        assert monitor.starts == 2
    finally:
        monitor.close()


def test_a_process_that_can_not_be_started_is_an_error_of_the_source() -> None:
    monitor = LibraryAppMonitor(None, PATIENCE, arguments=["/nowhere/python"])
    with pytest.raises(LibraryCrashed, match="can't be started"):
        monitor.mark_active()
    assert monitor.starts == 0
    monitor.close()


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("sys.exit(7)", r"status 7"),
        ("sys.stdout.buffer.write(bytes([0, 0, 0, 9]) + b'short')", r"status 0"),
        ("sys.stdout.buffer.write(bytes(4)); sys.stdout.flush(); time.sleep(600)", r"signal 9"),
        (
            "sys.stdout.buffer.write(bytes([0, 0, 0, 2]) + b'[]'); sys.stdout.flush(); time.sleep(600)",
            r"signal 9",
        ),
    ],
)
def test_a_process_that_ends_or_talks_nonsense_is_replaced(clock: Clock, program: str, words: str) -> None:
    code = f"import sys, time\nsys.stdin.buffer.read(1)\n{program}"
    monitor = LibraryAppMonitor(
        None, PATIENCE, arguments=[sys.executable, "-I", "-S", "-c", code], clock=clock
    )
    try:
        with pytest.raises(LibraryCrashed, match=words):
            monitor.enable()
        assert monitor.starts == 2
    finally:
        monitor.close()


def test_an_answer_without_a_status_is_an_unknown_one(clock: Clock) -> None:
    code = textwrap.dedent("""
        import sys
        while sys.stdin.buffer.read(1):
            sys.stdout.buffer.write(bytes([0, 0, 0, 13]) + b'{"number": 1}')
            sys.stdout.flush()
            sys.stdin.buffer.read()
    """)
    monitor = LibraryAppMonitor(
        None, PATIENCE, arguments=[sys.executable, "-I", "-S", "-c", code], clock=clock
    )
    try:
        with pytest.raises(LibraryStatus, match=r"answered 1 \(unknown"):
            monitor.enable()
    finally:
        monitor.close()


def test_a_process_without_pipes_can_not_be_asked(clock: Clock) -> None:
    with (
        subprocess.Popen([sys.executable, "-I", "-S", "-c", ""]) as process,
        pytest.raises(OSError, match="no pipes"),
    ):
        appmonitor_process._exchange(process, {}, 1.0, clock)


def test_signals_to_the_group_leave_the_process_alive(monitor: LibraryAppMonitor, stub: Stub) -> None:
    monitor.enable()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(stub.processes[0], number)
    assert monitor.mark_active() is Code.OK
    assert monitor.starts == 1


# The process by itself


def test_a_second_call_without_a_channel_would_crash_the_process(stub: Stub, clock: Clock) -> None:
    """What the stand-in copies from the real one: the reason for all of the above."""
    stub.answers("Enable", 3)
    with subprocess.Popen(
        appmonitor_process.command(stub.file),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    ) as process:
        question = {"ask": "Enable", "argument": "", "number": 1, "limit": PATIENCE}
        assert appmonitor_process._exchange(process, question, PATIENCE, clock) == {"status": 3}
        with pytest.raises(OSError, match="has ended"):
            appmonitor_process._exchange(process, {**question, "ask": "GetAppStatus"}, PATIENCE, clock)
    assert process.returncode == -signal.SIGSEGV


def test_the_functions_are_declared_as_in_the_header(whole: str) -> None:
    functions: dict[str, Any] = appmonitor.load(whole)
    assert list(functions) == list(appmonitor.SIGNATURES)
    assert functions["GetAppStatus"].restype is ctypes.c_void_p
    assert functions["PostAppState"].argtypes == (ctypes.c_char_p,)
    assert functions["Free"].argtypes == (ctypes.c_void_p,)
    assert functions["Free"].restype is None


def test_the_first_of_the_known_names_that_loads_is_taken(whole: str) -> None:
    asked = []

    def dlopen(name: str) -> ctypes.CDLL:
        asked.append(name)
        if name != "libappmonitor.so":
            raise OSError(f"{name}: no such file")
        return ctypes.CDLL(whole)

    assert appmonitor.load(None, dlopen=dlopen)
    assert asked == ["libappmonitorlib.so", "libappmonitor.so.0", "libappmonitor.so"]


def test_a_library_that_is_something_else_is_not_taken(build: Callable[..., str]) -> None:
    file = build("-DSOMETHING_ELSE")
    with pytest.raises(LibraryNotFound, match=r"it has no VMGuestAppMonitor_GetAppStatus\)"):
        appmonitor.load(file)


def test_the_library_is_loaded_once_and_at_the_first_question() -> None:
    loads: list[str | None] = []

    def load(path: str | None) -> dict[str, Callable[..., Any]]:
        loads.append(path)
        return {"Enable": lambda: 0, "PostAppState": lambda state: int(state != b"appStateOk")}

    child = appmonitor.AppMonitorChild("/some.so", load)
    assert loads == []
    assert child.answer({"ask": "Enable"}) == {"status": 0}
    assert child.answer({"ask": "PostAppState", "argument": "appStateOk"}) == {"status": 0}
    assert child.answer({"ask": "MarkActive"}) == {"missing": "VMGuestAppMonitor_MarkActive"}
    assert loads == ["/some.so"]


def test_a_missing_library_is_an_answer_and_is_looked_for_again() -> None:
    loads: list[str | None] = []

    def load(path: str | None) -> dict[str, Callable[..., Any]]:
        loads.append(path)
        if len(loads) == 1:
            raise LibraryNotFound("nothing there")
        return {"IsEnabled": lambda: 1}

    child = appmonitor.AppMonitorChild(None, load)
    assert child.answer({"ask": "IsEnabled"}) == {"not_found": "nothing there"}
    assert child.answer({"ask": "IsEnabled"}) == {"status": 1}


def test_a_text_is_copied_before_it_is_freed() -> None:
    text = ctypes.create_string_buffer(b"Gr\xe4y")
    freed = []

    def free(pointer: int) -> None:
        freed.append(pointer)
        text.value = b"?"

    pointers = iter([ctypes.addressof(text), None])
    child = appmonitor.AppMonitorChild(None, lambda _: {"GetAppStatus": lambda: next(pointers), "Free": free})
    assert child.answer({"ask": "GetAppStatus"}) == {"text": "Gr\xe4y"}
    assert child.answer({"ask": "GetAppStatus"}) == {"text": None}
    assert freed == [ctypes.addressof(text)]


def test_the_process_serves_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole of ``main``, with the process's own parts replaced."""
    asked, answered = io.BytesIO(), io.BytesIO()
    ended: list[int] = []
    messages.write(asked, {"ask": "Enable", "argument": "", "number": 1, "limit": PATIENCE})
    asked.seek(0)
    monkeypatch.setattr("exporter.library.child._private_pipes", lambda: (asked, answered))
    monkeypatch.setattr("exporter.library.child._outlive_signals", lambda: None)
    monkeypatch.setattr("exporter.library.child._limit_resources", lambda: None)
    monkeypatch.setattr(os, "_exit", ended.append)
    appmonitor.main(["/nowhere/none.so"])
    assert ended == [0]
    answered.seek(0)
    answer = messages.read(answered)
    assert answer is not None
    assert "/nowhere/none.so" in answer["not_found"]


def test_an_answer_to_another_question_is_none(stub: Stub, clock: Clock) -> None:
    """As after a call that forked and returned twice."""
    program = (
        "import sys; sys.path.append(sys.argv[1]); from exporter.library import messages\n"
        "while question := messages.read(sys.stdin.buffer):\n"
        "    for _ in range(2): messages.write(sys.stdout.buffer, {'status': 0, 'number': question['number']})\n"
    )
    monitor = LibraryAppMonitor(
        None,
        PATIENCE,
        arguments=[sys.executable, "-I", "-S", "-c", program, isolated.ROOT],
        start_limit=PATIENCE,
        clock=clock,
    )
    try:
        assert monitor.enable() is Code.OK
        with pytest.raises(LibraryCrashed):
            monitor.mark_active()
        assert monitor.starts == 2
    finally:
        monitor.close()


STARTS_ANOTHER = """
import os, sys, time
if os.fork() == 0:
    with open(sys.argv[1] + "/new", "w") as file:
        file.write(str(os.getpid()))
    os.rename(sys.argv[1] + "/new", sys.argv[1] + "/pid")
while True: time.sleep(1)
"""


def test_what_the_library_has_started_ends_with_its_process(tmp_path: Path) -> None:
    """Else there would be one more of them at each time-out."""
    arguments = [sys.executable, "-I", "-S", "-c", STARTS_ANOTHER, str(tmp_path)]
    monitor = LibraryAppMonitor(None, 0.01, arguments=arguments, start_limit=0.01)
    monitor._start()
    while not (tmp_path / "pid").exists():
        time.sleep(0.001)
    pid = int((tmp_path / "pid").read_text())
    monitor.close()
    # Its parent is dead: it is gone, or init has not taken note of it yet.
    while Path(f"/proc/{pid}").exists() and state_of(pid) != "Z":
        time.sleep(0.001)


def state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"
