"""The reader of YAML against PyYAML: what it reads is what YAML says, or it reads nothing."""

from __future__ import annotations

import random

import pytest

from exporter.errors import RemoteProtocolError
from exporter.protocol.stat_get import parse
from tests.protocol import reference_decoder as reference

FULL = "a:\n  type: accumulate\n  units: us\n"
STRANGE = [
    "version: VMware\n  ESXi 7\n",
    f"{FULL}  value: 12\n    34\n",
    f"{FULL}  value:\n    34\n",
    f"{FULL}  value: 5 # five\n",
    f"{FULL}  value: 5\n  value: 6\n",
    f"{FULL} b: 3\n",
    "a: 5 #x\n",
    "version: VMware # build\n",
    '"a: b": 5\n',
    "a:\n    value: 7\n  type: accumulate\n",
    f"{FULL}  b:\n    value: 9\n  value: 3\n",
    "b:\n- value: 4\n",
    "a:\n  value: 4\n---\nb:\n  value: 5\n",
    "a:\n  value: 4\n...\njunk: 5\n",
    "a: '5'\n",
    "version: 'it''s'\n",
    'version: "a\\"b"\n',
    'version: "VMware ESXi',
    "  a:\n    value: 5\n    type: instant\n  b: 3\n",
    "a:\n\tvalue: 5\n\ttype: instant\n",
    "a: 5\na: 6\n",
    "a:5\n",
    "a: |\n  value: 5\n",
    "a: >-\n  5\n",
    'a:\n  value: "1\\x30"\n',
    "a:\n  value: \u00a05\n",
    "a:\n  value: \uff15\n",
    "--- a: 5\n",
    "a: b: c\n",
    "#\x01\n",
    "# \u2028a: 5\n",
    "a: b:\n",
    "<<:\n  value: 5\n",
    "a:\n  <<:\n    value: 5\n",
    "a: 5\u2028b: 6\n",
    "a: 0\nb:\n  value: 0\n",
    "x=y: 5\n5: 3\n",
    *(
        f"b: 1\na:\n  value: {word}\n"
        for word in (
            *(
                "017",
                "1_000",
                "1.5e3",
                "-0",
                "60:30",
                "12:30:45",
                "2020-01-01",
                "null",
                "~",
                "true",
                "+5",
                "0x10",
            ),
            *(
                ".5",
                "1.",
                ".inf",
                "-.INF",
                ".nan",
                "0b11",
                "0o17",
                "yes",
                "=",
                "-",
                "%",
                "1e3",
                "08",
                "-a",
                "a#b",
                "a:b",
            ),
        )
    ),
]


def agrees(text: str) -> bool:
    """Whether it was read, and not refused. AssertionError where it was read as something else."""
    reply = text.encode()
    try:
        parsed = parse("yaml", reply)
    except RemoteProtocolError:
        assert not reference.is_guides_yaml(text), f"refused: {text!r}"
        return False
    found = {each.name: (each.value, each.type, each.units) for each in parsed.values}
    expected = reference.yaml(reply)
    assert expected is not None, f"{found!r} out of what is no YAML: {text!r}"
    for name, value in found.items():
        assert value == expected[1].get(name), f"{found!r} is not {expected[1]!r}: {text!r}"
    return True


@pytest.mark.parametrize("text", STRANGE)
def test_what_is_read_is_what_yaml_says(text: str) -> None:
    agrees(text)


@pytest.mark.parametrize("word", ["00:50:56:00:00:01", "60:70", "99999:99999.5", "0:30", "12:345"])
def test_numbers_with_colons_that_are_none_of_base_60_are_text(word: str) -> None:
    assert agrees(f"a: {word}\n")
    assert [(each.name, each.value) for each in parse("yaml", f"a: {word}\n".encode()).values] == [
        ("a", word)
    ]


@pytest.mark.parametrize("word", ["60:30", "12:30:45", "1:2.5", "0:30.5"])
def test_numbers_of_base_60_are_left_out(word: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse("yaml", f"a: {word}\n".encode())


def test_a_whole_reply_may_be_indented() -> None:
    text = "  a:\n    type: instant\n    units: KB\n    value: 1024\n  b: word\n"
    assert [(each.name, each.value) for each in parse("yaml", text.encode()).values] == [
        ("a", 1024),
        ("b", "word"),
    ]


@pytest.mark.parametrize("text", STRANGE[:3] + STRANGE[4:6] + STRANGE[9:10])
def test_what_is_no_mapping_of_words_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse("yaml", text.encode())


PIECES = (
    "a",
    "bc: ",
    ": ",
    ":",
    "value",
    "value: ",
    "type: instant",
    "5",
    "34",
    "-1",
    "'",
    '"',
    "#",
    " # x",
    "''",
)
ENDS = (
    "\n",
    "\n",
    "\n  ",
    "\n  ",
    "\n    ",
    "\n   ",
    "\n ",
    "\n\n",
    "\r\n",
    "\n---\n",
    "\n...\n",
    "\n# c\n",
    " ",
    "- ",
)


def test_random_lines() -> None:
    source = random.Random(1)
    read = 0
    for _ in range(4000):
        text = "".join(
            source.choice(PIECES) + source.choice(("", "", source.choice(PIECES))) + source.choice(ENDS)
            for _ in range(source.randrange(1, 9))
        )
        read += agrees(text)
    assert read > 100


def test_good_replies_with_something_changed() -> None:
    source = random.Random(2)
    read = 0
    good = f"{FULL}  value: 12\nversion: VMware ESXi 7\nb.c:\n  type: instant\n  units: KB\n  value: 34\n"
    for _ in range(2000):
        at = source.randrange(len(good))
        text = good[:at] + source.choice((*PIECES, *ENDS, "")) + good[at + source.randrange(3) :]
        read += agrees(text)
    assert read > 100
    assert agrees(good)
