"""Attack 152: nothing untrusted acts on a terminal, in a pipe or in JSON."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.terminal import counted, safe, safe_json, sized

HOSTILE = [
    "\x1b[2J",
    "\x1b]0;title\x07",
    "\x1b]8;;http://x\x1b\\",
    "\x1b]52;c;AAAA\x07",
    "\x9b31m",
    "\r\n",
    "\b\x7f",
    "\u202e\u2066",
    "\u200b\u200d\ufeff",
    "\U000e0041",
    "\ud800",
    "\u2028",
    "\u3164",
    "\u115f",
    "\ufe0f",
    "\U000e0100",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_attack_152_controls_and_invisible_marks_are_written_as_escapes(text: str) -> None:
    shown = safe(f"a{text}b")
    assert shown.startswith("a\\")
    assert shown.endswith("b")
    assert shown.isprintable()
    assert text not in shown


def test_text_of_any_language_stays_as_it_is() -> None:
    assert safe("Grüße, 世界 ✓") == "Grüße, 世界 ✓"


@given(st.text())
def test_safe_text_is_printable_whatever_it_was(text: str) -> None:
    assert all(unicodedata.category(mark) not in {"Cc", "Cf", "Cs"} for mark in safe(text))


@given(st.dictionaries(st.text(), st.text()))
def test_safe_json_means_the_same(value: dict[str, str]) -> None:
    written = json.dumps(value, ensure_ascii=False)
    assert json.loads(safe_json(written)) == value
    assert safe(safe_json(written)) == safe_json(written)


def test_one_is_told_in_the_singular() -> None:
    said = [counted(number, "record is", "records are") for number in (0, 1, 2, 12_345)]
    assert said == ["0 records are", "1 record is", "2 records are", "12,345 records are"]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (1023, "1,023 bytes"),
        (1024, "1 KiB"),
        (1029, "1 KiB"),
        (1035, "1.01 KiB"),
        (2**20 - 1, "1,023.99 KiB"),
        (5 * 2**30, "5 GiB"),
        (5 * 2**30 - 1, "4.99 GiB"),
        (79494983680, "74.03 GiB"),
        (3 * 2**40, "3,072 GiB"),
    ],
)
def test_a_size_is_told_in_the_units_of_the_configuration_and_never_as_more(
    number: int, text: str
) -> None:
    assert sized(number) == text
