"""A control document has one reading, or none."""

import pytest

from keys.errors import VerificationError
from keys.strictjson import DEPTH_MAX, INTEGER_MAX, Fields, loads

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
