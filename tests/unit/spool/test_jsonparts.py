import tracemalloc

import pytest

from spool import jsonparts
from spool.errors import RecordError
from spool.jsonparts import ELEMENTS_MAX, cut_at, elements, members

FEW = 40
MANY = 50_000


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more elements than can be written down, in pieces of a few bytes."""
    monkeypatch.setattr(jsonparts, "ELEMENTS_MAX", FEW)
    monkeypatch.setattr(jsonparts, "STEP", 16)


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
def test_a_list_is_refused_before_its_elements_take_memory(
    element: bytes, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither what stands in strings nor what stands deeper is counted."""
    monkeypatch.setattr(jsonparts, "ELEMENTS_MAX", MANY)
    if said == "record.too_large":
        most = b"[%b]" % b",".join([element] * MANY)
        assert len(elements(most)) == MANY
    more = b"[%b]" % b",".join([element] * 3 * MANY)
    tracemalloc.start()
    try:
        with pytest.raises(RecordError) as refused:
            elements(more)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refused.value.id == said
    assert peak < 100 * MANY  # all of them would take more than twice as much


def test_an_object_of_too_many_members_is_refused_before_they_take_memory() -> None:
    with pytest.raises(RecordError) as refused:
        members(b"{" + b'"a":1,' * ELEMENTS_MAX + b'"a":1}')
    assert refused.value.id == "record.too_large"


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    ("element", "said"),
    [
        (b"1", "record.form"),
        (b'"a"', "record.form"),
        (b"{}", "record.too_large"),
        (b'{"a":",,,"}', "record.too_large"),
        (b'{"a":[1,1,1],"b":1}', "record.too_large"),
    ],
)
def test_as_many_elements_as_there_may_be_are_taken_and_one_more_is_not(
    element: bytes, said: str
) -> None:
    taken = elements(b"[%b]" % b",".join([element] * FEW))
    assert [bytes(each) for each in taken] == [element] * FEW
    with pytest.raises(RecordError) as refused:
        elements(b"[%b]" % b",".join([element] * (FEW + 1)))
    assert refused.value.id == said


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("value", [b"1", b'"::"', b'{"a":1,"b":{"c":1}}'])
def test_as_many_members_as_there_may_be_are_taken_and_one_more_is_not(value: bytes) -> None:
    each = [b'"%d:":%b' % (number, value) for number in range(FEW + 1)]
    assert len(members(b"{%b}" % b",".join(each[:-1]))) == FEW
    with pytest.raises(RecordError) as refused:
        members(b"{%b}" % b",".join(each))
    assert refused.value.id == "record.too_large"


@pytest.mark.parametrize("marks", [0, FEW])
@pytest.mark.usefixtures("few")
def test_the_depth_that_a_parser_cannot_follow_is_refused_by_name(marks: int) -> None:
    """Also where a text is long enough, and holds enough marks, for its parts to be counted."""
    deep = b"[" * 100_000 + b"]" * 100_000
    for read, text in [
        (elements, b'[{"b":"%b"},{"a":%b}]' % (b"," * marks, deep)),
        (members, b'{"b":"%b","a":%b}' % (b":" * marks, deep)),
    ]:
        with pytest.raises(RecordError) as refused:
            read(text)
        assert refused.value.id == "record.depth"
