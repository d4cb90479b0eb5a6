"""Passwords: who is let in, what is remembered, and that waiting for bcrypt is bounded."""

from __future__ import annotations

import base64
import sys
import threading
from collections.abc import Callable

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import ConfigError
from exporter.outputs.web import auth
from exporter.outputs.web.auth import REMEMBERED, WAITING, Login, Passwords

HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4))


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


class Slow:
    """Stands for bcrypt: counts, compares plainly, waits for ``gate`` when told to."""

    def __init__(self) -> None:
        self.calls: list[tuple[bytes, bytes]] = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, password: bytes, hashed: bytes) -> bool:
        self.calls.append((password, hashed))
        assert self.gate.wait(10)
        return hashed == HASH and password == b"secret"


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def passwords(slow: Slow) -> Passwords:
    return Passwords({"prometheus": HASH, "grün": HASH}, slow)


class TestLogins:
    @pytest.mark.parametrize("name", ["prometheus", "grün"])
    def test_the_right_password(self, passwords: Passwords, name: str) -> None:
        assert passwords.judge(basic(name, "secret")) is Login.ACCEPTED

    def test_a_wrong_password(self, passwords: Passwords) -> None:
        assert passwords.judge(basic("prometheus", "Secret")) is Login.REFUSED

    def test_an_unknown_name_takes_as_much_work(self, passwords: Passwords, slow: Slow) -> None:
        assert passwords.judge(basic("nobody", "secret")) is Login.REFUSED
        assert len(slow.calls) == 1
        assert slow.calls[0][1].startswith(HASH[:7]), "of the users' own cost"

    def test_an_unknown_name_is_refused_even_if_the_hash_should_match(self) -> None:
        assert Passwords({"a": HASH}, lambda *_: True).judge(basic("b", "x")) is Login.REFUSED

    @pytest.mark.parametrize(
        "header", ["", "Basic", "Bearer abc", "Basic !!!", "Basic bm9jb2xvbg==", "Basic \xe9", "Digest x"]
    )
    def test_without_name_and_password_bcrypt_is_not_asked(
        self, passwords: Passwords, slow: Slow, header: str
    ) -> None:
        assert passwords.judge(header) is Login.REFUSED
        assert slow.calls == []

    def test_the_schemes_name_has_no_case_and_a_password_may_hold_colons(self) -> None:
        hashed = bcrypt.hashpw(b"a:b:c", bcrypt.gensalt(4))
        judge = Passwords({"u": hashed}, auth.checker()).judge
        assert judge(basic("u", "a:b:c").replace("Basic", "bAsIc")) is Login.ACCEPTED

    @given(st.text(st.characters(max_codepoint=255)))
    def test_no_header_gets_in_by_chance(self, header: str) -> None:
        assert Passwords({"prometheus": HASH}, Slow()).judge(header) is Login.REFUSED


class TestMemory:
    def test_each_pair_is_worked_out_once(self, passwords: Passwords, slow: Slow) -> None:
        for _ in range(5):
            assert passwords.judge(basic("prometheus", "secret")) is Login.ACCEPTED
            assert passwords.judge(basic("prometheus", "wrong")) is Login.REFUSED
        assert len(slow.calls) == 2

    def test_a_name_and_a_password_can_not_be_taken_for_another_pair(self, slow: Slow) -> None:
        passwords = Passwords({"a": HASH}, slow)
        passwords.judge(basic("a", "secret"))
        assert passwords.judge(basic("as", "ecret")) is Login.REFUSED

    def test_a_flood_of_wrong_passwords_does_not_drive_the_right_one_out(
        self, passwords: Passwords, slow: Slow
    ) -> None:
        passwords.judge(basic("prometheus", "secret"))
        for number in range(REMEMBERED + 20):
            passwords.judge(basic("prometheus", str(number)))
        calls = len(slow.calls)
        assert passwords.judge(basic("prometheus", "secret")) is Login.ACCEPTED
        assert len(slow.calls) == calls
        passwords.judge(basic("prometheus", "0"))
        assert len(slow.calls) == calls + 1, "the oldest wrong one is forgotten"


class TestWaiting:
    def test_beyond_a_few_nobody_waits_and_those_known_are_let_in(
        self, passwords: Passwords, slow: Slow
    ) -> None:
        passwords.judge(basic("prometheus", "secret"))
        slow.gate.clear()
        found: list[Login] = []
        threads = [
            threading.Thread(target=lambda n=n: found.append(passwords.judge(basic("x", str(n)))))
            for n in range(WAITING)
        ]
        try:
            for thread in threads:
                thread.start()
            wait_until(lambda: full(passwords))
            assert passwords.judge(basic("x", "more")) is Login.BUSY
            assert passwords.judge(basic("prometheus", "secret")) is Login.ACCEPTED
        finally:
            slow.gate.set()
            for thread in threads:
                thread.join(10)
        assert found == [Login.REFUSED] * WAITING
        assert passwords.judge(basic("x", "after")) is Login.REFUSED


def full(passwords: Passwords) -> bool:
    if passwords._room.acquire(blocking=False):
        passwords._room.release()
        return False
    return True


def wait_until(condition: Callable[[], bool]) -> None:
    tick = threading.Event()
    for _ in range(1000):
        if condition():
            return
        tick.wait(0.01)
    pytest.fail("it never came about")


class TestBcrypt:
    @pytest.mark.parametrize("kind", [b"$2a$", b"$2b$", b"$2y$"])
    def test_the_kinds_of_hash_that_tools_write(self, kind: bytes) -> None:
        hashed = kind + HASH[4:]
        assert auth.checker()(b"secret", hashed)
        assert not auth.checker()(b"Secret", hashed)

    def test_72_bytes_count_as_they_do_for_other_exporters(self) -> None:
        hashed = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4))
        assert auth.checker()(b"x" * 100, hashed)

    def test_what_bcrypt_can_not_take_is_a_wrong_password(self) -> None:
        assert not auth.checker()(b"secret\0", HASH)

    def test_nobodys_hash_is_a_real_one(self) -> None:
        assert not bcrypt.checkpw(b"", auth._NOBODY % 4)

    def test_without_bcrypt_the_extra_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "bcrypt", None)
        with pytest.raises(ConfigError, match=r"needs bcrypt.*vmguest-exporter\[web\]"):
            auth.checker()
