from __future__ import annotations

import errno
import os
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest

from exporter.ha import checks, program
from exporter.ha.look import NotKnownYet, OwnFault, Probe, Starved, look
from exporter.ha.search import search
from exporter.machine import isolated, memory_kills, process
from tests.dying_threads import new_threads_die

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes and sockets of POSIX")

PATIENCE = 60.0
"""Seconds: only a test that fails waits for so long."""
SHORT = 0.2
"""Seconds for what never answers."""

Answer = Callable[[socket.socket], None]
Serve = Callable[[Answer], int]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """``serve(answer)``: a port of 127.0.0.1 where each connection is given to ``answer``."""
    listeners: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def run(listener: socket.socket, answer: Answer) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                connection.settimeout(PATIENCE)
                answer(connection)

    def start(answer: Answer) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        thread = threading.Thread(target=run, args=(listener, answer))
        thread.start()
        listeners.append(listener)
        threads.append(thread)
        return int(listener.getsockname()[1])

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that is taken, so that nobody else gets it, and does not listen."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


def says(reply: bytes, requests: list[bytes] | None = None) -> Answer:
    """One reply to one request, then the end."""

    def answer(connection: socket.socket) -> None:
        request = connection.recv(65536)
        if requests is not None:
            requests.append(request)
        connection.sendall(reply)

    return answer


def is_silent(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def drips(start: bytes) -> Answer:
    """``start``, then a byte now and then: each in time, all together never."""

    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(start)
        while True:
            time.sleep(SHORT / 20)
            connection.sendall(b"x")

    return answer


def resets(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


# http

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstatus"


def test_http_is_good_with_status_200(serve: Serve) -> None:
    requests: list[bytes] = []
    port = serve(says(OK, requests))
    assert checks.http(f"http://127.0.0.1:{port}/health?deep=1")(PATIENCE) is None
    assert requests[0].startswith(b"GET /health?deep=1 HTTP/1.1\r\n")
    assert b"User-Agent: vmguest-exporter\r\n" in requests[0]


def test_http_asks_for_the_root_where_no_path_is_given(serve: Serve) -> None:
    requests: list[bytes] = []
    port = serve(says(OK, requests))
    assert checks.http(f"http://127.0.0.1:{port}")(PATIENCE) is None
    assert requests[0].startswith(b"GET / HTTP/1.1\r\n")


@pytest.mark.parametrize("interim", [b"100 Continue", b"102 Processing", b"103 Early Hints\r\nLink: </x>"])
def test_an_answer_for_the_time_being_is_not_the_answer(serve: Serve, interim: bytes) -> None:
    """RFC 9110, 15.2: any number of them may come first. Of an application that sends one all is well."""
    port = serve(says(2 * (b"HTTP/1.1 " + interim + b"\r\n\r\n") + OK))
    assert checks.http(f"http://127.0.0.1:{port}/", body="status")(PATIENCE) is None


def test_another_status_is_bad_and_no_redirect_is_followed(serve: Serve) -> None:
    requests: list[bytes] = []
    port = serve(says(b"HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n", requests))
    url = f"http://127.0.0.1:{port}/"
    assert checks.http(url)(PATIENCE) == f"{url} answered 302, 200 is expected"
    assert checks.http(url, [200, 204])(PATIENCE) == f"{url} answered 302, 200 or 204 is expected"
    assert checks.http(url, [302])(PATIENCE) is None
    assert len(requests) == 3


def test_a_pattern_may_stand_anywhere_in_the_body(serve: Serve) -> None:
    url = f"http://127.0.0.1:{serve(says(OK))}/"
    assert checks.http(url, body="^stat|never")(PATIENCE) is None
    assert checks.http(url, body="tus$")(PATIENCE) is None
    assert checks.http(url, body="Status")(PATIENCE) == f"{url}: the body does not match 'Status'"


def test_a_pattern_is_looked_for_in_the_first_mebibyte(serve: Serve) -> None:
    body = b"begin" + b"." * 2 * checks.BODY + b"end"
    port = serve(says(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body))
    url = f"http://127.0.0.1:{port}/"
    assert checks.http(url, body="begin")(PATIENCE) is None
    assert checks.http(url, body="end")(PATIENCE) == f"{url}: the body does not match 'end'"


@pytest.mark.parametrize("answer", [is_silent, drips(b"HTTP/1.1 200 OK\r\n\r\n")])
def test_http_keeps_to_its_limit(serve: Serve, answer: Answer) -> None:
    url = f"http://127.0.0.1:{serve(answer)}/"
    assert checks.http(url, body="never")(SHORT) == f"{url} did not answer within {SHORT:g} s"


def test_http_says_what_stands_in_its_way(serve: Serve, closed_port: int) -> None:
    url = f"http://127.0.0.1:{closed_port}/"
    assert "Connection refused" in str(checks.http(url)(PATIENCE))
    url = f"http://127.0.0.1:{serve(says(b'SSH-2.0 hello' + bytes([13, 10])))}/"
    assert checks.http(url)(PATIENCE) == f"{url}: SSH-2.0 hello"
    url = f"http://127.0.0.1:{serve(says(b''))}/"
    assert "closed connection" in str(checks.http(url)(PATIENCE))


def test_https_is_not_http(serve: Serve) -> None:
    url = f"https://127.0.0.1:{serve(says(OK))}/"
    assert str(checks.http(url)(PATIENCE)).startswith(f"{url}: [SSL")


# tcp


def test_tcp_is_good_where_something_listens(serve: Serve, closed_port: int) -> None:
    assert checks.tcp("127.0.0.1", serve(is_silent))(PATIENCE) is None
    assert checks.tcp("127.0.0.1", closed_port)(PATIENCE) == f"127.0.0.1:{closed_port}: Connection refused"


def test_tcp_keeps_to_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*asked: object) -> socket.socket:
        assert asked == ("shop", 80, 5.0)
        raise TimeoutError

    monkeypatch.setattr(checks, "connect", never)
    assert checks.tcp("shop", 80)(5.0) == "shop:80 did not take a connection within 5 s"


# command


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("exit 0", None),
        ("exit 3", "sh ended with status 3"),
        ("kill -TERM $$", "sh was killed by signal 15"),
        ("cat; echo noise; echo noise >&2", None),
    ],
)
def test_a_command_is_judged_by_how_it_ends(
    script: str, problem: str | None, capfd: pytest.CaptureFixture[str]
) -> None:
    assert checks.command(["sh", "-c", script])(PATIENCE) == problem
    assert capfd.readouterr() == ("", "")


def test_no_shell_reads_the_arguments(tmp_path: Path) -> None:
    target = tmp_path / "made"
    assert checks.command(["echo", f"; touch {target}"])(PATIENCE) is None
    assert not target.exists()


def test_a_command_that_is_missing_is_bad() -> None:
    problem = checks.command(["/nowhere/probe"])(PATIENCE)
    assert problem == "/nowhere/probe can't be started: No such file or directory"


def test_a_command_that_hangs_is_killed_with_all_it_has_started(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    probe = checks.command(["sh", "-c", f"sleep 600 & echo $! >{pid}.new; mv {pid}.new {pid}; wait"])
    for limit in (0.3, 3.0, 30.0):
        assert probe(limit) == f"sh took longer than {limit:g} s and was killed"
        if pid.exists():
            break
    deadline = time.monotonic() + PATIENCE
    while running(int(pid.read_text())):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def running(pid: int) -> bool:
    """A dead child that nobody waits for does not count: who inherits it is not ours to say."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    # After the name in brackets (proc(5)).
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_a_command_that_the_kernel_holds_on_to_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[int] = []
    waits: list[float] = []

    class Held:
        pid = 12345

        stdout = None

        def __init__(self, arguments: object, **options: object) -> None:
            assert options["start_new_session"] is True

        def wait(self, limit: float) -> int:
            waits.append(limit)
            raise subprocess.TimeoutExpired("probe", limit)

    def killpg(pid: int, number: int) -> None:
        killed.append(pid)
        raise PermissionError

    monkeypatch.setattr(subprocess, "Popen", Held)
    monkeypatch.setattr(os, "killpg", killpg)
    assert checks.command(["probe"])(5.0) == "probe took longer than 5 s and was killed"
    assert killed == [12345]
    assert waits == [5.0, program.KILL_LIMIT]


# systemd


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a program of these lines into the place of systemctl, and nothing else beside it."""

    def make(script: str) -> None:
        program = tmp_path / "systemctl"
        program.write_text(f'#!/bin/sh\n[ "$*" = "is-active -- shop.service" ] || exit 99\n{script}\n')
        program.chmod(0o755)

    monkeypatch.setenv("PATH", str(tmp_path))
    return make


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("echo active", None),
        ("echo reloading", None),
        ("echo inactive; exit 3", "unit shop.service is not active (inactive)"),
        ("echo failed; exit 3", "unit shop.service is not active (failed)"),
        ("echo deactivating; exit 3", "unit shop.service is not active (deactivating)"),
        ("echo unknown; exit 4", "unit shop.service is not active (unknown)"),
        ("echo inactive; exit 4", "unit shop.service is not active (inactive)"),
    ],
)
def test_a_unit_must_be_active(systemctl: Callable[[str], None], script: str, problem: str | None) -> None:
    systemctl(script)
    assert look(checks.systemd("shop.service"), PATIENCE) == problem


@pytest.mark.parametrize(
    "script",
    [
        "echo Failed to connect to bus >&2; exit 1",
        "echo Running in chroot, ignoring command >&2",
        "exit 3",
        "exit 4",
        "echo unknown; exit 3",
        "echo Failed to connect to bus: Connection refused; exit 3",
        "echo inactive; exit 1",
        "echo inactive; kill -TERM $$",
        "kill -KILL $$",
    ],
)
def test_what_systemctl_can_not_say_is_no_word_on_the_unit(
    systemctl: Callable[[str], None], script: str
) -> None:
    systemctl(script)
    with pytest.raises(OwnFault, match="could not look: systemctl ended with status"):
        look(checks.systemd("shop.service"), PATIENCE)


def test_a_systemctl_that_hangs_or_is_missing_is_no_word_on_the_unit(
    systemctl: Callable[[str], None],
) -> None:
    with pytest.raises(OwnFault, match="systemctl can't be started: No such file"):
        look(checks.systemd("shop.service"), PATIENCE)
    systemctl("while :; do :; done")
    with pytest.raises(OwnFault, match=r"systemctl took longer than 0\.2 s"):
        look(checks.systemd("shop.service"), SHORT)


# file


def test_a_file_must_be_there(tmp_path: Path) -> None:
    path = tmp_path / "beat"
    assert checks.file(str(path))(PATIENCE) == f"{path}: No such file or directory"
    path.touch()
    assert checks.file(str(path))(PATIENCE) is None


class Times:
    """Both clocks of the machine."""

    steady = 100.0
    wall = 1e9


@pytest.fixture
def watched(tmp_path: Path) -> tuple[Path, Times, Probe]:
    """A file that was written to just now, its clocks, and a check that allows 60 s."""
    path, times = tmp_path / "beat", Times()
    path.touch()
    os.utime(path, (times.wall, times.wall))
    return path, times, checks.file(str(path), 60.0, lambda: times.steady, lambda: times.wall)


def write(path: Path, times: Times) -> None:
    os.utime(path, (times.wall, times.wall))


def test_a_file_may_be_unchanged_for_so_long(watched: tuple[Path, Times, Probe]) -> None:
    path, times, probe = watched
    assert probe(PATIENCE) is None
    times.steady += 60
    assert probe(PATIENCE) is None
    times.steady += 1
    assert probe(PATIENCE) == f"{path} has not changed for 61 s, 60 s at most are allowed"
    times.wall += 61
    write(path, times)
    assert probe(PATIENCE) is None


@pytest.mark.parametrize("step", [3600.0, -3600.0])
def test_a_step_of_the_clock_makes_no_fresh_file_stale(
    watched: tuple[Path, Times, Probe], step: float
) -> None:
    path, times, probe = watched
    assert probe(PATIENCE) is None
    times.wall += step
    times.steady += 30
    assert probe(PATIENCE) is None
    write(path, times)
    times.steady += 50
    assert probe(PATIENCE) is None


def test_a_step_back_of_the_clock_passes_no_dead_file(watched: tuple[Path, Times, Probe]) -> None:
    _, times, probe = watched
    assert probe(PATIENCE) is None
    times.wall -= 3600
    times.steady += 61
    assert probe(PATIENCE) is not None


def test_a_file_that_is_old_at_the_first_look_is_neither_good_nor_bad_until_it_is_known(
    watched: tuple[Path, Times, Probe],
) -> None:
    path, times, probe = watched
    times.wall += 3600
    for _ in range(2):
        with pytest.raises(NotKnownYet, match="old at the first look"):
            probe(PATIENCE)
    times.steady += 61
    assert probe(PATIENCE) is not None
    write(path, times)
    assert probe(PATIENCE) is None


def test_a_file_s_age_is_found_out_by_one_look_in_each_life(watched: tuple[Path, Times, Probe]) -> None:
    """Found by a stranger: exporters that live for less than ``interval`` each measured what the one before had, and no more."""
    path, times, probe = watched
    problems: list[str | None] = []
    for _ in range(10):
        problems.append(probe(PATIENCE))
        times.steady += 8
        memory = getattr(probe, "memory", ())
        times.steady = 0.0
        probe = checks.file(str(path), 60.0, lambda: times.steady, lambda: times.wall)
        setattr(probe, "memory", memory)  # noqa: B010  what a plain function has not
        assert getattr(probe, "memory", ()) == memory, "killed before its first look"
    assert problems[:8] == [None] * 8
    assert problems[8] == f"{path} has not changed for 64 s, 60 s at most are allowed"
    times.wall += 1
    write(path, times)
    assert probe(PATIENCE) is None, "whatever the seconds after the last look were counted for"


def test_a_file_s_age_goes_on_over_restarts_by_what_was_seen(watched: tuple[Path, Times, Probe]) -> None:
    """Each of them dies before ``max_age`` has passed; the time between them is none in which anybody looked."""
    path, times, first = watched
    times.wall += 3600
    memory: tuple[int, ...] = ()
    with pytest.raises(NotKnownYet):
        first(PATIENCE)
    memory = getattr(first, "memory", ())
    problems: list[str | None] = []
    for _ in range(4):
        times.steady = 0.0
        probe = checks.file(str(path), 60.0, lambda: times.steady, lambda: times.wall)
        setattr(probe, "memory", memory)  # noqa: B010  what a plain function has not
        for _ in range(3):
            try:
                problems.append(probe(PATIENCE))
            except NotKnownYet:
                problems.append(None)
            times.steady += 10
        memory = getattr(probe, "memory", ())
        times.wall += 600
    assert problems[:7] == [None] * 7
    assert problems[7] == f"{path} has not changed for 70 s, 60 s at most are allowed"
    assert None not in problems[7:]
    times.wall += 1
    write(path, times)
    assert probe(PATIENCE) is None


# web


def test_the_web_server_is_asked_from_inside() -> None:
    limits: list[float] = []

    def responds(limit: float) -> bool:
        limits.append(limit)
        return len(limits) == 1

    probe = checks.web(responds)
    assert probe(5.0) is None
    assert probe(5.0) == "the exporter's web server stood still for 5 s"
    assert limits == [5.0, 5.0]


# One limit for everything, and shortages


def test_a_pattern_that_takes_for_ever_is_given_up(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    text = b"a" * 50_000
    port = serve(says(b"HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n" + text))
    monkeypatch.setattr(process, "processor_time", lambda _: PATIENCE)
    begun = threading.active_count()
    for limit in (1.0, 4.0, 16.0):
        with suppress(Starved):
            problem = checks.http(f"http://127.0.0.1:{port}/", body="(a+a+)+b")(limit)
            assert problem is not None
            if "took too long" in problem:
                break
    else:
        raise AssertionError("its process had no time to begin")
    assert threading.active_count() <= begun + 1


@pytest.mark.parametrize(("had", "starved"), [(0.01, True), (0.19, True), (0.3, False)])
def test_a_search_that_was_hardly_run_is_no_word_on_the_body(
    had: float, starved: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by a stranger: with 2 % of a processor, a machine was reset whose page was right."""
    monkeypatch.setattr(isolated, "command", lambda *_: ["/bin/sh", "-c", "echo 0.1; exec sleep 600"])
    for limit in (SHORT, 5.0, PATIENCE):
        monkeypatch.setattr(process, "processor_time", lambda _, limit=limit: had * limit / SHORT)
        try:
            with pytest.raises(Starved if starved else TimeoutError):
                search("ok", b"ok", limit)
        except Starved:
            continue  # not even the shell has begun
        break


def test_a_search_that_has_not_begun_was_starved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated, "command", lambda *_: ["/bin/sleep", "600"])
    monkeypatch.setattr(process, "processor_time", lambda _: PATIENCE)
    with pytest.raises(Starved, match="hardly run"):
        look(lambda limit: str(search("ok", b"ok", limit)), SHORT)


def test_a_pattern_that_takes_for_ever_ends_also_where_nobody_is_left_to_give_it_up() -> None:
    """A heart that was killed leaves its processes behind."""
    command = isolated.command("exporter.ha.pattern", '"(a+a+)+b"', f"{SHORT:g}")
    ended = subprocess.run(command, input=b"a" * 50_000, timeout=PATIENCE, check=False)
    assert ended.returncode == -signal.SIGALRM


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("(?i)gesund ü", "GESUND Ü", True),
        ("^[üä]$", "ü", True),
        ("^x.y$", "xüy", True),
        ("^[üä]$", "o", False),
        ("a\0b", "a\0b", True),
        ("^-ok$", "-ok", True),
    ],
)
def test_a_pattern_is_one_of_letters_not_bytes(pattern: str, text: str, found: bool) -> None:
    assert search(pattern, text.encode(), PATIENCE) is found


def test_headers_that_drip_end_with_the_limit(serve: Serve) -> None:
    port = serve(drips(b"HTTP/1.1 200 OK\r\nX: "))
    url = f"http://127.0.0.1:{port}/"
    assert checks.http(url)(SHORT) == f"{url} did not answer within {SHORT:g} s"


def test_a_peer_that_drips_is_left_and_not_waited_for(serve: Serve) -> None:
    left = threading.Event()

    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        try:
            connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            for _ in range(2000):
                time.sleep(SHORT / 20)
                connection.sendall(b"x")
        except OSError:
            left.set()

    url = f"http://127.0.0.1:{serve(answer)}/"
    # Longer than any pause between two bytes, which no limit for each read would then see.
    assert checks.http(url)(5 * SHORT) == f"{url} did not answer within {5 * SHORT:g} s"
    assert left.wait(PATIENCE)


def test_a_look_by_http_takes_no_thread(serve: Serve) -> None:
    """Found by a stranger: one that died at its start for want of memory hung the look for ever, and the machine was reset."""
    port = serve(says(OK))
    with new_threads_die() as dead:
        assert look(checks.http(f"http://127.0.0.1:{port}/", body="status"), PATIENCE) is None
    assert not dead


def test_a_handshake_that_drips_ends_with_the_limit(serve: Serve) -> None:
    port = serve(drips(b"\x16\x03\x03\x40\x00"))
    url = f"https://127.0.0.1:{port}/"
    assert checks.http(url)(SHORT) == f"{url} did not answer within {SHORT:g} s"


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ENOBUFS])
@pytest.mark.parametrize("name", ["http", "tcp", "command", "systemd", "file"])
def test_a_shortage_of_the_exporters_own_is_no_failure_of_a_check(
    monkeypatch: pytest.MonkeyPatch, name: str, number: int
) -> None:
    probe = {
        "http": checks.http("http://127.0.0.1:9/"),
        "tcp": checks.tcp("127.0.0.1", 9),
        "command": checks.command(["/bin/true"]),
        "systemd": checks.systemd("x"),
        "file": checks.file("/x"),
    }[name]

    def short(*_: object, **__: object) -> None:
        raise OSError(number, "short")

    monkeypatch.setattr(socket, "socket", short)
    monkeypatch.setattr(subprocess, "Popen", short)
    monkeypatch.setattr(Path, "stat", short)
    with pytest.raises(OwnFault, match=r"could not look: .*short"):
        look(probe, PATIENCE)


def test_the_children_of_a_check_are_reaped_by_their_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the first process of a container does, which inherits them."""
    asked: list[int] = []

    def waitpid(pid: int, options: int) -> tuple[int, int]:
        asked.append(pid)
        if len(asked) == 1:
            return 4711, 0
        raise ChildProcessError

    probe = checks.command(["/bin/true"])
    assert probe(PATIENCE) is None
    monkeypatch.setattr(os, "waitpid", waitpid)
    groups = {12345}
    program.reap(groups)
    assert asked == [-12345, -12345]
    assert groups == set()


def test_each_look_reaps_what_the_one_before_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    groups: list[int] = []
    real = os.waitpid

    def waitpid(pid: int, options: int) -> tuple[int, int]:
        if pid < -1:
            groups.append(pid)
        return real(pid, options)

    probe = checks.command(["/bin/true"])
    monkeypatch.setattr(os, "waitpid", waitpid)
    assert probe(PATIENCE) is None
    assert groups == []
    assert probe(PATIENCE) is None
    assert len(groups) == 1


@pytest.mark.parametrize(
    ("script", "how"), [("kill -KILL $$", "was killed by signal 9"), ("exit 137", "status 137")]
)
@pytest.mark.parametrize(
    ("counts", "own"), [((3, 3), False), ((3, 4), True), ((None, None), True), ((3, None), True)]
)
def test_a_command_that_was_killed_has_failed_unless_the_kernel_killed_for_want_of_memory(
    script: str, how: str, counts: tuple[int | None, ...], own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """timeout(1) kills itself too, found by a stranger: that service was ill for good, and nothing was asked."""
    left = list(counts)
    monkeypatch.setattr(memory_kills, "count", lambda: left.pop(0))
    probe = checks.command(["/bin/sh", "-c", script])
    if own:
        with pytest.raises(OwnFault, match="sh was killed"):
            look(probe, PATIENCE)
    else:
        assert how in str(look(probe, PATIENCE))


def test_a_program_that_is_being_written_to_can_not_be_looked_with(monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object, **__: object) -> None:
        raise OSError(errno.ETXTBSY, "Text file busy")

    monkeypatch.setattr(subprocess, "Popen", busy)
    with pytest.raises(OwnFault, match="probe is being written to"):
        look(checks.command(["probe"]), PATIENCE)


@pytest.mark.parametrize("end", ["kill -KILL $$", "exit 1", "exit 127"])
def test_a_pattern_whose_process_failed_is_no_word_on_the_body(
    end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolated, "command", lambda *_: ["/bin/sh", "-c", end])
    with pytest.raises(OwnFault, match="could not look for 'ok'"):
        search("ok", b"ok", PATIENCE)


@pytest.mark.parametrize("short", [False, True])
def test_a_certificate_that_is_not_trusted_for_want_of_files_is_no_failure(
    short: bool, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenSSL finds no authorities where it can't open their files, and does not say so."""
    opened = os.open

    def no_files(path: str, *rest: int) -> int:
        if path == os.devnull:
            raise OSError(errno.EMFILE, "Too many open files")
        return opened(path, *rest)

    class Secured:
        def do_handshake(self) -> None:
            if short:
                monkeypatch.setattr(os, "open", no_files)
            raise ssl.SSLCertVerificationError("unable to get local issuer certificate")

        def settimeout(self, _limit: float) -> None:
            pass

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    class Context:
        def wrap_socket(self, *_: object, **__: object) -> Secured:
            return Secured()

    monkeypatch.setattr(ssl, "create_default_context", Context)
    probe = checks.http(f"https://127.0.0.1:{serve(says(OK))}/")
    if short:
        with pytest.raises(OwnFault, match="Too many open files"):
            look(probe, PATIENCE)
    else:
        assert "unable to get local issuer" in str(look(probe, PATIENCE))
