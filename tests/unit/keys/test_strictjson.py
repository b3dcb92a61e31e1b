"""A control document has one reading, or none."""

from collections.abc import Callable, Mapping

import pytest

from keys.errors import VerificationError
from keys.strictjson import DEPTH_MAX, INTEGER_MAX, Fields, JsonValue, loads

LIMIT = 4096


def refused(data: bytes, limit: int = LIMIT) -> str:
    with pytest.raises(VerificationError) as caught:
        loads(data, limit=limit)
    return caught.value.id


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", "json.form"),
        (b"{", "json.form"),
        (b"nul", "json.form"),
        (b"{} ", "json.trailing"),
        (b" {}", "json.form"),
        (b"\xef\xbb\xbf{}", "json.form"),
        (b"{}{}", "json.trailing"),
        (b'{"a":1,"a":1}', "json.duplicate_key"),
        (b'{"a":{"b":1,"b":2}}', "json.duplicate_key"),
        (b'{"a":1,"\\u0061":2}', "json.duplicate_key"),
        (b"[1.0]", "json.number"),
        (b"[1e3]", "json.number"),
        (b"[-0]", "json.number"),
        (b"[NaN]", "json.number"),
        (b"[Infinity]", "json.number"),
        (b"[9007199254740992]", "json.number"),
        (b"[18446744073709551616]", "json.number"),
        (b"[" + b"9" * 3000 + b"]", "json.number"),
        (b"[01]", "json.form"),
        (b"[+1]", "json.form"),
        (b"[1_0]", "json.form"),
        ("[\u0661]".encode(), "json.form"),
        (b'["\xff"]', "json.text"),
        (b'["\\ud800"]', "json.text"),
        (b'{"\\ud800":1}', "json.text"),
        (b'["a\nb"]', "json.form"),
        (b"[" * (DEPTH_MAX + 1) + b"]" * (DEPTH_MAX + 1), "json.depth"),
        (b"[" * 2000 + b"]" * 2000, "json.depth"),
    ],
)
def test_attack_014_to_019_a_document_with_two_readings_is_refused(data: bytes, error: str) -> None:
    assert refused(data) == error


def test_attack_017_a_document_over_its_limit_is_refused_before_it_is_parsed() -> None:
    assert refused(b"[" * 2_000_000, limit=1000) == "json.too_large"


def test_the_largest_exact_integers_are_taken() -> None:
    assert loads(b"[%d,-%d]" % (INTEGER_MAX, INTEGER_MAX), limit=LIMIT) == [
        INTEGER_MAX,
        -INTEGER_MAX,
    ]


def test_a_document_at_the_depth_limit_is_taken() -> None:
    assert loads(b"[" * DEPTH_MAX + b"]" * DEPTH_MAX, limit=LIMIT)


def field_error(data: bytes, take: str) -> str:
    fields = Fields(loads(data, limit=LIMIT), "test")
    takes = {
        "text": lambda: fields.text("a", "[a-z]+"),
        "integer": lambda: fields.integer("a", 1, 9),
        "choice": lambda: fields.choice("a", ("x", "y")),
        "object": lambda: fields.object("a"),
        "objects": lambda: fields.objects("a", 1, 2),
        "null": lambda: fields.is_null("a"),
        "done": fields.done,
    }
    with pytest.raises(VerificationError) as caught:
        takes[take]()
    return caught.value.id


@pytest.mark.parametrize(
    ("data", "take"),
    [
        (b"{}", "text"),
        (b"{}", "null"),
        (b'{"a":1}', "text"),
        (b'{"a":"A"}', "text"),
        (b'{"a":"ab\\n"}', "text"),
        (b'{"a":"1"}', "integer"),
        (b'{"a":true}', "integer"),
        (b'{"a":0}', "integer"),
        (b'{"a":10}', "integer"),
        (b'{"a":"z"}', "choice"),
        (b'{"a":1}', "choice"),
        (b'{"a":[]}', "object"),
        (b'{"a":[]}', "objects"),
        (b'{"a":[{},{},{}]}', "objects"),
        (b'{"a":{}}', "objects"),
    ],
)
def test_a_member_of_another_type_or_range_is_refused(data: bytes, take: str) -> None:
    assert field_error(data, take) == "document.field"


def test_attack_015_a_member_that_nobody_took_is_refused() -> None:
    assert field_error(b'{"a":1}', "done") == "document.unknown_key"


def test_what_is_no_object_has_no_members() -> None:
    with pytest.raises(VerificationError) as caught:
        Fields([1], "test")
    assert caught.value.id == "document.form"


def test_members_that_are_right_are_given_and_done() -> None:
    fields = Fields(loads(b'{"a":"x","b":null,"c":[{"d":3}]}', limit=LIMIT), "test")
    assert fields.text("a", "[a-z]") == "x"
    assert fields.is_null("b")
    (inner,) = fields.objects("c", 1, 1)
    assert inner.integer("d", 0, 5) == 3
    inner.done()
    fields.done()


def test_a_document_of_just_its_limit_is_taken() -> None:
    assert loads(b"[1]", limit=3) == [1]
    assert refused(b"[1]", limit=2) == "json.too_large"


def test_objects_count_as_depth_too() -> None:
    def nested(depth: int) -> bytes:
        return b'{"a":' * depth + b"1" + b"}" * depth

    assert loads(nested(DEPTH_MAX), limit=LIMIT)
    assert refused(nested(DEPTH_MAX + 1)) == "json.depth"
    assert refused(b"[" + nested(DEPTH_MAX) + b"]") == "json.depth"


def test_a_document_at_the_depth_limit_may_have_more_objects_beside() -> None:
    deep = b"[" * (DEPTH_MAX - 1) + b"]" * (DEPTH_MAX - 1)
    assert loads(b"[{},[]," + deep + b"]", limit=LIMIT)
    assert refused(b"[{},[],[" + deep + b"]]") == "json.depth"


def test_brackets_that_are_not_nested_are_not_deep() -> None:
    flat = b"[" + b"[]," * 100 + b'{},"[[[{{{"]'
    assert len(str(loads(flat, limit=LIMIT))) > 100


def test_a_half_surrogate_is_refused_wherever_it_stands() -> None:
    for data in (b'"\\ud800"', b'{"a":[{"b":"\\udfff"}]}', b'[1,{"\\ud800":[]}]'):
        assert refused(data) == "json.text"
    assert loads(b'"\\ud83d\\ude00"', limit=LIMIT) == "\U0001f600"


@pytest.mark.parametrize("value", [1, 5, 9])
def test_both_bounds_of_an_integer_are_in_its_range(value: int) -> None:
    assert Fields({"a": value}, "test").integer("a", 1, 9) == value


@pytest.mark.parametrize("count", [1, 2])
def test_both_bounds_of_a_list_of_objects_are_in_its_range(count: int) -> None:
    assert len(Fields({"a": [{}] * count}, "test").objects("a", 1, 2)) == count


def test_a_choice_is_one_of_its_words() -> None:
    assert Fields({"a": "y"}, "test").choice("a", ("x", "y")) == "y"


def test_members_with_names_that_are_data_are_given_up_to_their_limit() -> None:
    document: dict[str, JsonValue] = {"a": {"x": 1, "y": 2}}
    assert Fields(document, "test").mapping("a", 2) == {"x": 1, "y": 2}
    with pytest.raises(VerificationError) as caught:
        Fields(document, "test").mapping("a", 1)
    assert caught.value.id == "document.field"
    with pytest.raises(VerificationError) as caught:
        Fields({"a": [1]}, "test").mapping("a", 9)
    assert caught.value.id == "document.field"


@pytest.mark.parametrize("given", [["a", "b", "c"], ["a", "B"], ["a", 1], ["ab\n"], "ab", {}])
def test_a_list_of_texts_with_one_that_is_wrong_or_too_many_is_refused(given: JsonValue) -> None:
    with pytest.raises(VerificationError) as caught:
        Fields({"a": given}, "test").texts("a", "[a-z]+", 2)
    assert caught.value.id == "document.field"


def test_a_list_of_texts_is_given_up_to_its_limit() -> None:
    assert Fields({"a": ["a", "b"]}, "test").texts("a", "[a-z]+", 2) == ["a", "b"]
    assert Fields({"a": []}, "test").texts("a", "[a-z]+", 2) == []


def test_a_pattern_takes_ascii_alone() -> None:
    with pytest.raises(VerificationError):
        Fields({"a": "\u0661"}, "test").text("a", r"\d")


def test_a_member_that_is_not_null_is_still_to_be_taken() -> None:
    fields = Fields({"a": 1, "b": {"c": 2}}, "test")
    assert "a" in fields
    assert "c" not in fields
    assert not fields.is_null("a")
    assert fields.object("b").integer("c", 0, 9) == 2
    with pytest.raises(VerificationError) as caught:
        fields.done()
    assert caught.value.id == "document.unknown_key"
    assert fields.integer("a", 0, 9) == 1
    fields.done()


TAKES: Mapping[str, Callable[[Fields], object]] = {
    "text": lambda fields: fields.text("a", "x"),
    "integer": lambda fields: fields.integer("a", 2, 2),
    "choice": lambda fields: fields.choice("a", ("x",)),
    "object": lambda fields: fields.object("a"),
    "objects": lambda fields: fields.objects("a", 1, 1),
    "mapping": lambda fields: fields.mapping("a", 1),
    "texts": lambda fields: fields.texts("a", "x", 1),
}


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("take", TAKES)
def test_a_refusal_names_member_and_document_and_whether_it_is_there(
    take: str, *, there: bool
) -> None:
    fields = Fields({"a": 1} if there else {"b": 1}, "receipt")
    state = "is not what it may be" if there else "is missing"
    with pytest.raises(VerificationError, match=f"The member a of a receipt {state}"):
        TAKES[take](fields)


def test_a_member_that_may_be_null_is_named_where_it_is_missing() -> None:
    with pytest.raises(VerificationError, match="The member a of a receipt is missing"):
        Fields({}, "receipt").is_null("a")


def test_what_is_wrong_inside_is_named_with_what_it_is_in() -> None:
    outer = Fields({"a": {"b": 1}, "c": [{"d": 1}, {}], "e": [1]}, "receipt")
    with pytest.raises(VerificationError, match="The member x of a receipt's a is missing"):
        outer.object("a").integer("x", 0, 1)
    _, second = outer.objects("c", 0, 2)
    with pytest.raises(VerificationError, match="The member d of a receipt's c is missing"):
        second.integer("d", 0, 1)
    with pytest.raises(VerificationError, match="A receipt's e is not a JSON object"):
        outer.objects("e", 0, 2)


@pytest.mark.parametrize("number", [b"1.5", b"NaN", b"12345678901234567", b"-0"])
def test_a_number_that_is_refused_is_told(number: bytes) -> None:
    with pytest.raises(VerificationError, match=number.decode()):
        loads(number, limit=LIMIT)
