"""Passwords: who is let in, and what is remembered."""

from __future__ import annotations

import base64
import itertools
import sys
from collections.abc import Callable

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import ConfigError
from exporter.outputs.web import auth
from exporter.outputs.web.auth import REMEMBERED, Admitted, Credentials, Passwords, credentials, remarks

HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4))
OTHER = bcrypt.hashpw(b"secret", bcrypt.gensalt(4))
RIGHT = Credentials(b"prometheus", b"secret")
WRONG = Credentials(b"prometheus", b"wrong")


def basic(text: bytes) -> str:
    return "Basic " + base64.b64encode(text).decode()


class Slow:
    """Stands for bcrypt: counts, and compares plainly."""

    def __init__(self) -> None:
        self.calls: list[tuple[bytes, bytes]] = []

    def __call__(self, password: bytes, hashed: bytes) -> bool:
        self.calls.append((password, hashed))
        return hashed in (HASH, OTHER) and password == b"secret"


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def passwords(slow: Slow) -> Passwords:
    return Passwords({"prometheus": HASH, "grün": HASH}, slow, Admitted())


class TestCredentials:
    def test_the_schemes_name_has_no_case_and_a_password_may_hold_colons(self) -> None:
        assert credentials(basic(b"u:a:b:c").replace("Basic", "bAsIc")) == (b"u", b"a:b:c")

    @pytest.mark.parametrize(
        "header", ["", "Basic", "Bearer abc", "Basic !!!", "Basic bm9jb2xvbg==", "Basic \xe9", "Digest x"]
    )
    def test_a_header_without_name_and_password(self, header: str) -> None:
        assert credentials(header) is None

    @given(st.text())
    def test_no_header_is_too_odd(self, header: str) -> None:
        found = credentials(header)
        assert found is None or ":" not in found.name.decode("latin-1")


class TestLogins:
    @pytest.mark.parametrize("name", ["prometheus", "grün"])
    def test_the_right_password(self, passwords: Passwords, name: str) -> None:
        assert passwords.check(Credentials(name.encode(), b"secret"))

    def test_a_wrong_password(self, passwords: Passwords) -> None:
        assert not passwords.check(Credentials(b"prometheus", b"Secret"))

    def test_an_unknown_name_takes_as_much_work_as_the_cheapest_hash(self, slow: Slow) -> None:
        dear = HASH.replace(b"$04$", b"$17$")
        passwords = Passwords({"a": dear, "prometheus": HASH, "b": dear}, slow, Admitted())
        assert not passwords.check(Credentials(b"nobody", b"secret"))
        assert len(slow.calls) == 1
        assert slow.calls[0][1].startswith(b"$2b$04$")

    def test_an_unknown_name_is_refused_even_if_the_hash_should_match(self) -> None:
        assert not Passwords({"a": HASH}, lambda *_: True, Admitted()).check(Credentials(b"b", b"x"))


class TestMemory:
    def test_each_pair_is_worked_out_once(self, passwords: Passwords, slow: Slow) -> None:
        assert passwords.known(RIGHT) is passwords.known(WRONG) is None
        for _ in range(5):
            assert passwords.check(RIGHT)
            assert not passwords.check(WRONG)
        assert (passwords.known(RIGHT), passwords.known(WRONG)) == (True, False)
        assert len(slow.calls) == 2

    def test_a_name_and_a_password_can_not_be_taken_for_another_pair(self, slow: Slow) -> None:
        passwords = Passwords({"a": HASH}, slow, Admitted())
        passwords.check(Credentials(b"a", b"secret"))
        assert passwords.known(Credentials(b"as", b"ecret")) is None

    def test_a_flood_of_wrong_passwords_does_not_drive_the_right_one_out(self, passwords: Passwords) -> None:
        passwords.check(RIGHT)
        for number in range(REMEMBERED + 20):
            passwords.check(Credentials(b"prometheus", b"%d" % number))
        assert passwords.known(RIGHT)
        assert passwords.known(Credentials(b"prometheus", b"0")) is None, "the oldest wrong one is forgotten"

    def test_who_was_let_in_stays_so_over_a_change_while_the_hash_is_the_same(self, slow: Slow) -> None:
        admitted = Admitted()
        Passwords({"prometheus": HASH}, slow, admitted).check(RIGHT)
        assert Passwords({"prometheus": HASH, "more": OTHER}, slow, admitted).known(RIGHT)
        assert Passwords({"prometheus": OTHER}, slow, admitted).known(RIGHT) is None
        assert Passwords({"other": HASH}, slow, admitted).known(RIGHT) is None

    def test_who_was_refused_is_asked_again_after_a_change(self, slow: Slow) -> None:
        admitted = Admitted()
        before = Passwords({"other": HASH}, slow, admitted)
        before.check(RIGHT)
        assert before.known(RIGHT) is False
        assert Passwords({"prometheus": HASH}, slow, admitted).check(RIGHT)


class TestRemarks:
    @staticmethod
    def clock(step: float) -> Callable[[], float]:
        """Each look at it is ``step`` seconds after the one before."""
        return itertools.count(0.0, step).__next__

    def test_hashes_of_one_cost_that_are_cheap_enough_need_none(self, slow: Slow) -> None:
        assert list(remarks({"a": HASH, "b": OTHER}, slow, self.clock(0.004))) == []

    def test_names_that_the_time_gives_away(self, slow: Slow) -> None:
        dear = HASH.replace(b"$04$", b"$05$")
        ((_, remark),) = remarks({"a": HASH, "c": dear, "b": dear}, slow, self.clock(0.001))
        assert "these names exist: b, c; give all the same" in remark

    def test_a_hash_that_takes_longer_than_a_second(self, slow: Slow) -> None:
        users = {"a": HASH.replace(b"$04$", b"$18$")}
        ((topic, remark),) = remarks(users, slow, self.clock(0.004))
        ((again, _),) = remarks(users, slow, self.clock(0.005))
        assert topic == again, "said once, whatever the next estimate"
        assert "the password of a takes about 16 s on this machine (bcrypt cost 18)" in remark


class TestBcrypt:
    @pytest.mark.parametrize("kind", [b"$2a$", b"$2b$", b"$2y$"])
    def test_the_kinds_of_hash_that_tools_write(self, kind: bytes) -> None:
        hashed = kind + HASH[4:]
        assert auth.checker()(b"secret", hashed)
        assert not auth.checker()(b"Secret", hashed)

    def test_72_bytes_count_as_they_do_for_other_exporters(self) -> None:
        hashed = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4))
        given = credentials(basic(b"u:" + b"x" * 100))
        assert given is not None
        assert auth.checker()(given.password, hashed)

    def test_what_bcrypt_can_not_take_is_a_wrong_password(self) -> None:
        assert not auth.checker()(b"secret\0", HASH)

    def test_nobodys_hash_is_a_real_one(self) -> None:
        assert not bcrypt.checkpw(b"", auth._NOBODY % 4)

    def test_without_bcrypt_the_extra_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "bcrypt", None)
        with pytest.raises(ConfigError, match=r"needs bcrypt: "):
            auth.checker()
