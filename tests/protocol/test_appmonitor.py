"""The HA commands and replies, against the worked packets of VMware's own library."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import RemoteProtocolError
from exporter.protocol import appmonitor, rpci
from exporter.protocol.appmonitor import AppState, AppStatus, Code, Verb

ENABLE_PACKET = (
    bytes.fromhex(
        "00000036 00000001 00000001 00000001 00000000"  # length 54; TYPE = 1
        "00000002 00000002 0000001a"  # PAYLOAD, 26 bytes
    )
    + b"GuestAppMonitor.Cmd.Enable"
)
"""The real library's request (58 bytes)."""

OK_PACKET = bytes.fromhex("0000001f 00000001 00000001 00000001 00000000 00000002 00000002 00000003 312030")
"""The reply "1 0" (35 bytes)."""


def test_enable_is_the_real_librarys_bytes() -> None:
    packet = rpci.request(appmonitor.command(Verb.ENABLE))
    assert packet == ENABLE_PACKET
    assert len(packet) == 58


def test_ok_is_the_documented_packet() -> None:
    assert len(OK_PACKET) == 35
    assert rpci.reply(b"0") == OK_PACKET
    assert appmonitor.parse_code(rpci.parse_reply(OK_PACKET[4:])) is Code.OK


@pytest.mark.parametrize(
    ("verb", "argument", "text"),
    [
        (Verb.ENABLE, "", b"GuestAppMonitor.Cmd.Enable"),
        (Verb.DISABLE, "", b"GuestAppMonitor.Cmd.Disable"),
        (Verb.IS_ENABLED, "", b"GuestAppMonitor.Cmd.IsEnabled"),
        (Verb.MARK_ACTIVE, "", b"GuestAppMonitor.Cmd.MarkActive"),
        (Verb.GET_APP_STATUS, "", b"GuestAppMonitor.Cmd.GetAppStatus"),
        (Verb.POST_APP_STATE, "appStateOk", b"GuestAppMonitor.Cmd.PostAppState appStateOk"),
        (Verb.POST_APP_STATE, "appStateNeedReset", b"GuestAppMonitor.Cmd.PostAppState appStateNeedReset"),
    ],
)
def test_commands_have_no_trailing_space(verb: Verb, argument: str, text: bytes) -> None:
    assert appmonitor.command(verb, argument) == text


def test_states_are_spelt_as_vmwares_command_does_and_then_as_the_guide_does() -> None:
    assert AppState.OK.spellings == ("appStateOk", "OK")
    assert AppState.NEED_RESET.spellings == ("appStateNeedReset", "needReset")


@pytest.mark.parametrize("refusal", [Code.BAD_ARGUMENT, Code.UNTOLD])
def test_a_refused_spelling_is_tried_in_the_other_way_once(refusal: Code) -> None:
    sent: list[str] = []

    def send(text: str) -> Code:
        sent.append(text)
        return refusal

    assert appmonitor.post(AppState.NEED_RESET, send) is refusal
    assert sent == ["appStateNeedReset", "needReset"]


@pytest.mark.parametrize("answer", [Code.OK, Code.INTERNAL_ERROR, Code.NOT_ENABLED])
def test_any_other_answer_to_a_state_is_final(answer: Code) -> None:
    sent: list[str] = []

    def send(text: str) -> Code:
        sent.append(text)
        return answer

    assert appmonitor.post(AppState.OK, send) is answer
    assert sent == ["appStateOk"]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"0", Code.OK),
        (b"1", Code.INTERNAL_ERROR),
        (b"2", Code.NOT_ENABLED),
        (b"3", Code.ARGUMENT_EXPECTED),
        (b"4", Code.NULL_ARGUMENT),
        (b"5", Code.BAD_ARGUMENT),
    ],
)
def test_reply_codes_are_told_apart(data: bytes, code: Code) -> None:
    assert appmonitor.parse_code(data) is code
    assert code.words.startswith(f"{int(code)} ")


def test_the_code_that_the_library_folds_has_words_but_is_never_read() -> None:
    assert "library" in Code.UNTOLD.words
    with pytest.raises(RemoteProtocolError):
        appmonitor.parse_code(b"-1")


@pytest.mark.parametrize("data", [b"", b"6", b"00", b"0 ", b"01", b"true", b"\xb2", b"x" * 1000])
def test_any_other_code_is_an_error_that_shows_a_little_of_it(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="0 to 5 are expected") as caught:
        appmonitor.parse_code(data)
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize(("data", "enabled"), [(b"true", True), (b"false", False)])
def test_is_enabled(data: bytes, enabled: bool) -> None:
    assert appmonitor.parse_is_enabled(data) is enabled


@pytest.mark.parametrize("data", [b"", b"True", b"true ", b"1", b"0", b"truefalse"])
def test_is_enabled_takes_exact_words_only(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="true or false"):
        appmonitor.parse_is_enabled(data)


@pytest.mark.parametrize("colour", list(AppStatus))
@pytest.mark.parametrize("pattern", ["{}", "appStatus{}", "APPSTATUS{}", " {}\n", "{}\0"])
def test_statuses_are_known_in_every_documented_spelling(colour: AppStatus, pattern: str) -> None:
    for word in (colour.value, colour.value.title(), colour.value.upper()):
        assert appmonitor.parse_app_status(pattern.format(word).encode()) is colour


@pytest.mark.parametrize("data", [b"", b"appStatus", b"blue", b"greenish", b"2", b"\xff\xfe"])
def test_other_statuses_are_errors(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="Green, Red or Gray"):
        appmonitor.parse_app_status(data)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_value_or_the_one_error(data: bytes) -> None:
    for parse in (appmonitor.parse_code, appmonitor.parse_is_enabled, appmonitor.parse_app_status):
        try:
            value = parse(data)
        except RemoteProtocolError:
            continue
        assert isinstance(value, Code | bool | AppStatus)


@pytest.mark.parametrize("rest", [b"\0", b"\0\0", b"\0more"])
def test_words_end_at_their_first_nul(rest: bytes) -> None:
    """As VMware's library reads them."""
    assert appmonitor.parse_code(b"0" + rest) is Code.OK
    assert appmonitor.parse_is_enabled(b"true" + rest) is True
    assert appmonitor.parse_is_enabled(b"false" + rest) is False
    assert appmonitor.parse_app_status(b"Green" + rest) is AppStatus.GREEN


@pytest.mark.parametrize("data", [b"", b"\0", b"\x000", b"00", b"0 \0"])
def test_what_stands_before_the_nul_must_be_a_code(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        appmonitor.parse_code(data)


@pytest.mark.parametrize("data", [b"X green", b"green X", b"Xgreen"])
def test_a_status_with_anything_around_it_is_an_error(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        appmonitor.parse_app_status(data)


@pytest.mark.parametrize(("length", "shown"), [(40, "b'" + "x" * 40 + "'"), (41, "b'" + "x" * 40 + "'…")])
def test_forty_bytes_of_a_strange_reply_are_shown(length: int, shown: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        appmonitor.parse_app_status(b"x" * length)
    assert f"of {shown}: Green" in str(caught.value)
