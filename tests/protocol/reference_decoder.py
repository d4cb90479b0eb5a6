"""What replies of a host mean, written a second time: from the description of the formats, not from the exporter's code.

It imports nothing of the exporter, and goes about everything in another way: slow, one value after another. Where the
exporter gives a value that this does not, one of the two is wrong.

Every function returns None for a reply that is no reply of its kind, else a dictionary of values.

Sources: open-vm-tools 12.2.0 and 13.1.0, libguestlib/guestlibV3.x, vmGuestLibInt.h, vmGuestLib.c; Guest SDK Programming
Guide, "Extended guest statistics".
"""

from __future__ import annotations

import io
import json
import re
import xml.sax
import xml.sax.handler
import xml.sax.xmlreader
from decimal import Decimal, InvalidOperation
from typing import Any

import yaml as pyyaml

# Id, name, size of the value in bytes; 0 for a text.
STATISTICS = """
1 cpu_reservation 4
2 cpu_limit 4
3 cpu_shares 4
4 cpu_used 8
5 host_cpu_frequency 4
6 memory_reservation 4
7 memory_limit 4
8 memory_shares 4
9 memory_mapped 4
10 memory_active 4
11 memory_overhead 4
12 memory_ballooned 4
13 memory_swapped 4
14 memory_shared 4
15 memory_shared_saved 4
16 memory_used 4
17 elapsed 8
18 resource_pool_path 0
19 cpu_stolen 8
20 memory_target 8
21 host_cpu_cores 4
22 host_cpu_used 8
23 host_memory_swapped 8
24 host_memory_shared 8
25 host_memory_used 8
26 host_memory_physical 8
27 host_memory_physical_free 8
28 host_memory_kernel_overhead 8
29 host_memory_mapped 8
30 host_memory_unmapped 8
31 memory_zipped 4
32 memory_zip_saved 4
33 memory_host_cache_swapped 4
34 memory_swap_target 4
35 memory_balloon_target 4
36 memory_balloon_max 4
37 resource_pool_path 0
38 memory_shares 8
"""
TABLE = [
    (int(id_), name, int(size)) for id_, name, size in (row.split() for row in STATISTICS.split("\n") if row)
]
LONGEST_STRING = 512

# Offset of the valid byte, offset of the value, name, size: the table of a V2 reply.
V2 = """
12 16 cpu_reservation 4
20 24 cpu_limit 4
28 32 cpu_shares 4
36 40 cpu_used 8
48 52 host_cpu_frequency 4
56 60 memory_reservation 4
64 68 memory_limit 4
72 76 memory_shares 4
80 84 memory_mapped 4
88 92 memory_active 4
96 100 memory_overhead 4
104 108 memory_ballooned 4
112 116 memory_swapped 4
120 124 memory_shared 4
128 132 memory_shared_saved 4
136 140 memory_used 4
144 148 elapsed 8
"""
V2_SIZE, V2_PATH = 669, 156


LIMITS = ("cpu_limit", "memory_limit")
"""-1 stands for "unlimited" here, and for nothing anywhere else."""


def _says_something(name: str, raw: bytes) -> bool:
    if name == "memory_shares" and raw.lstrip(b"\0") == b"\xff" * 4:
        # In 64 bits it is the 32-bit -1 that VMware's library has widened.
        return False
    return name in LIMITS or raw.strip(b"\xff") != b""


class _Broken(Exception):
    """No reply of this kind."""


def _exactly(file: io.BytesIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise _Broken
    return data


def _c_string(raw: bytes) -> str:
    return bytes(raw.partition(b"\0")[0]).decode("utf-8", errors="replace")


def v3(reply: bytes) -> tuple[int, dict[str, int | str]] | None:
    """Session id and values of a reply to ``guestlib.info.get 3``."""
    try:
        return _v3(io.BytesIO(reply))
    except _Broken:
        return None


def _v3(file: io.BytesIO) -> tuple[int, dict[str, int | str]]:
    version = int.from_bytes(_exactly(file, 4), "little")
    session = int.from_bytes(_exactly(file, 8), "little")
    size = int.from_bytes(_exactly(file, 4), "little")
    if version != 3 or session == 0:
        raise _Broken
    if size > 1 << 24:
        raise _Broken
    body = io.BytesIO(_exactly(file, size))
    count = int.from_bytes(_exactly(body, 4), "big")
    values: dict[str, int | str] = {}
    for id_, name, wide in TABLE:
        if id_ > count:
            break
        if int.from_bytes(_exactly(body, 4), "big") != id_:
            raise _Broken
        valid = _exactly(body, 4)[3] != 0
        if wide:
            raw = _exactly(body, wide)
            # The 64-bit shares stand for the 32-bit ones.
            if valid and _says_something(name, raw):
                values[name] = int.from_bytes(raw, "big")
            continue
        length = int.from_bytes(_exactly(body, 4), "big")
        if id_ == 18 and length > LONGEST_STRING:
            raise _Broken
        padded = (length + 3) // 4 * 4
        if padded > size:
            raise _Broken
        raw = _exactly(body, padded)[:length]
        # 37 is the path that does not fit 18; of others 18, which VMware's library gives.
        if valid and (not values.get(name) or len(raw.partition(b"\0")[0]) > LONGEST_STRING):
            values[name] = _c_string(raw)
    return session, values


def v2(reply: bytes) -> tuple[int, dict[str, int | str]] | None:
    """Session id and values of a reply to ``guestlib.info.get 2``."""
    if len(reply) != V2_SIZE or reply[:4] != b"\2\0\0\0" or reply[4:12] == bytes(8):
        return None
    values: dict[str, int | str] = {}
    for row in V2.strip().split("\n"):
        flag, offset, name, size = row.split()
        if reply[int(flag)]:
            at = int(offset)
            raw = reply[at : at + int(size)]
            if _says_something(name, raw):
                values[name] = int.from_bytes(raw, "little")
    if reply[V2_PATH]:
        # The library overwrites the last of the 512 bytes with a NUL.
        values["resource_pool_path"] = _c_string(reply[V2_PATH + 1 : -1])
    return int.from_bytes(reply[4:12], "little"), values


class Extended(dict[str, tuple[float | int | str, str, str]]):
    """Extended statistics: name -> (value, type, units). And how many in full had a value, be it too large, or none."""

    valued = 0
    empty = 0

    def nothing(self) -> bool:
        """Whether the reply may be refused: it has no value, or none of a statistic in full, but only flat words."""
        words = all(isinstance(value, str) for value, _, _ in self.values())
        return not any(value != "" for value, _, _ in self.values()) or (
            words and self.empty > 0 and not self.valued
        )


DECIMAL = re.compile(r"\A-?[0-9]+(?:\.[0-9]+)?\Z")
STRANGE = {*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, *range(0xD800, 0xE000)}
WHITE = " \t\r\n"


def _usable(text: Any, longest: int) -> str | None:
    if text is None:
        return ""
    if not isinstance(text, str):
        return None
    text = text.strip(WHITE)
    if len(text) > longest or any(ord(letter) in STRANGE for letter in text):
        return None
    return str(text)


def _take(
    found: Extended, name: Any, value: Any, type_: Any = None, units: Any = None, full: bool = False
) -> None:
    """Add what can be used; of two with one name the first counts."""
    if full:
        # A number with type and unit is not empty; a word may be.
        there = isinstance(value, int | float | Decimal)
        if isinstance(value, str):
            there = bool(DECIMAL.match(value.strip(WHITE)) or _usable(value, 512))
        if not there:
            found.empty += 1
            return
        found.valued += 1
    clean, kind, unit = _usable(name, 128), _usable(type_, 128), _usable(units, 128)
    if not clean or kind is None or unit is None or clean in found or value is None:
        return
    number: Decimal
    if isinstance(value, str):
        value = value.strip(WHITE)
        if not DECIMAL.match(value):
            text = _usable(value, 512)
            if text is not None:
                found[clean] = (text, kind, unit)
            return
        if len(value) > 42:
            return
        number = Decimal(value)
    elif type(value) in (int, float, Decimal):
        try:
            number = Decimal(value)
        except InvalidOperation:
            return
    else:
        return
    if not number.is_finite() or not -(2**63) <= number <= 2**64:
        return
    if number == 2**64:
        # Only a decimal may be rounded to there.
        return
    whole = "." not in value if isinstance(value, str) else isinstance(value, int)
    found[clean] = (int(number) if whole else float(number) or 0.0, kind, unit)


def _decoded(reply: bytes) -> str | None:
    reply = reply.rstrip(b"\0")
    if b"\0" in reply:
        return None
    if reply[:3] == b"\xef\xbb\xbf":
        # The byte order mark of UTF-8 is no part of what it begins.
        reply = reply[3:]
    return reply.decode("utf-8", errors="replace")


class _Tree(xml.sax.ContentHandler):
    """Elements as lists: tag, attributes, and what is inside, pieces of text and elements in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.root: list[Any] = ["", {}, []]
        self.open = [self.root]
        self.document_type = False

    def startElement(self, name: str, attrs: Any) -> None:
        element: list[Any] = [name, dict(attrs.items()), []]
        self.open[-1][2].append(element)
        self.open.append(element)

    def endElement(self, name: str) -> None:
        self.open.pop()

    def characters(self, content: str) -> None:
        inside = self.open[-1][2]
        if inside and isinstance(inside[-1], str):
            inside[-1] += content
        else:
            inside.append(content)

    # The rest is a lexical handler.

    def startDTD(self, *_: object) -> None:
        self.document_type = True

    def endDTD(self) -> None:
        pass

    def comment(self, _: str) -> None:
        pass

    def startCDATA(self) -> None:
        pass

    def endCDATA(self) -> None:
        pass


def xml_(reply: bytes) -> tuple[int, Extended] | None:
    """Session id (0: none) and statistics."""
    text = _decoded(reply)
    if text is None:
        return None
    tree, parser, source = _Tree(), xml.sax.make_parser(), xml.sax.xmlreader.InputSource()
    source.setByteStream(io.BytesIO(text.encode()))
    source.setEncoding("utf-8")
    parser.setContentHandler(tree)
    parser.setProperty(xml.sax.handler.property_lexical_handler, tree)
    try:
        parser.parse(source)
    except xml.sax.SAXParseException:
        return None
    tag, attributes, inside = tree.root[2][0]
    if tag != "metrics" or tree.document_type:
        return None
    found = Extended()
    for element in inside:
        if isinstance(element, str) or element[0] != "metric":
            continue
        get = element[1].get
        pieces = [each for each in element[2] if isinstance(each, str) and each.strip(WHITE)]
        children = any(not isinstance(each, str) for each in element[2])
        value = "".join(pieces) if len(pieces) <= 1 else None
        _take(found, get("name"), value, get("type"), get("units"), children or len(element[1]) > 1)
    return _session(attributes.get("session")), found


def _session(value: Any) -> int:
    found = Extended()
    _take(found, "session", value)
    number = found.get("session", (0,))[0]
    return number if isinstance(number, int) and number > 0 else 0


class Members(dict[str, Any]):
    """An object of JSON, of two members with one name the first; and all members."""

    def __init__(self, members: list[tuple[str, Any]]) -> None:
        super().__init__(reversed(members))
        self.members = members


def json_(reply: bytes) -> tuple[int, Extended] | None:
    """Session id (0: none) and statistics."""
    text = _decoded(reply)
    if text is None:
        return None

    def number(digits: str) -> float:
        return int(digits) if len(digits) < 30 else float("inf")

    try:
        document = json.loads(text, object_pairs_hook=Members, parse_int=number)
    except (ValueError, RecursionError):
        return None
    session = 0
    if isinstance(document, Members) and isinstance(document.get("metrics"), list | dict):
        inner = document["metrics"]
        if isinstance(inner, list) or "value" not in inner:
            session, document = _session(document.get("session")), inner
    found = Extended()
    entries: list[tuple[Any, Any]]
    if isinstance(document, Members):
        entries = list(document.members)
    elif isinstance(document, list):
        entries = [
            (entry.get("name"), entry) if isinstance(entry, dict) else (None, entry) for entry in document
        ]
    else:
        return None
    for name, entry in entries:
        if isinstance(entry, Members):
            _take(
                found,
                name if name is not None else "",
                # Two values, or two units: which one is meant?
                entry.get("value") if len(entry) == len(entry.members) else None,
                entry.get("type"),
                entry.get("units"),
                entry.keys() != {"name", "value"} or len(entry) < len(entry.members),
            )
        else:
            _take(found, name if name is not None else "", entry)
    return session, found


def _framed(text: str) -> bool:
    """Whether a line begins as JSON and XML do, after blanks and a byte order mark: no name does."""
    return re.search(r"^[ \t\r\ufeff]*[{}<\[\]]", text, re.MULTILINE) is not None


def yaml(reply: bytes) -> tuple[int, Extended] | None:
    """Statistics by what PyYAML reads; the encoding has no session id."""
    text = _decoded(reply)
    if text is None or _framed(text):
        return None
    try:
        node = pyyaml.compose(text, Loader=pyyaml.SafeLoader)
    except (pyyaml.YAMLError, RecursionError):
        return None
    if node is None or (isinstance(node, pyyaml.ScalarNode) and node.value == "" and not node.style):
        return 0, Extended()
    if not isinstance(node, pyyaml.MappingNode):
        return None
    found = Extended()
    for key, entry in node.value:
        name = _yaml_scalar(key)
        if isinstance(entry, pyyaml.MappingNode):
            fields = {str(_yaml_scalar(each)): _yaml_scalar(value) for each, value in entry.value}
            _take(found, name, fields.get("value"), fields.get("type"), fields.get("units"), True)
        else:
            _take(found, name, _yaml_scalar(entry))
    return 0, found


def _yaml_scalar(node: Any) -> Any:
    """A scalar as YAML 1.1 means it; a list, which is no value, for a collection or what is neither text nor number."""
    if not isinstance(node, pyyaml.ScalarNode):
        return []
    kind = node.tag.rpartition(":")[2]
    if node.value == "" or (kind == "str" and (node.style or not YAML_12.fullmatch(node.value))):
        return node.value
    if kind not in ("int", "float") or not PLAIN_DECIMAL.fullmatch(node.value) or len(node.value) > 42:
        return []
    return pyyaml.SafeLoader("").construct_object(node)


YAML_12 = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|0o[0-7]+|0x[0-9a-fA-F]+")
"""Numbers of YAML 1.2's core schema, of which YAML 1.1 takes some for text: neither is published."""
PLAIN_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")


YAML_LINES = re.compile(
    r"""(?:(?P<full>[a-z][A-Za-z0-9.]*):\n(?P<indent>[ ]+)type:[ ][a-z]*\n(?P=indent)units:[ ][A-Za-z]*\n
    (?P=indent)value:[ ]-?(?:0|[1-9][0-9]{0,18})(?:\.[0-9]{1,9})?(?:\n|\Z)
    |(?P<flat>[a-z][A-Za-z0-9.]*):[ ][A-Z][A-Za-z]+(?:[ ][A-Za-z0-9.]+)*(?:\n|\Z))""".replace("\n    ", "")
)


def is_guides_yaml(text: str) -> bool:
    """Whether it is made of the two shapes of the guide, no name twice, and of nothing else: it must be read."""
    at, names = 0, set[str]()
    while match := YAML_LINES.match(text, at):
        at, name = match.end(), match["full"] or match["flat"]
        if name in names:
            return False
        names.add(name)
    return at == len(text)


def text(reply: bytes) -> tuple[int, Extended] | None:
    """Statistics; the encoding has neither a session id nor types and units."""
    whole = _decoded(reply)
    if whole is None or _framed(whole):
        return None
    found = Extended()
    for line in whole.split("\n"):
        match = re.match(r"\A([^=]*)=(.*)\Z", line, re.DOTALL)
        if match:
            _take(found, match[1], match[2])
    return 0, found


EXTENDED = {"xml": xml_, "json": json_, "yaml": yaml, "text": text}
