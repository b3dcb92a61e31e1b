import base64
import json

import pytest

from spool.secrets import NO_SECRETS, SecretGuard

KEY = "lcl_EXAMPLE/NOT+A_KEY>?"
GUARD = SecretGuard([KEY])


def test_no_value_is_found_by_the_guard_of_nothing() -> None:
    assert not NO_SECRETS.found_in(KEY.encode())


def test_a_value_is_found_raw() -> None:
    assert GUARD.found_in(b'{"a":"x' + KEY.encode() + b'y"}')


def test_each_of_several_values_is_found() -> None:
    guard = SecretGuard(["first-value", "second-value"])
    assert guard.found_in(b'"second-value"')
    assert guard.found_in(b'"first-value"')


@pytest.mark.parametrize(
    "escaped",
    [
        KEY.replace("/", "\\/"),
        KEY.replace("l", "\\u006c"),
        KEY.replace("l", "\\u006C", 1),
        "".join(f"\\u{ord(letter):04x}" for letter in KEY),
    ],
)
def test_a_value_is_found_in_json_escapes(escaped: str) -> None:
    data = f'{{"a":"say \\"{escaped}\\""}}'
    assert KEY in json.loads(data)["a"]
    assert GUARD.found_in(data.encode())


@pytest.mark.parametrize(
    "value", ['quo"ted-key', "back\\slash-key", "tab\tand\nline", "clé-🔑-漢字"]
)
def test_a_value_that_json_must_or_may_escape_is_found(value: str) -> None:
    guard = SecretGuard([value])
    assert guard.found_in(json.dumps({"a": value}).encode())
    assert guard.found_in(json.dumps({"a": value}, ensure_ascii=False).encode())


def test_an_escaped_backslash_before_a_u_is_no_escape() -> None:
    assert not GUARD.found_in(KEY.replace("l", "\\\\u006c").encode())


@pytest.mark.parametrize("before", [b"", b"a", b"ab", b"abc", b"Bearer: "])
@pytest.mark.parametrize("after", [b"", b"z", b"zy", b"zyx"])
def test_a_value_is_found_in_base64_of_every_alignment(before: bytes, after: bytes) -> None:
    text = before + KEY.encode() + after
    assert GUARD.found_in(base64.b64encode(text))
    assert GUARD.found_in(base64.urlsafe_b64encode(text))
    assert GUARD.found_in(base64.b64encode(text).replace(b"/", b"\\/"))


@pytest.mark.parametrize(
    "innocent",
    [b"", b"{}", KEY[:-1].encode(), KEY.lower().encode(), b'{"a":"\\u0041\\n"}', b"\\", b"\\u00"],
)
def test_what_is_not_the_value_is_not_found(innocent: bytes) -> None:
    assert not GUARD.found_in(innocent)


def test_a_value_under_eight_bytes_is_not_looked_for() -> None:
    assert not SecretGuard(["1234567", ""]).found_in(b'"1234567"')
    assert SecretGuard(["12345678"]).found_in(b'"12345678"')


def test_a_guard_does_not_show_its_values() -> None:
    assert KEY not in repr(GUARD)
