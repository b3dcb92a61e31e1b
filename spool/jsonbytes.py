"""JSON as bytes, judged without being written anew; :mod:`spool.jsonparts` takes it apart.

Nothing here changes a byte of a value, so numbers, key order and unknown fields stay as they came.
Whatever the bytes are, the answer is a value or a :class:`RecordError`, whose message shows nothing
of them: they may hold a secret. Two parsers share the work: orjson is strict about numbers,
surrogates and UTF-8; json tells of repeated keys.
"""

import codecs
import json
import re

import msgspec
import orjson

from spool.abandoning import checkpoint
from spool.errors import RecordError

DEPTH_MAX = 64
"""Levels of arrays and objects; real records have about a dozen, and parsers recurse."""

VALUES_MAX = 512 * 1024
"""Values, about, of a text that is parsed in full: 20,000 data points with five attributes each. They
take up to 60 MiB, and other threads wait while they are parsed."""

SPACE = b" \t\r\n"
"""What JSON allows between tokens."""

BROKEN = (ValueError, RecursionError, msgspec.MsgspecError)
"""What the parsers raise, those of :mod:`spool.jsonparts` too."""
STEP = 1024 * 1024
"""Bytes looked at in one go: as text they may take four times as many."""
_COUNTED = 1024
"""Bytes of a text whose brackets are counted before anything else is done with them."""
_LF, _CR = b"\n\r"
_UNIFORM = bytes.maketrans(b"[]{}", b"()()")
_OTHERS = bytes(set(range(256)) - set(b'[]{}"'))
_VALUES = bytes(set(range(256)) - set(b'[{,"'))
"""What is taken away so that what begins or parts values is left, and strings."""
_STRING = re.compile(rb'"[^"]*+"')


def value_of(data: bytes) -> object:
    """The value of one strict JSON text, parsed in full.

    It is for judging only: integers of 2**64 and more lose digits. Raises :class:`RecordError`
    ``record.json`` for bad UTF-8, a byte order mark, NUL, numbers that no double holds, lone
    surrogates, bytes after the value; ``record.depth``, ``record.too_large``.
    """
    check_depth(data)
    check_values(data)
    try:
        return orjson.loads(data)
    except BROKEN as error:
        raise not_json(error) from None


def check_utf8(data: bytes) -> None:
    """Raise :class:`RecordError` ``record.json`` unless all of ``data`` is strict UTF-8."""
    if data.isascii():
        return
    try:
        if len(data) <= STEP:
            data.decode()
            return
        decoder = codecs.getincrementaldecoder("utf-8")()
        for start in range(0, len(data), STEP):
            checkpoint()
            decoder.decode(data[start : start + STEP])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise not_json(ValueError("not UTF-8")) from None


def check_depth(data: bytes) -> None:
    """Raise :class:`RecordError` ``record.depth`` if JSON is nested beyond :data:`DEPTH_MAX`.

    What is no JSON may pass; no parser passes it then.
    """
    # Few short texts open so many; in a long one levels are counted sooner than brackets.
    if len(data) <= _COUNTED and data.count(b"[") + data.count(b"{") <= DEPTH_MAX:
        return
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    # Two strings side by side may become one here: what stands within and outside stays so.
    marks: bytes | bytearray = data.translate(_UNIFORM, _OTHERS)
    if marks.count(b"(") <= DEPTH_MAX:
        return
    marks = marks.replace(b'""', b"")
    marks = _without_strings(marks)
    for _ in range(DEPTH_MAX):  # each round takes the innermost level away
        checkpoint()
        rest = marks.replace(b"()", b"")
        if not rest or len(rest) == len(marks):
            return
        marks = rest
    raise _too_deep()


def _without_strings(marks: bytes | bytearray) -> bytes | bytearray:
    """``marks`` without what stands in quotes; never in the pieces between them all at once."""
    if b'"' not in marks:
        return marks
    found = bytearray()
    at = 0
    for match in _STRING.finditer(marks):
        checkpoint()
        found += marks[at : match.start()]
        at = match.end()
    found += marks[at:]
    return found


def check_values(data: bytes) -> None:
    """Raise :class:`RecordError` ``record.too_large`` if JSON holds more than :data:`VALUES_MAX`.

    Brackets that open, and commas, are what is counted.
    """
    if len(data) <= VALUES_MAX or sum(map(data.count, (b",", b"[", b"{"))) <= VALUES_MAX:
        return
    # Some stand in strings.
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    checkpoint()
    marks = data.translate(None, _VALUES).replace(b'""', b"")
    if len(_without_strings(marks)) > VALUES_MAX:
        raise RecordError(
            "record.too_large",
            f"A record, or what it shares with others, holds more than {VALUES_MAX} values.",
            "Send it in several records.",
        )


def check_names(data: bytes) -> None:
    """Raise :class:`RecordError` ``record.repeated_key`` if an object at any depth repeats a name.

    ``data`` is JSON that :func:`value_of` has passed; this takes several times as long.
    """
    try:
        _NAMES.decode(data.decode())
    except BROKEN as error:
        raise not_json(error) from None


def on_one_line(data: bytes) -> bytes:
    """JSON with each raw line break as one space; they stand only between tokens."""
    if _LF not in data and _CR not in data:
        return data
    return data.replace(b"\r\n", b" ").replace(b"\n", b" ").replace(b"\r", b" ")


def _unrepeated(pairs: list[tuple[str, object]]) -> None:
    checkpoint()
    if len({name for name, _ in pairs}) != len(pairs):
        raise repeated_key()


_NAMES = json.JSONDecoder(object_pairs_hook=_unrepeated, parse_int=str, parse_float=str)


def repeated_key() -> RecordError:
    """An object says a name twice."""
    return RecordError(
        "record.repeated_key",
        "A JSON object says the same key twice.",
        "Send each key once: readers would disagree on which one counts.",
    )


def _too_deep() -> RecordError:
    return RecordError(
        "record.depth",
        f"A record is nested deeper than {DEPTH_MAX} levels.",
        "Send it flatter; no telemetry client nests like this.",
    )


def not_json(why: Exception) -> RecordError:
    """What to raise for one of :data:`BROKEN`."""
    if isinstance(why, RecursionError):
        return _too_deep()
    return RecordError(
        "record.json", f"A record is not strict JSON: {why}.", "Send one JSON object in UTF-8."
    )
