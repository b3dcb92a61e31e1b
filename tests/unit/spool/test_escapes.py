import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spool.escapes import PIECE, without_escapes
from spool.secrets import SecretGuard

KEY = "lcl_EXAMPLE/NOT+A_KEY"
AROUND = 30


def plain(data: bytes) -> bytes:
    return b"".join(without_escapes(data))


@given(st.text(), st.booleans())
def test_a_json_text_becomes_what_a_parser_makes_of_it(text: str, ascii_: bool) -> None:  # noqa: FBT001 - hypothesis gives it
    said = json.dumps(text.encode("utf-8", "ignore").decode(), ensure_ascii=ascii_)[1:-1]
    assert plain(said.encode()) == json.loads(f'"{said}"').encode()


@pytest.mark.parametrize(
    "unit",
    ["\\\\", "\\n", "\\/", '\\"', "\\u0041", "\\u00e9", "\\ud83d\\ude00", "é", "漢", "🔑", "a"],
)
def test_nothing_is_cut_in_two_wherever_a_piece_ends(unit: str) -> None:
    said = json.loads(f'"{unit}"')
    for shift in range(AROUND):
        filling = "x" * (PIECE - AROUND + shift)
        found = plain((filling + unit * AROUND).encode())
        assert found == (filling + said * AROUND).encode(), shift


@pytest.mark.parametrize("unit", ["\\\\", "\\\\\\u0041", "\\ud83d\\ude00\\\\\\\\"])
def test_a_long_run_of_escapes_is_read_from_its_begin(unit: str) -> None:
    many = 3 * PIECE // len(unit) + 1
    assert plain((unit * many).encode()) == (json.loads(f'"{unit}"') * many).encode()


@pytest.mark.parametrize("data", [b"\\", b"\\u", b"\\u00", b"\\q\\x41", b"\xff\\u0041", b"\\ud800"])
def test_what_is_no_json_comes_out_as_something(data: bytes) -> None:
    for shift in range(AROUND):
        assert plain(bytes(PIECE - AROUND + shift) + data * AROUND)


def test_a_value_is_found_where_pieces_of_an_escaped_text_meet() -> None:
    guard = SecretGuard([KEY])
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in KEY).encode()
    for shift in range(0, len(escaped) + AROUND, 5):
        data = b"x" * (PIECE - shift) + escaped + b"x" * AROUND
        assert guard.found_in(data), shift
        assert not guard.found_in(data.replace(b"x" + escaped, b"x\\" + escaped)), shift
