"""One word for each thing: those of the glossary are used, and those that would double them are not."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GLOSSARY = ROOT / "docs" / "glossary.md"
DESIGNED = {
    "batch", "beacon", "bundle", "chain", "delivered", "egress", "exception", "exported", "fork",
    "frame", "gap", "head", "heartbeat", "intake", "lane", "license", "loss record", "lost", "manifest",
    "node", "pending", "quarantined", "receipt", "record", "relay", "replay", "return bundle", "seal",
    "segment", "span", "statement", "stream", "transfer", "verdict",
}  # fmt: skip
"""What the formats, the commands and their JSON are told in; none of these may go."""
FORBIDDEN = {
    "licen" + "ce": "license",
    "queue " + "file": "segment",
    "wal " + "file": "segment",
    "journal " + "file": "segment",
    "dead " + "letter": "exception, or quarantine",
    "dead-" + "letter": "exception, or quarantine",
    "high-water " + "mark": "head, or frontier",
}
"""A second word for a thing, and the one that is ours. Written apart: this file is read, too."""


def _terms() -> list[str]:
    return re.findall(r"^\| \*\*([^*]+)\*\* \|", GLOSSARY.read_text(), re.MULTILINE)


def _pages() -> Iterator[Path]:
    yield from (ROOT / name for name in ("README.md", "CHANGELOG.md"))
    yield from (ROOT / "docs").rglob("*.md")


def _programs() -> Iterator[Path]:
    for room in ("keys", "spool", "bridge"):
        yield from (ROOT / room).rglob("*.py")
    for path in (ROOT / "scripts").rglob("*"):
        if path.is_file() and path.suffix != ".pyc":
            yield path


def _text(path: Path) -> str:
    """Its text in small letters, with each stretch of white space as one space."""
    return " ".join(path.read_text().lower().split())


def test_the_glossary_has_every_word_once() -> None:
    terms = _terms()
    assert len(terms) == len(set(terms))
    assert DESIGNED - set(terms) == set()


def test_every_row_is_a_word_and_a_sentence() -> None:
    rows = [line for line in GLOSSARY.read_text().splitlines() if line.startswith("| **")]
    for row in rows:
        assert re.fullmatch(r"\| \*\*[a-z ]+\*\* \| \S.{10,}[^. ] \|", row), row
        assert ". " not in row, row


@pytest.mark.parametrize("term", _terms())
def test_a_word_of_the_glossary_is_used(term: str) -> None:
    pattern = re.compile(rf"\b{re.escape(term)}(?:s|es)?\b")
    places = [path for path in (*_pages(), *_programs()) if path != GLOSSARY]
    assert any(pattern.search(_text(path)) for path in places)


@pytest.mark.parametrize("word", FORBIDDEN)
def test_a_second_word_for_a_thing_is_used_nowhere(word: str) -> None:
    pattern = re.compile(rf"\b{re.escape(word)}s?\b")
    found = [
        str(path.relative_to(ROOT))
        for path in (*_pages(), *_programs())
        if pattern.search(_text(path))
    ]
    assert found == [], f"say {FORBIDDEN[word]}"
