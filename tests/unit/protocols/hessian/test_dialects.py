"""Hessian in both dialects: what is written is read again, what others write is read, anything else is refused."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest

from eventmesh.protocols.hessian.draft import DraftReader, DraftWriter
from eventmesh.protocols.hessian.final import FinalReader, FinalWriter
from eventmesh.protocols.hessian.reader import MAX_CLASSES, Reader
from eventmesh.protocols.hessian.values import MAX_DEPTH, HessianError, JavaObject, Long, TypedList
from eventmesh.protocols.hessian.writer import CHUNK, Writer

DIALECTS = pytest.mark.parametrize(("writer", "reader"), [(FinalWriter, FinalReader), (DraftWriter, DraftReader)])
SCALARS = [
    *(None, True, False, 0, -(2**31), 2**31 - 1, 2**31, -(2**63), 2**63 - 1, 0.0, -0.5, 1e300),
    *("", "tea", "é \U0001f600", "x" * (CHUNK - 1) + "\U0001f600" + "y" * CHUNK, b"", b"y" * (2 * CHUNK + 1)),
    *(datetime(2023, 11, 14, 22, 13, 20, 123000, UTC), datetime(1900, 1, 1, tzinfo=UTC)),
]


def written(writer: type[Writer], *values: object) -> bytes:
    made = writer()
    for value in values:
        made.write(value)
    return made.written()


def shown(value: object) -> object:
    """A value that can be compared: objects by class and fields."""
    match value:
        case JavaObject(name, fields):
            return name, {field: shown(held) for field, held in fields.items()}
        case list():
            return [shown(item) for item in value]
        case dict():
            return {key: shown(held) for key, held in value.items()}
    return value


@DIALECTS
def test_what_is_written_is_read_again(writer: type[Writer], reader: type[Reader]) -> None:
    bean = JavaObject("com.shop.Order", {"item": "tea", "count": 3, "inside": JavaObject("com.shop.None")})
    composites = [
        [],
        [1, ["a"], {}],
        {"a": [1], 2: None},
        bean,
        [bean, bean],
        JavaObject("com.shop.Order", {"other": 1}),
    ]
    read = reader(written(writer, *SCALARS, *composites))
    assert [shown(read.read()) for _ in (*SCALARS, *composites)] == [*SCALARS, *map(shown, composites)]
    assert read.at_end


@DIALECTS
def test_what_java_declares_reads_as_what_it_holds(writer: type[Writer], reader: type[Reader]) -> None:
    read = reader(written(writer, Long(5), TypedList("[int", [1, 2])))
    assert (read.read(), read.read(), read.at_end) == (5, [1, 2], True)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        # hessian.js 2.11.0 and sofa-hessian-node 2.2.1: class a.B {x: 1, y: "s"}
        ("4303612e42920178017960910173", ("a.B", {"x": 1, "y": "s"})),
        # The page of the format, section by section.
        ("90", 0), ("80", -16), ("bf", 47), ("c800", 0), ("c000", -2048), ("c7ff", -1), ("cfff", 2047),
        ("d40000", 0), ("d00000", -262144), ("d7ffff", 262143), ("490000012c", 300),
        ("e0", 0), ("d8", -8), ("ef", 15), ("f800", 0), ("f000", -2048), ("ffff", 2047), ("3c0000", 0),
        ("380000", -262144), ("590000012c", 300), ("4c000000000000012c", 300),
        ("5b", 0.0), ("5c", 1.0), ("5d80", -128.0), ("5e8000", -32768.0), ("5f00003039", 12.345),
        ("444028800000000000", 12.25),
        ("00", ""), ("0568656c6c6f", "hello"), ("01c383", "\u00c3"), ("5300" + "0568656c6c6f", "hello"),
        ("52000773" + "656c6c6f2c20" + "05776f726c64", "sello, world"), ("300474657374", "test"),
        ("02eda0bdedb880", "\U0001f600"), ("02f09f9880", "\U0001f600"),
        ("20", b""), ("23010203", b"\1\2\3"), ("3404" + "61626364", b"abcd"), ("410001" + "61" + "2162", b"ab"),
        ("4a000000d04b928480", datetime(1998, 5, 8, 9, 51, 30, 944000, UTC)),
        ("4b00e3838f", datetime(1998, 5, 8, 9, 51, tzinfo=UTC)),
        ("5790915a", [0, 1]), ("72045b696e749091", [0, 1]), ("56045b696e74929091", [0, 1]),
        ("58929091", [0, 1]), ("7a9091", [0, 1]), ("55045b696e74905a", [0]),
        ("4d08636f6d2e53686f70" + "0161915a", {"a": 1}), ("48" + "91" + "0161" + "5a", {1: "a"}),
    ],
)  # fmt: skip
def test_the_published_dialect_is_read_in_every_form(data: str, value: object) -> None:
    reader = FinalReader(bytes.fromhex(data))
    assert shown(reader.read()) == value
    assert reader.at_end


@pytest.mark.parametrize(
    ("data", "value"),
    [
        ("4f93612e429201780179" + "6f90910173", ("a.B", {"x": 1, "y": "s"})),
        ("770000012c", 300), ("67", 0.0), ("68", 1.0), ("6980", -128.0), ("6a8000", -32768.0), ("6b41440000", 12.25),
        ("7300026865" + "036c6c6f", "hello"), ("6200016121" + "62", b"ab"),
        ("567400045b696e746e0290917a", [0, 1]), ("566c0000000290917a", [0, 1]), ("5690917a", [0, 1]),
        ("4d0161917a", {"a": 1}), ("4d740001780161917a", {"a": 1}),
        ("6400000000000003e8", datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)),
        # A type and a list that were there before.
        ("56" + "567400045b696e7490" + "7a" + "769092" + "9091" + "7a", [[0], [0, 1]]),
        ("56" + "56" + "917a" + "4a01" + "7a", [[1], [1]]),
        ("56" + "56" + "917a" + "4b0001" + "520000" + "0001" + "7a", [[1], [1], [1]]),
    ],
)  # fmt: skip
def test_sofarpcs_dialect_is_read_in_every_form(data: str, value: object) -> None:
    reader = DraftReader(bytes.fromhex(data))
    assert shown(reader.read()) == value
    assert reader.at_end


def test_what_is_referred_to_is_the_same_object() -> None:
    final, draft = (
        bytes.fromhex("43016191" + "0473656c66" + "605190"),
        bytes.fromhex("4f916191" + "0473656c66" + "6f904a00"),
    )
    for reader in (FinalReader(final), DraftReader(draft)):
        value = reader.read()
        assert isinstance(value, JavaObject) and value.fields["self"] is value


@DIALECTS
def test_whatever_is_cut_off_is_refused(writer: type[Writer], reader: type[Reader]) -> None:
    data = written(writer, {"a": [1, "tea", b"bytes", 0.5, JavaObject("com.shop.Order", {"item": Long(1)})]})
    for cut in range(len(data)):
        with pytest.raises(HessianError):
            reader(data[:cut]).read()


@DIALECTS
def test_any_bytes_are_values_or_refused(writer: type[Writer], reader: type[Reader]) -> None:
    drawn = random.Random(7)
    seed = written(writer, {"a": [1, "tea", b"bytes", 0.5, JavaObject("com.shop.Order", {"item": 1, "b": ["x"]})]})
    refused = 0
    for _ in range(20_000):
        data = bytearray(seed if drawn.random() < 0.7 else drawn.randbytes(drawn.randrange(1, 40)))
        for _ in range(drawn.randrange(1, 5)):
            data[drawn.randrange(len(data))] = drawn.randrange(256)
        read = reader(bytes(data))
        try:
            while not read.at_end:
                read.read()
        except HessianError:
            refused += 1
    assert 0 < refused < 20_000


def test_what_nests_too_deep_is_refused_on_both_sides() -> None:
    for writer, reader, opened in ((FinalWriter, FinalReader, b"W"), (DraftWriter, DraftReader, b"V")):
        nested: list[object] = []
        for _ in range(MAX_DEPTH + 1):
            nested = [nested]
        with pytest.raises(HessianError, match=f"deeper than {MAX_DEPTH}"):
            written(writer, nested)
        with pytest.raises(HessianError, match=f"deeper than {MAX_DEPTH}"):
            reader(opened * (MAX_DEPTH + 2)).read()


@DIALECTS
def test_a_type_a_number_and_a_name_hold_no_values_however_deep(writer: type[Writer], reader: type[Reader]) -> None:
    for opened in (b"U", b"V", b"v", b"M", b"Q", b"O", b"o", b"C"):
        with pytest.raises(HessianError):
            reader(opened * 100_000).read()


@pytest.mark.parametrize(
    "data",
    [
        b"C\x01a\xcc\x01" + b"\x01x" * (MAX_CLASSES + 1),
        b"C\x01a\x90" * (MAX_CLASSES + 1) + b"\x60",
        b"C\x01a\x90\x61",
        b"\x51\x90",
        b"U\x90\x90Z",
        b"UTZ",
        b"R\0\x01aN",
        b"A\0\x01aN",
        b"H\x57Z\x90Z",
        b"J" + b"\x7f" * 8,
        b"Z",
        b"\x02\xff\xff",
    ],
)
def test_bad_references_limits_and_marks_are_refused(data: bytes) -> None:
    with pytest.raises(HessianError):
        FinalReader(data).read()


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, object(), {1, 2}])
def test_what_has_no_form_is_refused(value: object) -> None:
    with pytest.raises(HessianError):
        written(FinalWriter, value)


def test_a_number_or_text_that_is_asked_for_must_be_one() -> None:
    for data in (b"T", b"\x01a", b"X\x90"):
        with pytest.raises(HessianError, match="expected a number"):
            FinalReader(data).read_int()
    with pytest.raises(HessianError, match="expected a text"):
        FinalReader(b"\x90").read_text()
