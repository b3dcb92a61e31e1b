"""How much of an OTLP body goes together, to the byte; and what of it stays as it came."""

import msgspec
import pytest

from spool.otlpcuts import ENVELOPE_MAX, packed, pieces

NAMES = ("scopeLogs",)


def cut(element: bytes, room: int) -> list[bytes]:
    return list(pieces([msgspec.Raw(element)], NAMES, room))


@pytest.mark.parametrize(
    ("each", "room", "groups"),
    [
        ([b"a", b"b", b"c"], 5, [b"a,b,c"]),
        ([b"a", b"b", b"c"], 4, [b"a,b", b"c"]),
        ([b"aa", b"bb"], 5, [b"aa,bb"]),
        ([b"aa", b"bb"], 4, [b"aa", b"bb"]),
        ([b"aaaa", b"bb", b"cc"], 5, [b"aaaa", b"bb,cc"]),
        ([b"a", b"larger than that", b"b"], 5, [b"a", b"larger than that", b"b"]),
        ([], 5, []),
    ],
)
def test_what_fits_goes_together_with_its_commas_and_not_a_byte_more(
    each: list[bytes], room: int, groups: list[bytes]
) -> None:
    assert list(packed(each, room)) == groups


def test_what_fits_just_so_stays_as_it_came_and_a_byte_less_of_room_cuts_it() -> None:
    element = b'{"scopeLogs":[{"a":1} , {"b":2}]}'
    assert cut(element, len(element)) == [element]
    assert cut(element, len(element) - 1) == [b'{"scopeLogs":[{"a":1},{"b":2}]}']
    assert cut(element, 30) == [b'{"scopeLogs":[{"a":1}]}', b'{"scopeLogs":[{"b":2}]}']


@pytest.mark.parametrize("after", [0, 1000])
@pytest.mark.parametrize(("more", "parts"), [(0, 2), (1, 1)])
def test_what_stands_around_the_parts_is_sent_with_each_only_up_to_its_bound(
    after: int, more: int, parts: int
) -> None:
    bare = b'{"a":"","scopeLogs":[1,2],"z":""}'
    around = len(bare) - len(b"1,2")
    pad = ENVELOPE_MAX + more - around - after
    element = b'{"a":"%b","scopeLogs":[1,2],"z":"%b"}' % (b"x" * pad, b"x" * after)
    assert len(cut(element, ENVELOPE_MAX + 1)) == parts
