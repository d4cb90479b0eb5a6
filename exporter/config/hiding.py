"""The words of a command line as messages may repeat them: without what is a secret, or may be one, or a part of one.

That is the value of a setting that is secret; whatever stands behind a word that is meant as a flag and is none, which may
be such a setting, misspelled; and the words that follow either, since quotes are forgotten.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

from exporter.config.given import did_you_mean, nearest
from exporter.config.settings import OPTIONS

HIDDEN = "<hidden>"
HELP, VERSION = ("-h", "--help"), ("--version",)
"""Flags that take no value, of every command line."""
_NUMBER = re.compile(r"-\d+|-\d*\.\d+")
"""No flag, as argparse has it."""
_NAME = re.compile(r"[-–—−]*[\w.-]*")  # noqa: RUF001  what a word processor makes of dashes
_LIKE_OURS = re.compile(r"--?[a-z][a-z._-]*")
_SETTINGS = frozenset(name for row in OPTIONS for name in (row.flag, row.negative))
_SECRET = frozenset(row.flag for row in OPTIONS if row.kind.secret)


class WithoutSecrets(NamedTuple):
    """``words``: as many as there were, flags where flags were. ``after``: the flag, or what is meant as one, that the first
    hidden word stands after.
    """

    words: list[str]
    after: str


def hide_secrets(argv: Sequence[str], known: Collection[str], words: Collection[str]) -> WithoutSecrets:
    """``argv``, to be repeated. ``known``: the flags there are; ``words``: those that mean something, names of commands."""
    found: list[str] = []
    first = behind = ""
    takes = False
    for word in argv:
        flag = is_flag(word)
        name, equals, value = word.partition("=")
        told = word
        if flag and is_known(word, known):
            if name in _SECRET or name in {*HELP, *VERSION}:
                told = name + equals + _hidden(value)
            elif word.startswith(HELP[0]):
                told = HELP[0] + _hidden(word.removeprefix(HELP[0]))
            behind = name if name in _SECRET else ""
        elif flag:
            told = _unknown(word, behind, known)
            if told.startswith(f"-{HIDDEN}"):
                first = first or behind
            else:
                behind = _name(told)
        elif word == "--" or word in words:
            pass
        elif behind:
            told, first = _hidden(word), first or behind
        elif word[:1] in {*"–—−"} or (equals and not takes):  # noqa: RUF001
            # otlp.headers=…, VMGUEST_OTLP_HEADERS=…
            told = _name(word) + _value(word.removeprefix(_name(word)))
            behind = _name(word) or told
        takes = flag and not equals and not behind and name not in {*_SETTINGS, *HELP, *VERSION}
        found.append(told)
    return WithoutSecrets(found, first)


def is_flag(word: str) -> bool:
    """Whether it is meant as one, or more of them."""
    return len(word) > 1 and word.startswith("-") and word != "--" and not _NUMBER.fullmatch(word)


def is_known(word: str, known: Collection[str]) -> bool:
    """Whether it is one of the flags that are ``known``, whatever its value.

    ``-oFILE`` is ``-o``; ``-otlp.headers=…`` is not, but a setting that lacks a dash.
    """
    if word.partition("=")[0] in known:
        return True
    name = _name(word)
    group, dot, _ = name.partition(".")
    ours = bool(nearest(name, known)) or (dot and any(each.startswith(f"-{group}.") for each in known))
    return word[:2] in known and not ours


def flag_of(word: str) -> str:
    """What stands before the value, if there is any."""
    return word.partition("=")[0].partition(" ")[0]


def no_such_flag(word: str, known: Sequence[str]) -> str:
    """The sentence for a word that is meant as a flag, as it may be repeated, and is none of ``known``."""
    name = flag_of(word)
    if name in known:  # "--otlp.headers a=b" as one word
        return f"{name}: its value stands behind = or is the next word; here both are one word"
    return f"{name}: no such flag{did_you_mean(name, known)}"


def _unknown(word: str, behind: str, known: Collection[str]) -> str:
    """Its name, if it has one; a word behind what may be a secret has, where it looks like our flags."""
    name = _name(word)
    single = not word.startswith("--") and len(name) > 2 and not nearest(name, known)
    if behind and (single or not _LIKE_OURS.fullmatch(name)):
        return f"-{_hidden(word[1:])}"
    if single:  # -pSECRET
        name = word[:2]
    return name + _value(word.removeprefix(name))


def _name(word: str) -> str:
    found = _NAME.match(word)
    return found[0] if found else ""


def _value(text: str) -> str:
    """What stands behind a name: the sign between stays."""
    return _hidden(text) if text[:1].isalnum() else text[:1] + _hidden(text[1:])


def _hidden(text: str) -> str:
    # A word with a space in it is no flag for argparse, so there must be one as before.
    return re.sub(r"[^ ]+", HIDDEN, text)
