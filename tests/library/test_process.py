"""The parent's side, against small child programs that play the library's crashes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exporter import errors
from exporter.library import process
from exporter.library.answers import Loaded
from exporter.library.process import LibraryProcess
from exporter.machine import isolated
from tests.dying_threads import new_threads_die

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

# What a child begins with: ask() returns the next question, answer() answers it, `loaded` is a good first answer.
PRELUDE = f"""
import json, os, signal, sys, time
sys.path.append({isolated.ROOT!r})
from exporter.library import messages
def ask():
    question = messages.read(sys.stdin.buffer)
    if question is None:
        sys.exit(0)
    global number
    number = question["number"]
    return question
def answer(**message):
    messages.write(sys.stdout.buffer, {{"number": number, **message}})
def load():
    ask()
    answer(library="lib.so", missing=["StatGet"])
"""

Make = Callable[..., LibraryProcess]


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(clock: Clock) -> Iterator[Make]:
    made: list[LibraryProcess] = []

    def build(program: str, timeout: float = 30.0, path: str | None = None) -> LibraryProcess:
        code = PRELUDE + textwrap.dedent(program)
        made.append(
            LibraryProcess(
                path,
                timeout,
                arguments=[sys.executable, "-I", "-S", "-c", code],
                start_limit=30.0,
                clock=clock,
            )
        )
        return made[-1]

    yield build
    for subject in made:
        subject.close()


GOOD = """
load()
while True:
    question = ask()
    if question["ask"] == "stat":
        answer(data=question["encoding"] + " " + question["name"] + " \\0\\xff")
    else:
        answer(session=2**64 - 1, values={"cpu_used": 2**64 - 1, "resource_pool_path": "/p"})
"""


def gone(pid: int) -> bool:
    """Whether a process that is not our child any more has ended, waiting for it a little."""
    for _ in range(500):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    return False


def test_answers_become_values(make: Make) -> None:
    subject = make(GOOD)
    assert subject.load() == Loaded("lib.so", ("StatGet",))
    snapshot = subject.read()
    assert (snapshot.session_id, snapshot.protocol) == (2**64 - 1, 0)
    assert snapshot.values == {"cpu_used": 2**64 - 1, "resource_pool_path": "/p"}
    assert subject.stat("xml", "vnet") == b"xml vnet \0\xff"
    assert subject.restarts == 0


def test_one_process_serves_all_questions(make: Make) -> None:
    subject = make(GOOD)
    subject.read()
    pid = subject.pid
    subject.read()
    assert subject.pid == pid is not None


def test_close_ends_the_process_and_leaves_no_zombie(make: Make) -> None:
    subject = make(GOOD)
    subject.read()
    pid = subject.pid
    assert pid is not None
    subject.close()
    subject.close()
    assert subject.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_process_that_does_not_heed_the_end_of_the_pipe_is_killed(make: Make) -> None:
    subject = make("load()\nask(); answer(session=1, values={})\nwhile True: time.sleep(1)")
    subject.read()
    pid = subject.pid
    assert pid is not None
    subject.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


CRASH_ONCE = """
load()
ask()
if not os.path.exists({marker!r}):
    open({marker!r}, "w").close()
    print("free(): invalid size", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.{name})
answer(session=1, values={{}})
ask()
"""


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGKILL"])
def test_a_crash_is_an_error_and_the_next_question_starts_anew(make: Make, tmp_path: Path, name: str) -> None:
    subject = make(CRASH_ONCE.format(marker=f"{tmp_path}/marker", name=name))
    subject.load()
    first = subject.pid
    with pytest.raises(errors.LibraryCrashed, match=rf"\({name}\): free\(\): invalid size") as caught:
        subject.read()
    assert caught.value.kind == "library_crashed"
    assert subject.pid is None
    assert subject.read().session_id == 1
    assert subject.pid not in {first, None}
    assert subject.restarts == 1


def test_a_process_that_hangs_is_killed(make: Make) -> None:
    subject = make("load()\nask()\nwhile True: time.sleep(1)", timeout=0.2)
    subject.load()
    pid = subject.pid
    assert pid is not None
    with pytest.raises(errors.LibraryCrashed, match=r"within 0\.2 s and was killed"):
        subject.read()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


FORKS = """
load()
sample = 0
while True:
    question = ask()
    sample += 1
    for _ in range(2 if sample == {twice} else 1):
        if question["ask"] == "read":
            answer(session=sample, values={{}})
        else:
            answer(data=str(sample))
"""


def test_two_answers_to_one_question_never_answer_the_next(make: Make) -> None:
    """A call that forks and returns in both processes: every answer from then on would be one question old."""
    subject = make(FORKS.format(twice=2))
    assert [subject.read().session_id for _ in range(2)] == [1, 2]
    with pytest.raises(errors.LibraryCrashed, match="another question than the last one"):
        subject.read()
    assert subject.read().session_id == 1, "a new process"
    assert subject.restarts == 1


def test_an_answer_without_a_number_is_none(make: Make) -> None:
    subject = make("load()\nask()\nmessages.write(sys.stdout.buffer, dict(session=1, values={}))\nask()")
    with pytest.raises(errors.LibraryCrashed):
        subject.read()


SLOW = """
load()
while True:
    question = ask()
    if question["ask"] == "read":
        answer(session=1, values={})
    else:
        while not os.path.exists(question["name"]):
            time.sleep(0.001)
        answer(data=question["name"])
"""


def test_a_group_without_an_answer_costs_the_process_and_no_pause(make: Make, tmp_path: Path) -> None:
    """The clock stands still: a pause would never end."""
    subject = make(SLOW)
    path = str(tmp_path / "never")
    for restarts, patience in enumerate((0.0, 0.01, 0.02, 0.03), 1):
        with pytest.raises(errors.TimeoutExpired, match=rf"did not answer within {patience:g} s"):
            subject.stat("xml", path, patience)
        assert subject.pid is None
        assert subject.read().session_id == 1
        assert subject.restarts == restarts


def test_a_group_has_no_longer_than_any_question(make: Make, tmp_path: Path) -> None:
    subject = make(SLOW, timeout=0.05)
    subject.load()
    with pytest.raises(errors.TimeoutExpired, match=r"did not answer within 0\.05 s"):
        subject.stat("xml", str(tmp_path / "never"), 100.0)


def test_an_answer_in_time_costs_nothing(make: Make, tmp_path: Path) -> None:
    subject = make(SLOW)
    (tmp_path / "go").touch()
    assert subject.stat("xml", str(tmp_path / "go"), 30.0) == str(tmp_path / "go").encode()
    assert subject.restarts == 0


def test_a_process_that_dies_over_a_group_is_a_crash(make: Make) -> None:
    subject = make("load()\nask()\nos.kill(os.getpid(), signal.SIGSEGV)")
    with pytest.raises(errors.LibraryCrashed, match="SIGSEGV"):
        subject.stat("xml", "resources", 30.0)


@pytest.mark.parametrize("question", ["read", "stat"])
def test_the_alarm_of_the_process_is_no_crash_of_the_library(make: Make, question: str) -> None:
    """It ends a process whose parent can't, or was stopped itself in the meantime, as a machine that is suspended is."""
    subject = make("load()\nask()\nsignal.setitimer(signal.ITIMER_REAL, 0.01)\nwhile True: time.sleep(1)")
    with pytest.raises(errors.LibraryCrashed, match=r"VMware's library did not answer within 30 s"):
        subject.read() if question == "read" else subject.stat("xml", "resources")


def test_a_question_to_a_closed_process_is_an_error(make: Make) -> None:
    """As when another thread closes between the look and the question."""
    subject = make(GOOD)
    with pytest.raises(errors.LibraryCrashed, match="was closed"):
        subject._ask({"ask": "read"}, 1.0, lambda answer: answer)


def test_a_process_that_dies_between_questions_is_an_error_once(make: Make) -> None:
    subject = make(GOOD)
    subject.read()
    assert subject.pid is not None
    os.kill(subject.pid, signal.SIGKILL)
    with pytest.raises(errors.LibraryCrashed, match="SIGKILL"):
        subject.read()
    assert subject.read().session_id


def test_a_crash_loop_starts_ever_more_rarely(make: Make, clock: Clock) -> None:
    subject = make("load()\nask()\nsys.exit(3)")

    def starts_during(seconds: int) -> int:
        before = subject.restarts
        for _ in range(seconds):
            with pytest.raises(errors.LibraryCrashed):
                subject.read()
            clock.now += 1
        return subject.restarts - before

    with pytest.raises(errors.LibraryCrashed, match="status 3"):
        subject.read()
    # At once, then after 1, 2, 4, 8 and 16 seconds: 6 starts in 32 seconds.
    assert starts_during(32) == 6
    assert starts_during(60) == 2
    with pytest.raises(
        errors.LibraryCrashed, match=r"crashed 9 times in a row; it is started again in \d+ s"
    ):
        subject.read()


def test_a_good_answer_ends_the_pause(make: Make, clock: Clock, tmp_path: Path) -> None:
    subject = make(CRASH_ONCE.format(marker=f"{tmp_path}/marker", name="SIGSEGV") + "sys.exit(1)")
    for _ in range(3):
        with pytest.raises(errors.LibraryCrashed):
            subject.read()
        assert subject.read().session_id == 1


@pytest.mark.parametrize(
    ("spelt", "error"),
    [
        (["RpcError", "disabled", "guestlib.info.get"], errors.RpcError("disabled", "guestlib.info.get")),
        (["LibraryStatus", 6, "VMGuestLib_F", "text"], errors.LibraryStatus(6, "VMGuestLib_F", "text")),
        (["NotVMwareError", "no"], errors.NotVMwareError("no")),
        (["RemoteProtocolError", "no"], errors.RemoteProtocolError("no")),
        (["RefusedError", "no"], errors.RefusedError("no")),
        (["ConnectionLost", "no"], errors.ConnectionLost("no")),
        (["LocalProtocolError", "no"], errors.LocalProtocolError("no")),
    ],
)
def test_errors_arrive_as_they_were_raised(make: Make, spelt: list[object], error: Exception) -> None:
    subject = make(f"load()\nwhile True:\n    ask(); answer(error={spelt!r})")
    for _ in range(2):
        with pytest.raises(type(error)) as caught:
            subject.read()
        assert str(caught.value) == str(error)
        assert {**vars(caught.value)} == vars(error)
    assert subject.restarts == 0


def test_a_missing_library_is_looked_for_again_by_the_same_process(make: Make) -> None:
    subject = make('ask(); answer(error=["LibraryNotFound", "none"])' + GOOD)
    with pytest.raises(errors.LibraryNotFound, match="none"):
        subject.read()
    assert subject.read().session_id
    assert subject.restarts == 0


NONSENSE = [
    "answer(session=1)",
    "answer(session=-1, values={})",
    "answer(session=2**64, values={})",
    "answer(session=True, values={})",
    "answer(session=1, values=[])",
    "answer(session=1, values={'nothing': 1})",
    "answer(session=1, values={'cpu_used': 'x'})",
    "answer(session=1, values={'cpu_used': 1.5})",
    "answer(session=1, values={'cpu_used': -1})",
    "answer(session=1, values={'resource_pool_path': 1})",
    "answer(error=['KeyError', 'x'])",
    "answer(error=['RpcError'])",
    "answer(error=[])",
    "answer(error=None)",
    "sys.stdout.buffer.write(b'\\0\\0\\0\\2[]'); sys.stdout.flush()",
    "sys.stdout.buffer.write(b'\\xff' * 100); sys.stdout.flush()",
    "sys.stdout.buffer.write(b'\\0\\6\\x1a\\x80' + b'[' * 400_000); sys.stdout.flush()",
    "sys.stdout.buffer.write(b'\\0\\0\\0\\0'); sys.stdout.flush()",
    "answer(error=['RpcError', 5])",
    "answer(error=['RefusedError', []])",
    "answer(error=['LibraryStatus', '6', 'VMGuestLib_F'])",
    "answer(error=['LibraryStatus', 1 << 40, 'VMGuestLib_F'])",
    "answer(error=['RpcError', '\\ud800'])",
    "answer(session=1, values={'resource_pool_path': '\\ud800'})",
]


@pytest.mark.parametrize("code", [6, 4242, -559038737])
def test_a_status_is_any_number_of_c(make: Make, code: int) -> None:
    subject = make(
        f"load()\nask()\nanswer(error=['LibraryStatus', {code}, 'VMGuestLib_F', 'no text'])\nask()"
    )
    with pytest.raises(errors.LibraryStatus, match=f"VMGuestLib_F answered {code}"):
        subject.read()


@pytest.mark.parametrize("answer", NONSENSE)
def test_an_answer_out_of_damaged_memory_is_a_crash(make: Make, answer: str) -> None:
    subject = make(f"load()\nask()\n{answer}\nask()")
    with pytest.raises(errors.LibraryCrashed, match="nonsense"):
        subject.read()
    assert subject.pid is None


def test_data_that_are_no_bytes_are_a_crash(make: Make) -> None:
    subject = make("load()\nask(); answer(data='\\u20ac')")
    with pytest.raises(errors.LibraryCrashed, match="nonsense"):
        subject.stat("xml", "")


def test_a_process_that_can_not_be_started_is_an_error(clock: Clock) -> None:
    subject = LibraryProcess(None, 1.0, arguments=["/nowhere/python"], clock=clock)
    for _ in range(2):
        with pytest.raises(errors.LibraryCrashed, match="can't be started"):
            subject.read()
    with pytest.raises(errors.LibraryCrashed, match="in a row"):
        subject.read()


def test_the_environment_reaches_the_process() -> None:
    code = PRELUDE + "ask(); answer(library=os.environ['MARK'], missing=[])\nask()"
    subject = LibraryProcess(
        None, 30.0, arguments=[sys.executable, "-I", "-S", "-c", code], environ={**os.environ, "MARK": "here"}
    )
    try:
        assert subject.load().library == "here"
    finally:
        subject.close()


def test_the_real_child_says_that_a_file_is_missing() -> None:
    subject = LibraryProcess("/nowhere/none.so", 30.0, start_limit=30.0)
    try:
        for _ in range(2):
            with pytest.raises(
                errors.LibraryNotFound, match=r"can.t be loaded\. Tried: /nowhere/none\.so \(cannot open"
            ):
                subject.read()
        assert subject.restarts == 0
    finally:
        subject.close()


@pytest.mark.parametrize("path", ["/nowhere/none.so", None])
def test_a_library_that_is_not_there_is_known_for_one_that_was_named(make: Make, path: str | None) -> None:
    subject = make("ask(); answer(error=['LibraryNotFound', 'x']); ask()", path=path)
    with pytest.raises(errors.LibraryNotFound) as caught:
        subject.load()
    assert caught.value.named is (path is not None)


def test_signals_to_the_group_leave_the_real_child_alive_and_silent() -> None:
    subject = LibraryProcess("/nowhere/none.so", 30.0, start_limit=30.0)
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with pytest.raises(errors.LibraryNotFound):
                subject.read()
            assert subject.pid is not None
            os.kill(subject.pid, number)
        with pytest.raises(errors.LibraryNotFound):
            subject.read()
        assert subject.restarts == 0
    finally:
        subject.close()


PARENT = f"""
import os, sys
sys.path.append({isolated.ROOT!r})
from exporter import errors
from exporter.library.process import LibraryProcess
subject = LibraryProcess("/nowhere/none.so", 30.0, start_limit=30.0)
try:
    subject.load()
except errors.LibraryNotFound:
    print(subject.pid, flush=True)
os.kill(os.getpid(), 9)
"""


def test_the_real_child_ends_when_its_parent_is_killed() -> None:
    parent = subprocess.run([sys.executable, "-c", PARENT], capture_output=True, text=True, check=False)
    assert parent.returncode == -9
    assert parent.stderr == ""
    assert gone(int(parent.stdout))


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (None, "ended"),
        (3, "ended its process with status 3"),
        (-11, "crashed its process (SIGSEGV)"),
        (-63, "crashed its process (signal 63)"),
        (-14, "did not answer within 2 s and ended itself"),
    ],
)
def test_how_a_process_ended_is_said_in_words(code: int | None, text: str) -> None:
    assert process._death(code, 2.0) == text


def test_the_parent_does_not_load_ctypes() -> None:
    code = f"import sys; sys.path.append({isolated.ROOT!r}); import exporter.session.vendor; print('ctypes' in sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.fixture(scope="module")
def forking_stub(tmp_path_factory: pytest.TempPathFactory, require_program: Callable[[str, str], str]) -> str:
    compiler = require_program("cc", "apt-get install gcc libc6-dev")
    file = tmp_path_factory.mktemp("forking") / "forking_stub.so"
    source = Path(__file__).with_name("forking_stub.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-w", "-o", file, source], check=True)
    return str(file)


def dead(pid: int) -> bool:
    """Whether a process that is nobody's child here is gone, or waits for the init process to take note of it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_for_the_end_of(pid: int) -> None:
    limit = time.monotonic() + 30
    while not dead(pid):
        assert time.monotonic() < limit
        time.sleep(0.001)


def library(stub: str, what: str, pid_file: Path) -> LibraryProcess:
    environ = {**os.environ, "FORKING_STUB": what, "FORKING_STUB_PID": str(pid_file)}
    return LibraryProcess(stub, 60.0, environ=environ, start_limit=60.0)


@pytest.mark.parametrize("what", ["abort", "session"])
def test_what_a_crashed_library_leaves_behind_holds_nobody_up(
    forking_stub: str, tmp_path: Path, what: str
) -> None:
    """It has every pipe of the dead process; the answers would never end, and standard error neither."""
    pid_file = tmp_path / "pid"
    subject = library(forking_stub, what, pid_file)
    descendant, pumps = 0, []
    try:
        for _ in range(2):
            with pytest.raises(errors.LibraryCrashed, match=r"\(SIGABRT\): free\(\): invalid size$"):
                subject.read()
            pumps.append(subject._reader)
            descendant = int(pid_file.read_text())
            if what == "abort":
                wait_for_the_end_of(descendant)
            else:
                # One that left the group is out of reach, and in nobody's way.
                assert not dead(descendant)
                os.kill(descendant, signal.SIGKILL)
            assert time.time() - pid_file.stat().st_mtime < 60, "it ended by its own alarm"
            subject._not_before = 0.0
        assert subject.restarts == 1
        for pump in pumps:
            assert pump is not None
            pump.join(60.0)
            assert not pump.is_alive()
    finally:
        subject.close()


@pytest.mark.parametrize("first", [0, 1])
def test_threads_that_die_at_their_start_are_no_poll_that_hangs(make: Make, first: int) -> None:
    """For want of memory: that of who watches over the process, or of who reads its answers."""
    subject = make(GOOD)
    subject.load()
    pid = subject.pid
    subject.close()
    with (
        new_threads_die(after=first) as dead,
        pytest.raises(errors.LibraryCrashed, match="can't start new thread"),
    ):
        subject.load()
    assert len(dead) == 1
    assert subject.pid is None
    subject._not_before = 0.0
    subject.load()
    assert subject.pid not in {None, pid}


def test_what_a_living_library_has_started_ends_with_it(make: Make, tmp_path: Path) -> None:
    subject = make(
        """
        load()
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        ask(); answer(session=1, values={})
        while True: time.sleep(1)
        """
    )
    subject.read()
    assert subject.pid is not None
    children = Path(f"/proc/{subject.pid}/task/{subject.pid}/children").read_text().split()
    assert len(children) == 1
    subject.close()
    wait_for_the_end_of(int(children[0]))


def test_an_answer_that_was_given_before_the_end_is_taken(make: Make) -> None:
    subject = make("load()\nask(); answer(session=7, values={})\nos._exit(0)")
    assert subject.read().session_id == 7
    with pytest.raises(errors.LibraryCrashed, match="status 0"):
        subject.read()


def test_a_library_does_not_get_the_machines_memory(forking_stub: str, tmp_path: Path) -> None:
    subject = library(forking_stub, "memory", tmp_path / "pid")
    try:
        with pytest.raises(errors.LibraryCrashed, match=r"\(SIGABRT\): no memory"):
            subject.read()
    finally:
        subject.close()
