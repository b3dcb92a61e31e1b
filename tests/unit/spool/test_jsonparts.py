import tracemalloc

import pytest

from spool.errors import RecordError
from spool.jsonparts import ELEMENTS_MAX, cut_at, elements, members


def test_members_keep_their_order_and_bytes() -> None:
    found = members(b' { "b" : [1.0, 1e5 ] ,"a":{"x":12345678901234567890123}, "\\u0063":"\\/"} ')
    assert {name: bytes(value) for name, value in found.items()} == {
        "b": b"[1.0, 1e5 ]",
        "a": b'{"x":12345678901234567890123}',
        "c": b'"\\/"',
    }


@pytest.mark.parametrize("data", [b'{"a":1,"a":1}', b'{"a":1,"b":2,"\\u0061":3}'])
def test_a_repeated_member_is_refused(data: bytes) -> None:
    with pytest.raises(RecordError) as caught:
        members(data)
    assert caught.value.id == "record.repeated_key"


def test_elements_keep_their_bytes() -> None:
    assert [bytes(each) for each in elements(b'[ 1.0,{"a": 1} , []]')] == [
        b"1.0",
        b'{"a": 1}',
        b"[]",
    ]


def test_a_list_beyond_the_limit_is_refused() -> None:
    assert len(elements(b"[{}%b]" % (b",{}" * (ELEMENTS_MAX - 1)))) == ELEMENTS_MAX
    with pytest.raises(RecordError) as caught:
        elements(b"[{}%b]" % (b",{}" * ELEMENTS_MAX))
    assert caught.value.id == "record.too_large"


@pytest.mark.parametrize("data", [b"{}", b"1", b'"a"', b"null"])
def test_what_is_no_array_has_no_elements(data: bytes) -> None:
    with pytest.raises(RecordError) as caught:
        elements(data)
    assert caught.value.id == "record.form"


def test_a_cut_keeps_every_byte() -> None:
    data = b' { "x,\\"" : {"a":[1]}\n,  "a" : [ 1 , 2 ] , "z":"}" } '
    cut = cut_at(data, "a")
    assert cut is not None
    before, value, after = cut
    assert bytes(value) == b"[ 1 , 2 ]"
    assert before + bytes(value) + after == data
    assert cut_at(data, "b") is None


@pytest.mark.parametrize(
    ("element", "said"),
    [
        (b"{}", "record.too_large"),
        (b'{"a":",,"}', "record.too_large"),
        (b'{"a":[[],7]}', "record.too_large"),
        (b"[[],7]", "record.form"),
        (b"7", "record.form"),
    ],
)
def test_a_list_is_refused_before_its_elements_take_memory(element: bytes, said: str) -> None:
    """Neither what stands in strings nor what stands deeper is counted."""
    if said == "record.too_large":
        most = b"[%b]" % b",".join([element] * ELEMENTS_MAX)
        assert len(elements(most)) == ELEMENTS_MAX
    more = b"[%b]" % b",".join([element] * 3 * ELEMENTS_MAX)
    tracemalloc.start()
    try:
        with pytest.raises(RecordError) as refused:
            elements(more)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refused.value.id == said
    assert peak < 100 * ELEMENTS_MAX  # all of them would take more than twice as much


def test_an_object_of_too_many_members_is_refused_before_they_take_memory() -> None:
    with pytest.raises(RecordError) as refused:
        members(b"{" + b'"a":1,' * ELEMENTS_MAX + b'"a":1}')
    assert refused.value.id == "record.too_large"
