import re
import tracemalloc

import pytest

from spool.errors import RecordError
from spool.frames import MIB
from spool.jsonbytes import DEPTH_MAX, VALUES_MAX, check_depth, check_utf8, on_one_line, value_of
from spool.jsonparts import elements, members


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a\\"]":', '["}]",{"[":"","a\\\\":'])
def test_depth_is_counted_exactly_and_brackets_in_strings_do_not_count(opening: str) -> None:
    pairs = {"[": "]", "{": "}"}
    plain = opening.replace('"a\\"]"', "").replace('"}]"', "").replace('"["', "")
    levels = [pairs[mark] for mark in plain if mark in pairs]
    closing = "".join(reversed(levels))

    def nested(times: int, rest: int) -> bytes:
        inner = "[" * rest + "]" * rest if rest else "0"
        return (opening * times + inner + closing * times).encode()

    fits = DEPTH_MAX // len(levels)
    value_of(nested(fits, DEPTH_MAX - fits * len(levels)))
    with pytest.raises(RecordError) as caught:
        value_of(nested(fits, DEPTH_MAX - fits * len(levels) + 1))
    assert caught.value.id == "record.depth"


@pytest.mark.parametrize("depth", [65, 1025, 100_000])
def test_too_deep_is_said_as_such_by_every_reader(depth: int) -> None:
    array = b"[" * depth + b"]" * depth
    with pytest.raises(RecordError) as caught:
        value_of(array)
    assert caught.value.id == "record.depth"


def test_objects_alone_can_be_too_deep() -> None:
    value_of(b'{"a":' * 63 + b"{}" + b"}" * 63)
    with pytest.raises(RecordError) as caught:
        value_of(b'{"a":' * 64 + b"{}" + b"}" * 64)
    assert caught.value.id == "record.depth"


def test_the_depth_that_a_parser_cannot_follow_is_refused() -> None:
    array = b"[" * 100_000 + b"]" * 100_000
    for read in (elements, lambda data: members(b'{"a":%b}' % data)):
        with pytest.raises(RecordError) as caught:
            read(array)
        assert caught.value.id == "record.depth"


def test_many_brackets_side_by_side_are_not_deep() -> None:
    check_depth(b"[" + b",".join([b'[{"a":"["}]'] * 1000) + b"]")


def test_bad_utf8_is_found_across_the_pieces_it_is_read_in() -> None:
    step = 1024 * 1024
    check_utf8(b"x" * (step - 1) + "漢".encode() + b"x" * step)
    for bad in (b"\xff", b"\xe6\xbc", b"\xed\xa0\x80", b"\xc0\xaf"):
        for pad in (0, step - 1, step):
            with pytest.raises(RecordError) as caught:
                check_utf8(b"x" * pad + bad)
            assert caught.value.id == "record.json"


@pytest.mark.parametrize("unit", [b"[]", b"{}", b'{"a":1}', b"1", b'",{["'])
def test_a_text_of_too_many_values_is_refused_before_they_take_memory(unit: bytes) -> None:
    def text(marks: int) -> bytes:
        each = 1 + len(re.sub(rb'"[^"]*"|[^\[{,]', b"", unit))
        return b"[%b]" % b",".join([unit] * (marks // each))

    value_of(text(VALUES_MAX))
    more = text(2 * VALUES_MAX)
    tracemalloc.start()
    try:
        with pytest.raises(RecordError) as refused:
            value_of(more)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refused.value.id == "record.too_large"
    assert peak < 4 * len(more)  # parsed they take 28 times as much


@pytest.mark.parametrize("unit", [b",", b'\\",', b"\\\\,", b'\\\\\\",[{'])
def test_what_stands_in_a_string_is_no_value_whatever_is_escaped_in_it(unit: bytes) -> None:
    text = b'["%b","",{"":"%b"}]' % (unit * 2 * VALUES_MAX, unit)
    found = value_of(text)
    assert isinstance(found, list)
    assert len(found) == 3


@pytest.mark.parametrize("string", [b'""', b'","', b'"\\\\"', b'"\\",\\\\"'])
def test_strings_count_as_one_value_each_whatever_is_escaped_in_them(string: bytes) -> None:
    assert value_of(b"[%b]" % b",".join([string] * VALUES_MAX))
    with pytest.raises(RecordError) as refused:
        value_of(b"[%b]" % b",".join([string] * (VALUES_MAX + 1)))
    assert refused.value.id == "record.too_large"


def test_an_empty_string_is_one_value_beside_a_string_full_of_commas() -> None:
    commas = b'"%b"' % (b"," * VALUES_MAX)
    found = value_of(b"[%b]" % b",".join([commas, *[b'""'] * (VALUES_MAX // 2)]))
    assert isinstance(found, list)
    assert len(found) == 1 + VALUES_MAX // 2


@pytest.mark.parametrize("inside", [b'""', b'"["', b'"]"', b'"\\"["', b'"x","["'])
def test_levels_are_counted_beside_strings_that_hold_brackets(inside: bytes) -> None:
    value_of(b"[" * DEPTH_MAX + inside + b"]" * DEPTH_MAX)
    with pytest.raises(RecordError) as refused:
        value_of(b"[" * (DEPTH_MAX + 1) + inside + b"]" * (DEPTH_MAX + 1))
    assert refused.value.id == "record.depth"


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"{ }", b"{ }"),
        (b"{\n}", b"{ }"),
        (b"{\r}", b"{ }"),
        (b"{\r\n}", b"{ }"),
        (b"{\n\r}", b"{  }"),
        (b"\n{\r\n\r\n}\r", b" {  } "),
        (b'{\r\n"a":\r1,\n\n"b":2}', b'{ "a": 1,  "b":2}'),
    ],
)
def test_each_line_break_becomes_one_space(data: bytes, line: bytes) -> None:
    assert on_one_line(data) == line


@pytest.mark.parametrize("size", [-1, 0, 1, 2])
def test_utf8_is_judged_from_the_first_byte_to_the_last_however_long_the_text(size: int) -> None:
    # Characters of two bytes, so that some end where the next piece begins and some do not.
    good = b"x" * (size % 2) + "é".encode() * ((MIB + size) // 2)
    check_utf8(good)
    check_utf8(good * 3)
    for bad in (b"\xff" + good, good[:-1], good + b"\xc3", good + b"\xff" + good):
        with pytest.raises(RecordError) as caught:
            check_utf8(bad)
        assert caught.value.id == "record.json"
        assert "UTF-8" in caught.value.message
