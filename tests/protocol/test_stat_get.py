"""Extended statistics in four encodings: the documented examples, and any other bytes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import RemoteProtocolError
from exporter.protocol import stat_get
from exporter.protocol.stat_get import ENCODINGS, Reply, parse, parse_names
from exporter.snapshot import ExtendedValue

NIC_XML = (
    b'<metrics session="4004861987670969122"><metric name="num.tx" type="accumulate" units="packets">209</metric>'
    b'<metric name="size.tx" type="accumulate" units="bytes">38137</metric>'
    b'<metric name="num.rx" type="accumulate" units="packets">10992</metric>'
    b'<metric name="size.rx" type="accumulate" units="bytes">1322161</metric>'
    b'<metric name="reservation" type="static" units="MBps">0</metric>'
    b'<metric name="limit" type="static" units="MBps">-1</metric></metrics>'
)
NIC_YAML = b"""\
num.tx:
   type: accumulate
   units: packets
   value: 209
size.tx:
   type: accumulate
   units: bytes
   value: 38137
num.rx:
   type: accumulate
   units: packets
   value: 10920
size.rx:
   type: accumulate
   units: bytes
   value: 1312789
reservation:
   type: static
   units: MBps
   value: 0
limit:
   type: static
   units: MBps
   value: -1
"""
SESSION_TEXT = b"""\
session = 4004861987670969122
uptime = 1036293956
version = VMware ESXi 6.0.0 build-12345
provider =
uuid.bios = 56 4d 2c 53 43 56 66 8e-7c 05 fd 7e 51 1e 23 f3
"""
RESOURCES_TEXT = b"""\
vm.cpu.reserved = 4798
vm.cpu.limit = 11995
vm.cpu.used = 224057517
vm.cpu.contention.cpu = 65606184
vm.cpu.contention.mem = 1488848
vm.numa.local = 1837248
vm.numa.remote = 0
guest.mem.reserved = 204800
guest.mem.limit = 1536000
guest.mem.mapped = 1810144
guest.mem.consumed = 1521680
guest.mem.swapped = 3236
guest.mem.ballooned = 27104
guest.mem.swapIn = 3416
guest.mem.swapOut = 6588
ovhd.mem.swapped = 0
ovhd.mem.swapIn = 0
ovhd.mem.swapOut = 0
"""
"""The examples of VMware's programming guide."""


def nic(packets: int, size: int) -> tuple[ExtendedValue, ...]:
    return (
        ExtendedValue("num.tx", 209, "accumulate", "packets"),
        ExtendedValue("size.tx", 38137, "accumulate", "bytes"),
        ExtendedValue("num.rx", packets, "accumulate", "packets"),
        ExtendedValue("size.rx", size, "accumulate", "bytes"),
        ExtendedValue("reservation", 0, "static", "MBps"),
        ExtendedValue("limit", -1, "static", "MBps"),
    )


def test_documented_xml() -> None:
    assert parse("xml", NIC_XML) == Reply(nic(10992, 1322161), 4004861987670969122)


def test_documented_yaml() -> None:
    assert parse("yaml", NIC_YAML) == Reply(nic(10920, 1312789))


def test_documented_session() -> None:
    values = {value.name: value.value for value in parse("text", SESSION_TEXT).values}
    assert values == {
        "session": 4004861987670969122,
        "uptime": 1036293956,
        "version": "VMware ESXi 6.0.0 build-12345",
        "provider": "",
        "uuid.bios": "56 4d 2c 53 43 56 66 8e-7c 05 fd 7e 51 1e 23 f3",
    }


def test_documented_resources() -> None:
    values = {value.name: value.value for value in parse("text", RESOURCES_TEXT).values}
    assert len(values) == 18
    assert values["vm.cpu.contention.cpu"] == 65606184
    assert values["ovhd.mem.swapOut"] == 0


def test_documented_list_of_groups() -> None:
    listing = b"session\nhost\nresources\nvscsi scsi0:0\nvnet 00:0c:29:1e:23:f3\n\nhost\n"
    assert parse_names(listing) == ("session", "host", "resources", "vscsi scsi0:0", "vnet 00:0c:29:1e:23:f3")


TRIPLES: list[dict[str, object]] = [
    {"name": "a.b", "type": "instant", "units": "KB", "value": 7},
    {"name": "c", "value": "word"},
]


@pytest.mark.parametrize(
    "document",
    [
        TRIPLES,
        {"metrics": TRIPLES},
        {entry["name"]: {k: v for k, v in entry.items() if k != "name"} for entry in TRIPLES},
        {"metrics": {entry["name"]: entry for entry in TRIPLES}},
    ],
)
def test_both_plausible_nestings_of_json(document: object) -> None:
    values = (ExtendedValue("a.b", 7, "instant", "KB"), ExtendedValue("c", "word"))
    assert parse("json", json.dumps(document).encode()) == Reply(values)


@pytest.mark.parametrize("session", [12, "12"])
def test_json_may_carry_the_session(session: object) -> None:
    assert parse("json", json.dumps({"session": session, "metrics": TRIPLES}).encode()).session_id == 12


def test_json_of_plain_values() -> None:
    """An object without triples is what text would be: names and values."""
    assert parse("json", b'{"session": 4, "uptime": 1.5, "on": true, "x": null}').values == (
        ExtendedValue("session", 4),
        ExtendedValue("uptime", 1.5),
    )


NAMES = st.from_regex(r"x[a-zA-Z0-9.]{0,20}", fullmatch=True)
VALUES = st.lists(
    st.tuples(
        NAMES,
        st.sampled_from(["static", "instant", "accumulate"]),
        st.sampled_from(["KB", "us", "reads"]),
        st.integers(-1, 2**63),
    ),
    unique_by=lambda row: row[0],
    max_size=6,
)


@given(VALUES)
def test_one_value_from_every_encoding(rows: list[tuple[str, str, str, int]]) -> None:
    xml = "".join(f'<metric name="{n}" type="{t}" units="{u}">{v}</metric>' for n, t, u, v in rows)
    written = {
        "xml": f'<metrics session="5">{xml}</metrics>',
        "json": json.dumps([{"name": n, "type": t, "units": u, "value": v} for n, t, u, v in rows]),
        "yaml": "".join(f"{n}:\n  type: {t}\n  units: {u}\n  value: {v}\n" for n, t, u, v in rows),
        "text": "".join(f"{n} = {v}\n" for n, _, _, v in rows),
    }
    expected = tuple(ExtendedValue(n, v, t, u) for n, t, u, v in rows)
    for encoding in ("xml", "json", "yaml"):
        assert parse(encoding, written[encoding].encode()).values == expected
    assert parse("text", written["text"].encode()).values == tuple(ExtendedValue(n, v) for n, _, _, v in rows)


@pytest.mark.parametrize(
    ("encoding", "reply"),
    [
        ("xml", b""),
        ("xml", b"<metrics>"),
        ("xml", b"<other/>"),
        ("xml", b"<metrics>" + b"<m>" * 16),
        ("xml", b"<metrics>" + b"<m/>" * 1024 + b"</metrics>"),
        ("xml", b"<metrics><metric name='version'>A&B</metric></metrics>"),
        ("xml", b"<metrics><metric name='version'>A\x01B</metric></metrics>"),
        ("xml", b"<metrics/>\0<metrics/>"),
        ("xml", b'<!DOCTYPE m [<!ENTITY a "aaaa">]><metrics><metric name="x">&a;</metric></metrics>'),
        ("xml", b'<!DOCTYPE m SYSTEM "file:///etc/passwd"><metrics/>'),
        ("xml", b'<metrics><metric name="x">&undefined;</metric></metrics>'),
        ("xml", b"<metrics/><metrics/>"),
        ("json", b""),
        ("json", b"{"),
        ("json", b"5"),
        ("json", b"[" * 60_000),
        ("json", b"[" + b"0," * 1024 + b"0]"),
        ("json", b"{" + b",".join(b'"%d": 1' % n for n in range(1025)) + b"}"),
        ("text", b"".join(b"a%d = 1\n" % n for n in range(1025))),
        ("text", b"a = 1\0\nb = 2"),
        ("yaml", b"no colon"),
        ("text", b"no equals sign"),
    ],
)
def test_a_frame_that_is_not_understood_is_one_error(encoding: str, reply: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        parse(encoding, reply)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_reply_that_is_too_long_is_not_looked_into(encoding: str) -> None:
    with pytest.raises(RemoteProtocolError, match="looked into"):
        parse(encoding, bytes(stat_get.MAX_REPLY + 1))


@pytest.mark.parametrize(
    ("encoding", "head", "piece", "tail", "most"),
    [
        ("xml", b"<metrics>", b"<m/>", b'<metric name="a">1</metric></metrics>', 1022),
        ("json", b'{"a": 1, "b": {', b'"%d": 1,', b'"c": 1}}', 1023),
    ],
    ids=["elements", "keys"],
)
def test_there_is_a_bound_of_parts(encoding: str, head: bytes, piece: bytes, tail: bytes, most: int) -> None:
    def reply(parts: int) -> bytes:
        pieces = (piece % number if b"%" in piece else piece for number in range(parts))
        return head + b"".join(pieces) + tail

    assert parse(encoding, reply(most)).values[0] == ExtendedValue("a", 1)
    with pytest.raises(RemoteProtocolError):
        parse(encoding, reply(most + 1))


def test_there_is_a_bound_of_depth() -> None:
    def xml(levels: int) -> bytes:
        return b'<metrics><metric name="a">1</metric>%b%b</metrics>' % (b"<m>" * levels, b"</m>" * levels)

    def yaml(levels: int) -> bytes:
        return b"a: 1\n" + b"".join(b" " * level + b"b:\n" for level in range(levels))

    for encoding, reply, most in (("xml", xml, 15), ("yaml", yaml, 16)):
        assert parse(encoding, reply(most)).values[0] == ExtendedValue("a", 1)
        with pytest.raises(RemoteProtocolError):
            parse(encoding, reply(most + 1))


def test_the_longest_reply_that_is_looked_into_has_64_kib() -> None:
    """What the worst of them costs is in benchmarks/parse.py."""
    assert stat_get.MAX_REPLY == 65_536


def test_a_list_that_is_too_long_is_not_looked_into() -> None:
    with pytest.raises(RemoteProtocolError, match="looked into"):
        parse_names(bytes(stat_get.MAX_REPLY + 1))


@pytest.mark.parametrize(
    "line",
    [
        b" = 5",
        b"x" * 129 + b" = 5",
        b"x = " + b"y" * 513,
        b"x = " + b"9" * 20,
        b"x = -9999999999999999999",
    ],
)
def test_what_cannot_be_used_is_left_out_and_the_rest_stays(line: bytes) -> None:
    assert parse("text", b"a = 1\n" + line + b"\nb = 2\n").values == (
        ExtendedValue("a", 1),
        ExtendedValue("b", 2),
    )


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("1.5", 1.5),
        ("-3", -3),
        ("1.", "1."),
        (".5", ".5"),
        ("1e9", "1e9"),
        ("nan", "nan"),
        ("٣", "٣"),
        ("-", "-"),
    ],
)
def test_numbers_are_plain_decimals(raw: str, value: object) -> None:
    assert parse("text", f"x = {raw}".encode()).values == (ExtendedValue("x", value),)  # type: ignore[arg-type]


@pytest.mark.parametrize("raw", ["NaN", "Infinity", "1e999", "true", "null", "[1]", '{"a": 1}'])
def test_json_values_that_are_no_plain_numbers_are_left_out(raw: str) -> None:
    reply = f'[{{"name": "x", "value": {raw}}}, {{"name": 5, "value": 1}}, 7]'
    assert parse("json", reply.encode()) == Reply((), dropped=3)


def test_the_first_of_a_repeated_name_counts() -> None:
    assert parse("text", b"a = 1\na = 2").values == (ExtendedValue("a", 1),)


@pytest.mark.parametrize(
    ("encoding", "reply"),
    [
        (
            "xml",
            b"<metrics><metric name='a'>1</metric><metric name='b'>2</metric><metric name='a'>3</metric></metrics>",
        ),
        ("json", b'{"a": 1, "b": 2, "a": 3}'),
        ("json", b'{"session": "7", "metrics": {"a": 1, "b": 2, "a": 3}}'),
        ("json", b'[{"name": "a", "value": 1}, {"name": "b", "value": 2}, {"name": "a", "value": 3}]'),
        ("text", b"a = 1\nb = 2\na = 3"),
    ],
)
def test_a_name_that_comes_again_is_counted_in_every_encoding(encoding: str, reply: bytes) -> None:
    found = parse(encoding, reply)
    assert [(each.name, each.value) for each in found.values] == [("a", 1), ("b", 2)]
    assert found.dropped == 1


@pytest.mark.parametrize("twice", ['"value": 9', '"units": "MB"', '"type": "static"'])
def test_a_statistic_that_says_two_things_is_left_out_and_counted(twice: str) -> None:
    """XML allows no attribute twice, and YAML no key."""
    reply = f'{{"a": {{"type": "instant", "units": "KB", "value": 5, {twice}}}, "b": {{"units": "KB", "value": 6}}}}'
    assert parse("json", reply.encode()) == Reply((ExtendedValue("b", 6, "", "KB"),), dropped=1)


def test_yaml_quotes_comments_and_document_marks() -> None:
    reply = b'---\n# a comment\n"a":\n  type: "static"\n  value: \'5\'\n\n...\n'
    assert parse("yaml", reply).values == (ExtendedValue("a", 5, "static"),)


def test_a_session_attribute_that_is_no_number_is_none() -> None:
    assert parse("xml", b'<metrics session="x"/>').session_id == 0


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.text(alphabet='<>/metrics nam="x:=\n {}[],1-', max_size=80).map(str.encode),
    )
)
def test_any_bytes_give_values_or_one_error(encoding: str, reply: bytes) -> None:
    try:
        values = parse(encoding, reply).values
    except RemoteProtocolError:
        return
    assert len({value.name for value in values}) == len(values)
    parse_names(reply)


@given(st.integers(0, 8 * len(NIC_XML) - 1))
def test_a_flipped_bit_in_xml(bit: int) -> None:
    reply = bytearray(NIC_XML)
    reply[bit // 8] ^= 1 << bit % 8
    try:
        parse("xml", bytes(reply))
    except RemoteProtocolError:
        return


@pytest.mark.parametrize(
    "strange",
    [
        '<string name="b">word</string>',
        '<metric name="b" type="instant" units="KB"><unit/>7<!-- a --></metric>',
        '<metric name="b" type="instant" units="KB">7<of><what>8</what></of></metric>',
        '<group><metric name="c">8</metric></group>',
    ],
)
def test_what_xml_has_besides_is_skipped(strange: str) -> None:
    """One unknown element must not cost the statistics beside it."""
    before, after = (f'<metric name="{name}" type="instant" units="KB">5</metric>' for name in "ad")
    reply = parse("xml", f'<metrics session="9">{before}{strange}{after}</metrics>'.encode())
    known = {value.name: value.value for value in reply.values}
    assert known.pop("b", 7) == 7
    assert known == {"a": 5, "d": 5}
    assert (reply.session_id, reply.dropped) == (9, 0)


def test_pieces_around_a_child_make_no_number() -> None:
    reply = parse("xml", b'<metrics><metric name="a">2<b/>09</metric><metric name="c">5</metric></metrics>')
    assert reply == Reply((ExtendedValue("c", 5),), dropped=1)


FULL_METRIC = '<metric name="guest.mem.consumed" type="instant" units="KB"{}>{}</metric>'


@pytest.mark.parametrize(
    ("encoding", "reply"),
    [
        ("xml", FULL_METRIC.format("", "<value>1024</value>")),
        ("xml", FULL_METRIC.format(' value="5"', "")),
        ("xml", '<metric name="a" value="5"/>'),
        ("xml", FULL_METRIC.format("", "<value>1</value>") + '<metric name="version">VMware</metric>'),
        ("json", '{"a": {"type": "instant", "units": "KB", "value": {"is": 5}}, "version": "VMware"}'),
        ("json", '{"a": {"type": "instant", "units": "KB", "amount": 5}, "version": "VMware"}'),
        ("json", '{"a": {"type": "instant", "units": "KB", "value": ""}}'),
        ("yaml", "a:\n  type: instant\n  units: KB\n  value:\n    1024\n"),
        ("yaml", "a:\n  type: instant\n  units: KB\n  value:\nversion: VMware\n"),
        ("text", "vm.cpu.used =\nvm.cpu.limit =\n"),
    ],
)
def test_a_reply_that_has_statistics_and_no_value_is_not_understood(encoding: str, reply: str) -> None:
    """Whatever its shape is: another encoding may be better."""
    whole = f'<metrics session="7">{reply}</metrics>' if encoding == "xml" else reply
    with pytest.raises(RemoteProtocolError):
        parse(encoding, whole.encode())


def test_one_statistic_without_a_value_costs_no_other() -> None:
    child, good = (
        FULL_METRIC.format("", "<value>1</value>"),
        '<metric name="b" type="instant" units="KB">5</metric>',
    )
    reply = parse("xml", f"<metrics>{child}{good}</metrics>".encode())
    assert reply == Reply((ExtendedValue("b", 5, "instant", "KB"),), dropped=1)


METRIC = b'<metric name="vm.numa.local" type="instant" units="KB">5</metric>'
CUT_OFF = b'{"vm.numa.local": {"type": "instant", "units": "KB", "value": 4}'


@pytest.mark.parametrize(
    ("encoding", "reply"),
    [
        ("xml", b'<metrics session="7"><group>' + METRIC + b"</group></metrics>"),
        ("xml", b'<metrics session="7"><string name="version">x</string></metrics>'),
        ("xml", b'<metrics session="7">vm.numa.local = 5</metrics>'),
        ("json", b'{"resources": {"vm.numa.local": {"type": "instant", "units": "KB", "value": 5}}}'),
        ("json", b'[{"vm.numa.local": {"value": 5}}]'),
        ("json", b'{"vm.numa.local": [5]}'),
    ],
)
def test_statistics_that_are_not_where_they_are_expected_are_not_understood(
    encoding: str, reply: bytes
) -> None:
    with pytest.raises(RemoteProtocolError, match="nothing is understood"):
        parse(encoding, reply)


@pytest.mark.parametrize(("encoding", "reply"), [("xml", b"<metrics/>"), ("json", b"{}"), ("yaml", b"")])
def test_a_group_without_statistics_is_understood(encoding: str, reply: bytes) -> None:
    assert parse(encoding, reply) == Reply(())


@pytest.mark.parametrize("encoding", ["yaml", "text"])
@pytest.mark.parametrize(
    "reply",
    [
        CUT_OFF,
        b"\xef\xbb\xbf" + CUT_OFF,
        b'{\n"vm.numa.local": {\n"type": "instant",\n"value": 4\n',
        b'[\n  {"name": "a", "x": "b=c"},\n',
        b'\n <metrics session="7">' + METRIC,
        b'a = 1\na: 1\n<metric name="b">1</metric>',
    ],
)
def test_json_and_xml_are_neither_yaml_nor_text(encoding: str, reply: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="look like JSON or XML"):
        parse(encoding, reply)


@pytest.mark.parametrize(
    "encoding", ["utf-16", "utf-7", "iso-8859-15", "cp037", "idna", "nonsense", "x" * 99]
)
def test_the_encoding_that_xml_declares_changes_nothing(encoding: str) -> None:
    declared = f'<?xml version="1.0" encoding="{encoding}"?>'.encode()
    assert parse("xml", declared + NIC_XML) == parse("xml", NIC_XML)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    "number",
    [
        *("9" * 5000, "-" + "9" * 5000, "9" * 25, "18446744073709551616", "-9223372036854775809"),
        *("9" * 400 + ".5", "99999999999999999999.5"),
    ],
    ids=lambda number: number[:8],
)
def test_a_number_of_more_than_64_bits_is_left_out_and_counted(encoding: str, number: str) -> None:
    written = {
        "xml": f'<metrics><metric name="a" type="instant" units="KB">{number}</metric><metric name="b">1</metric></metrics>',
        "json": f'{{"a": {{"type": "instant", "units": "KB", "value": {number}}}, "b": 1}}',
        "yaml": f"a:\n  type: instant\n  units: KB\n  value: {number}\nb: 1\n",
        "text": f"a = {number}\nb = 1\n",
    }
    assert parse(encoding, written[encoding].encode()) == Reply((ExtendedValue("b", 1),), dropped=1)


@pytest.mark.parametrize(
    "session", ["true", "-5", "0", "1.5", "null", "[]", '"9e9"', '"' + "9" * 5000 + '"', "9" * 5000, "1e400"]
)
def test_what_is_no_session_id_is_none(session: str) -> None:
    reply = parse("json", f'{{"session": {session}, "metrics": {{"a": 1}}}}'.encode())
    assert reply == Reply((ExtendedValue("a", 1),))


@pytest.mark.parametrize("session", ["true", "-5", "", "9" * 5000, "\u0663", "1.5"])
def test_an_xml_session_that_is_no_number_is_none(session: str) -> None:
    assert parse("xml", f'<metrics session="{session}"/>'.encode()) == Reply(())


@pytest.mark.parametrize(
    "sample",
    [
        r'"\ud800": 1',
        r'"a": "\udfff"',
        r'"a": {"type": "instant", "units": "\ud800", "value": 1}',
        r'"a": "line\nline"',
        r'"a": "\u0007"',
        r'"a\u2028": 1',
        r'"a": {"type": ["instant"], "units": "KB", "value": 1}',
        r'"a": {"type": "instant", "units": {"KB": 1}, "value": 1}',
        r'"a": {"units": "KB"}',
        r'"a": true',
        r'"b": 2',
    ],
)
def test_a_sample_that_no_output_could_carry_is_left_out_and_counted(sample: str) -> None:
    assert parse("json", f'{{"b": 1, {sample}}}'.encode()).values == (ExtendedValue("b", 1),)


SESSION_JSON = b"""{"session": "4004861987670969122", "uptime": {"type": "accumulate", "units": "us", "value":
 1036293956}, "version": "VMware ESX 7.0.0 build-15843807", "provider": "", "uuid.bios": "56 4d 00"}"""
SESSION_YAML = b"""\
session: 4004861987670969122
uptime:
    type: accumulate
    units: us
    value: 1036293956
    more:
        value: 5
version: VMware ESX 7.0.0 build-15843807
provider:
uuid.bios: '56 4d 00'
"""


@pytest.mark.parametrize(("encoding", "reply"), [("json", SESSION_JSON), ("yaml", SESSION_YAML)])
def test_words_are_flat_in_json_and_yaml(encoding: str, reply: bytes) -> None:
    assert parse(encoding, reply).values == (
        ExtendedValue("session", 4004861987670969122),
        ExtendedValue("uptime", 1036293956, "accumulate", "us"),
        ExtendedValue("version", "VMware ESX 7.0.0 build-15843807"),
        ExtendedValue("provider", ""),
        ExtendedValue("uuid.bios", "56 4d 00"),
    )


@pytest.mark.parametrize(
    ("encoding", "reply"),
    [
        ("text", "version = a\u2028vm.cpu.used = 5\n"),
        ("text", "version = a\x0bvm.cpu.used = 5\n"),
        ("text", "version = a\x85vm.cpu.used = 5\n"),
    ],
)
def test_only_a_line_feed_ends_a_line(encoding: str, reply: str) -> None:
    """A word of the host must not become a statistic of its own."""
    with pytest.raises(RemoteProtocolError, match="nothing is understood"):
        parse(encoding, reply.encode())


def test_a_line_that_is_not_understood_costs_no_other() -> None:
    assert parse("text", b"# nothing\na = 1\n") == Reply((ExtendedValue("a", 1),), dropped=1)


@pytest.mark.parametrize(
    ("encoding", "reply"),
    [
        ("xml", b"<metrics><metric name='a'>5</metric></metrics>"),
        ("json", b'{"a": 5}'),
        ("yaml", b"a:\n  value: 5\n"),
        ("text", b"a = 5\n"),
    ],
)
def test_a_byte_order_mark_belongs_to_no_name(encoding: str, reply: bytes) -> None:
    assert [(each.name, each.value) for each in parse(encoding, b"\xef\xbb\xbf" + reply).values] == [("a", 5)]


@pytest.mark.parametrize("mark", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_other_widths_of_unicode_are_refused(encoding: str, mark: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse(encoding, '<metrics><metric name="a">5</metric></metrics>'.encode(mark))


@pytest.mark.parametrize(
    "word",
    ["&x 5", "*x", "!!int 5", "!x 5", "|", ">-", "{value: 5}", "[5]", "&x", "- 5", "? 5", "# 5"],
)
@pytest.mark.parametrize("where", ["a: {}\n", "a:\n  value: {}\n", "a:\n  type: {}\n  value: 5\n"])
def test_what_yaml_means_by_more_than_the_words_is_refused(word: str, where: str) -> None:
    """Anchors, references, tags, blocks, collections: a host sends none, and they are not what they spell."""
    with pytest.raises(RemoteProtocolError):
        parse("yaml", f"b: ok\n{where.format(word)}".encode())


def test_a_quoted_word_of_yaml_may_begin_with_anything() -> None:
    parsed = parse("yaml", b"a: '*x'\nb: \"& co\"\nc: -5\nd: '%'\ne: '-'\n")
    assert [each.value for each in parsed.values] == ["*x", "& co", -5, "%", "-"]


@pytest.mark.parametrize("zero", ["-0", "-0.0", "-0.000"])
def test_nothing_is_never_negative(zero: str) -> None:
    replies = {
        "xml": f"<metrics><metric name='a'>{zero}</metric></metrics>",
        "json": f'{{"a": {zero}}}',
        "yaml": f"a: {zero}",
        "text": f"a = {zero}",
    }
    for encoding, reply in replies.items():
        (found,) = parse(encoding, reply.encode()).values
        assert str(found.value) in ("0", "0.0"), encoding


@pytest.mark.parametrize(
    ("reply", "values"),
    [
        (b'{"a": {"value": 1}, "b": {"units": "KB"}}', {"a": 1}),
        (b'{"b": {"units": "KB"}, "a": {"value": 1}}', {"a": 1}),
        (b'{"a": 1, "b": [1]}', {"a": 1}),
    ],
)
def test_something_strange_costs_no_other(reply: bytes, values: dict[str, object]) -> None:
    assert {each.name: each.value for each in parse("json", reply).values} == values


@pytest.mark.parametrize(
    "reply", [b'{"b": {"units": "KB"}, "c": {"value": []}}', b'{"b": [1], "c": {"value": []}}']
)
def test_something_strange_first_and_nothing_else_is_not_understood(reply: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="nothing is understood as JSON"):
        parse("json", reply)


@pytest.mark.parametrize(
    ("encoding", "reply", "message"),
    [
        ("yaml", b"just words", "in YAML with a line 'just words'"),
        ("text", b"just words", "nothing is understood as text"),
        ("yaml", b"[1]", "in YAML look like JSON or XML"),
        ("text", b"a = 1\n]", "in text look like JSON or XML"),
        ("text", b"a = 1\n}", "in text look like JSON or XML"),
        ("json", b"7", "^extended statistics in JSON are neither an object nor a list$"),
        ("xml", b"<!DOCTYPE metrics><metrics/>", "^a document type declaration: a host sends none$"),
    ],
)
def test_what_is_wrong_with_a_reply_is_said(encoding: str, reply: bytes, message: str) -> None:
    with pytest.raises(RemoteProtocolError, match=message):
        parse(encoding, reply)


def test_marks_of_a_document_and_comments_are_no_statistics_that_were_left_out() -> None:
    reply = parse("yaml", b"---\n# words\na: 1\n...\n")
    assert {each.name: each.value for each in reply.values} == {"a": 1}
    assert reply.dropped == 0


@pytest.mark.parametrize(("word", "name"), [('"a"', "a"), ("'a'", "a"), ('""', ""), ("XaX", "XaX")])
def test_quotes_are_taken_off_in_pairs(word: str, name: str) -> None:
    found = parse("yaml", f"{word}: 1\nb: 2".encode()).values
    assert [each.name for each in found] == [*filter(None, (name, "b"))]
