"""What strangers can do to a scrape: floods of logins, handshakes, connections and requests.

The exporter serves TLS with passwords at bcrypt's cost 10, and so does Debian's node_exporter, by the same web
configuration. Meanwhile a client that was let in before scrapes twice a second, and every few seconds another user logs
in for the first time, from an address of its own. Wanted here: every scrape under a second, and a first login within what
``docs/tls.md`` says. Attackers, clients and server share the machine's processors. Prints; judges nothing. Needs
``apt-get install prometheus-node-exporter`` and the extra ``dev``.

    python -m benchmarks.hostile [--seconds 30]
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import http.client
import multiprocessing
import secrets
import socket
import ssl
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event
from pathlib import Path
from subprocess import DEVNULL, Popen

import bcrypt
import trustme

from benchmarks.host import ROOT, simulated_host
from benchmarks.programs import exporter_command, free_port, node_exporter_command

COST = 10
SCRAPE_EVERY = 0.5
LOGIN_EVERY = 3.0
CROWD = 600
"""Idle connections that are held open; more than the exporter's limit."""
DRIPPING = 50
"""Handshakes that never end."""
ATTACKERS = 4
ADDRESSES = 30
"""Of the flood that comes from many; Linux has all of 127.0.0.0/8 on loopback."""
REGULAR, NEWCOMER = "127.0.0.8", "127.0.0.9"


def anybody() -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    return made


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


class Client:
    """Scrapes over one kept connection; one that was closed while idle is opened anew, as Go's client does."""

    def __init__(self, port: int, source: str) -> None:
        self._port, self._source = port, source
        self._context = anybody()
        self._connection = self._new()

    def _new(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(
            "127.0.0.1", self._port, timeout=20, context=self._context, source_address=(self._source, 0)
        )

    def get(self, headers: dict[str, str]) -> int:
        """The status; 0 where there was none."""
        for _ in range(2):
            try:
                self._connection.request("GET", "/metrics", headers=headers)
                answer = self._connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                self._connection.close()
                self._connection = self._new()
            else:
                return answer.status
        return 0

    def close(self) -> None:
        self._connection.close()


def log_in(port: int, source: str) -> Iterator[None]:
    client = Client(port, source)
    while True:
        client.get(basic(secrets.token_hex(8), secrets.token_hex(8)))
        yield


def ask(port: int, source: str) -> Iterator[None]:
    client = Client(port, source)
    while True:
        client.get({})
        yield


class Drip:
    """A handshake that never ends: a record of 16 KiB that comes a byte at a time."""

    def __init__(self, port: int, source: str) -> None:
        self._address, self._source = ("127.0.0.1", port), (source, 0)
        self._socket: socket.socket | None = None

    def drop(self) -> None:
        try:
            if self._socket is None:
                self._socket = socket.create_connection(self._address, 20, self._source)
                self._socket.sendall(b"\x16\x03\x01\x40\x00")
            self._socket.sendall(b"\x01")
        except OSError:
            # Cut off: once more.
            self._socket = None


def shake_hands(port: int, source: str) -> Iterator[None]:
    context = anybody()
    dripping = [Drip(port, source) for _ in range(DRIPPING // ATTACKERS)]
    while True:
        for drip in dripping:
            drip.drop()
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", port), 20, (source, 0)) as plain,
            context.wrap_socket(plain),
        ):
            pass
        yield


def connect(port: int, source: str) -> Iterator[None]:
    held: list[socket.socket] = []
    while True:
        with contextlib.suppress(OSError):
            held.append(socket.create_connection(("127.0.0.1", port), 20, (source, 0)))
        if len(held) > CROWD // ATTACKERS:
            held.pop(0).close()
        yield


FLOODS: dict[str, tuple[Callable[[int, str], Iterator[None]], int]] = {
    "logins, from one address": (log_in, 1),
    f"logins, from {ADDRESSES}": (log_in, ADDRESSES),
    "handshakes": (shake_hands, 1),
    "connections": (connect, 1),
    "requests": (ask, 1),
}
"""Name to what an attacker does again and again, and from how many addresses."""


def flood(name: str, port: int, stop: Event, done: multiprocessing.Queue[int]) -> None:
    """In a process of its own: attack until told to stop; how often goes to ``done``."""
    attack, addresses = FLOODS[name]
    counts: list[int] = []

    def run(source: str) -> None:
        attacks, count = attack(port, source), 0
        while not stop.is_set():
            next(attacks)
            count += 1
        counts.append(count)

    sources = [f"127.0.1.{1 + number % addresses}" for number in range(max(ATTACKERS, addresses))]
    threads = [threading.Thread(target=run, args=(source,), daemon=True) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done.put(sum(counts))


@dataclass
class Seen:
    """Seconds that each took; those that had no good answer apart, by status."""

    took: list[float] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)

    def measure(self, ask: Callable[[], int]) -> None:
        begun = time.monotonic()
        status = ask()
        if status == http.HTTPStatus.OK:
            self.took.append(time.monotonic() - begun)
        else:
            self.failed.append(status)

    def __str__(self) -> str:
        shown = f"{len(self.took):3} good"
        if self.took:
            shown += f", median {statistics.median(self.took) * 1000:5.0f}, longest {max(self.took) * 1000:5.0f} ms"
        if self.failed:
            shown += f"; {len(self.failed)} failed {sorted(set(self.failed))}"
        return shown


def under(name: str, program: str, port: int, seconds: float, users: Iterator[str]) -> None:
    """Scrape and log in while the flood lasts, and print what was seen."""
    spawn = multiprocessing.get_context("spawn")
    stop, done = spawn.Event(), spawn.Queue()
    attacker = spawn.Process(target=flood, args=(name, port, stop, done))
    scrapes, logins = Seen(), Seen()
    regular = Client(port, REGULAR)
    regular.get(basic("regular", "secret"))
    attacker.start()
    end = time.monotonic() + seconds

    def newcomers() -> None:
        while time.monotonic() < end:
            client = Client(port, NEWCOMER)
            logins.measure(lambda client=client: client.get(basic(next(users), "secret")))  # type: ignore[misc]
            client.close()
            time.sleep(LOGIN_EVERY)

    thread = threading.Thread(target=newcomers)
    thread.start()
    while time.monotonic() < end:
        scrapes.measure(lambda: regular.get(basic("regular", "secret")))
        time.sleep(SCRAPE_EVERY)
    stop.set()
    attacks = done.get(timeout=60)
    attacker.join(20)
    thread.join(30)
    regular.close()
    print(f"{name}, {attacks / seconds:.0f} a second: {program}")
    print(f"  scrapes      {scrapes}")
    print(f"  first logins {logins}", flush=True)


@contextmanager
def serving(command: list[str], port: int) -> Iterator[None]:
    process = Popen(command, cwd=ROOT, stdout=DEVNULL, stderr=DEVNULL)
    try:
        client = Client(port, REGULAR)
        deadline = time.monotonic() + 20
        while client.get(basic("regular", "secret")) != http.HTTPStatus.OK:
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"{command[0]} did not answer on port {port}")
            time.sleep(0.05)
        client.close()
        yield
    finally:
        process.terminate()
        process.wait(10)


def configuration(folder: Path, users: list[str]) -> Path:
    issued = trustme.CA().issue_cert("localhost")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(COST, b"2a")).decode()
    text = "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\nbasic_auth_users:\n"
    (folder / "web.yml").write_text(text + "".join(f"  {user}: {hashed}\n" for user in users))
    return folder / "web.yml"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=30, help="how long each flood lasts (default 30)")
    seconds = parser.parse_args().seconds
    newcomers = [f"user{number}" for number in range(len(FLOODS) * int(2 + seconds / LOGIN_EVERY))]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vmg")))
        stack.enter_context(simulated_host(folder / "host"))
        web = f"--web.config.file={configuration(folder, ['regular', *newcomers])}"
        ours, theirs = free_port(), free_port()
        ports = {"vmguest-exporter": ours, "node_exporter": theirs}
        stack.enter_context(serving(exporter_command(ours, folder / "host", web), ours))
        stack.enter_context(serving(node_exporter_command(theirs, web), theirs))
        users = {name: iter(newcomers) for name in ports}
        print(f"{seconds:.0f} s each:")
        for flood_name in FLOODS:
            # One after the other, so that a machine that is busy for a while is so for both.
            for name, port in ports.items():
                under(flood_name, name, port, seconds, users[name])


if __name__ == "__main__":
    main()
