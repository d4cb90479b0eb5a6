from __future__ import annotations

import ctypes

from exporter.catalogue import STATISTICS, Wire
from exporter.library.signatures import REQUIRED, SIGNATURES, GuestLibStatus


def test_every_getter_of_the_catalogue_has_a_signature_as_wide_as_the_wire() -> None:
    widths = {Wire.U32: 4, Wire.U64: 8}
    numbers = [row for row in STATISTICS if row.symbol and row.wire in widths]
    assert len(numbers) >= 36
    for row in numbers:
        arguments, result = SIGNATURES[str(row.symbol)]
        handle, out = arguments
        assert handle is ctypes.c_void_p
        assert ctypes.sizeof(out._type_) == widths[row.wire], row.symbol
        assert result is ctypes.c_int


def test_a_variable_of_the_wrong_width_is_not_accepted() -> None:
    prototype = ctypes.CFUNCTYPE(ctypes.c_int, *SIGNATURES["GetMemTargetSizeMB"][0])
    called: list[object] = []

    def function(handle: object, out: object) -> int:
        called.append(out)
        return 0

    getter = prototype(function)
    getter(None, ctypes.byref(ctypes.c_uint64()))
    try:
        getter(None, ctypes.byref(ctypes.c_uint32()))
    except ctypes.ArgumentError:
        pass
    else:
        raise AssertionError("8 bytes would have been written to a variable of 4")
    assert len(called) == 1


def test_the_pool_path_has_a_size_and_a_buffer() -> None:
    arguments, _ = SIGNATURES["GetResourcePoolPath"]
    assert [argument._type_ for argument in arguments[1:]] == [ctypes.c_size_t, ctypes.c_char]


def test_what_every_library_has_is_in_the_table() -> None:
    assert set(REQUIRED) <= set(SIGNATURES)


def test_nothing_that_writes_host_state_is_in_the_table() -> None:
    assert "AtomicUpdateCookie" not in SIGNATURES


def test_statuses_have_the_numbers_of_the_header() -> None:
    assert [status.value for status in GuestLibStatus] == list(range(11))
    assert GuestLibStatus(10) is GuestLibStatus.UNSUPPORTED_VERSION
