"""JSON as bytes: judged, and taken apart, without being written anew.

Nothing here changes a byte of a value, so numbers, key order and unknown fields stay as they came.
Whatever the bytes are, the answer is a value or a :class:`RecordError`, whose message shows nothing
of them: they may hold a secret. Three parsers share the work, each for what it does best: orjson
is strict about numbers, surrogates and UTF-8; msgspec takes apart without looking inside; json
tells of repeated keys.
"""

import codecs
import json
import re
import threading
from typing import Any

import msgspec
import orjson

from spool.abandoning import checkpoint
from spool.errors import RecordError

DEPTH_MAX = 64
"""Levels of arrays and objects; real records have about a dozen, and parsers recurse."""

ELEMENTS_MAX = 1_000_000
"""Elements of an array that is taken apart; the largest body holds fewer records worth sending, and
each element costs memory many times its bytes."""

VALUES_MAX = 512 * 1024
"""Values, about, of a text that is parsed in full: 20,000 data points with five attributes each. They
take up to 60 MiB, and other threads wait while they are parsed."""

SPACE = b" \t\r\n"
"""What JSON allows between tokens."""

_BROKEN = (ValueError, RecursionError, msgspec.MsgspecError)
"""What the three parsers raise."""
_UTF8_STEP = 1024 * 1024
"""Bytes decoded at a time: the text itself is not wanted, and may be four times as large."""
_COUNTED = 1024
"""Bytes of a text whose brackets are counted before anything else is done with them."""
_LF, _CR = b"\n\r"
_UNIFORM = bytes.maketrans(b"[]{}", b"()()")
_OTHERS = bytes(set(range(256)) - set(b'[]{}"'))
_VALUES = bytes(set(range(256)) - set(b'[{,"'))
"""What is taken away so that what begins or parts values is left, and strings."""
_STRING = re.compile(rb'"[^"]*+"')
_OPENING = re.compile(rb"\s*+\{")
_MEMBER_NAME = re.compile(rb'[\s,]*+"(?:[^"\\]|\\.)*+"\s*+:\s*+', re.DOTALL)


class _Name:
    """A member's name, unequal to every other: so a dict keeps both of two that repeat."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


def _name(_type: type, text: str) -> _Name:
    return _Name(text)


_OBJECT = msgspec.json.Decoder(dict[_Name, msgspec.Raw], dec_hook=_name)
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])


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
    except _BROKEN as error:
        raise _not_json(error) from None


def check_utf8(data: bytes) -> None:
    """Raise :class:`RecordError` ``record.json`` unless all of ``data`` is strict UTF-8."""
    if data.isascii():
        return
    try:
        if len(data) <= _UTF8_STEP:
            data.decode()
            return
        decoder = codecs.getincrementaldecoder("utf-8")()
        for start in range(0, len(data), _UTF8_STEP):
            checkpoint()
            decoder.decode(data[start : start + _UTF8_STEP])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise _not_json(ValueError("not UTF-8")) from None


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
    except _BROKEN as error:
        raise _not_json(error) from None


def members(data: bytes | msgspec.Raw) -> dict[str, msgspec.Raw]:
    """An object's members in their order, each value in the bytes that it came in.

    The values are skipped, not judged. Raises :class:`RecordError` ``record.json``,
    ``record.form``, ``record.depth``, ``record.repeated_key``, ``record.too_large`` beyond
    :data:`ELEMENTS_MAX`.
    """
    # Members of one byte have four with what stands around them.
    if len(data) > 4 * ELEMENTS_MAX and _holds_many(data, b":"):
        _check_count(data, _MEMBERS)
    try:
        pairs = _OBJECT.decode(data)
    except msgspec.ValidationError:
        raise RecordError(
            "record.form", "A JSON object is wanted here.", "Send the object alone."
        ) from None
    except _BROKEN as error:
        raise _not_json(error) from None
    found = {name.text: value for name, value in pairs.items()}
    if len(found) == len(pairs):
        return found
    raise _repeated_key()


def elements(data: bytes | msgspec.Raw) -> list[msgspec.Raw]:
    """An array's elements, each in the bytes that it came in; skipped, not judged.

    Raises :class:`RecordError` ``record.json``, ``record.form``, ``record.depth``,
    ``record.too_large`` beyond :data:`ELEMENTS_MAX`.
    """
    # Taken apart, each element takes memory many times its bytes: so they are counted before.
    if len(data) > 2 * ELEMENTS_MAX and _holds_many(data, b","):
        _check_count(data, _ELEMENTS)
    try:
        found = _ARRAY.decode(data)
    except msgspec.ValidationError:
        raise RecordError(
            "record.form", "A JSON array is wanted here.", "Send the list, even if it is empty."
        ) from None
    except _BROKEN as error:
        raise _not_json(error) from None
    if len(found) <= ELEMENTS_MAX:
        return found
    raise too_many()


def _holds_many(data: bytes | msgspec.Raw, mark: bytes) -> bool:
    """Whether there are more of ``mark`` than elements may be, counted without a copy of it all."""
    found = 0
    view = memoryview(data)
    for start in range(0, len(view), _UTF8_STEP):
        checkpoint()
        found += bytes(view[start : start + _UTF8_STEP]).count(mark)
        if found >= ELEMENTS_MAX:
            return True
    return False


class _Element(msgspec.Struct, gc=False):
    """Stands for each element, an object whose members nobody looks at, while they are counted."""

    def __post_init__(self) -> None:
        _count_one()


class _Member:
    """Stands for each member's name while they are counted."""


_MEMBER = _Member()
_ELEMENTS = msgspec.json.Decoder(list[_Element])
_counting = threading.local()


def _count_one() -> None:
    checkpoint()
    _counting.seen += 1
    if _counting.seen > ELEMENTS_MAX:
        raise too_many()


def _see(_type: type, _value: object) -> _Member:
    _count_one()
    return _MEMBER


_MEMBERS = msgspec.json.Decoder(dict[_Member, msgspec.Raw], dec_hook=_see)


def _check_count(data: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[Any]) -> None:
    """Raise ``record.too_large`` where there are too many of what ``decoder`` counts and forgets.

    Raises ``record.form`` for a list of something else than objects, which may have still more.
    """
    _counting.seen = 0
    try:
        decoder.decode(data)
    except msgspec.ValidationError:
        raise RecordError(
            "record.form",
            "So long a text has to be an object, or a list of objects.",
            "Send it as the specification of its type has it.",
        ) from None
    except _BROKEN as error:
        raise _not_json(error) from None


def cut_at(data: bytes | msgspec.Raw, name: str) -> tuple[bytes, msgspec.Raw, bytes] | None:
    """What stands before, in and after the value of an object's member; None without that member.

    Raises :class:`RecordError` as :func:`members` does.
    """
    found = members(data)
    view = memoryview(data)  # it may be large, and nothing of it is copied but what stands around
    opening = _OPENING.match(view)
    assert opening is not None  # noqa: S101 - the parser has just read it
    at = opening.end()
    for key, value in found.items():
        match = _MEMBER_NAME.match(view, at)
        assert match is not None  # noqa: S101 - and this
        at = match.end() + len(value)
        if key == name:
            return bytes(view[: match.end()]), value, bytes(view[at:])
    return None


def on_one_line(data: bytes) -> bytes:
    """JSON with each raw line break as one space; they stand only between tokens."""
    if _LF not in data and _CR not in data:
        return data
    return data.replace(b"\r\n", b" ").replace(b"\n", b" ").replace(b"\r", b" ")


def _unrepeated(pairs: list[tuple[str, object]]) -> None:
    checkpoint()
    if len({name for name, _ in pairs}) != len(pairs):
        raise _repeated_key()


_NAMES = json.JSONDecoder(object_pairs_hook=_unrepeated, parse_int=str, parse_float=str)


def _repeated_key() -> RecordError:
    return RecordError(
        "record.repeated_key",
        "A JSON object says the same key twice.",
        "Send each key once: readers would disagree on which one counts.",
    )


def too_many() -> RecordError:
    """A list, or an object, beyond :data:`ELEMENTS_MAX`."""
    return RecordError(
        "record.too_large",
        f"A list has more than {ELEMENTS_MAX} elements.",
        "Send fewer in one body.",
    )


def _too_deep() -> RecordError:
    return RecordError(
        "record.depth",
        f"A record is nested deeper than {DEPTH_MAX} levels.",
        "Send it flatter; no telemetry client nests like this.",
    )


def _not_json(why: Exception) -> RecordError:
    if isinstance(why, RecursionError):
        return _too_deep()
    return RecordError(
        "record.json", f"A record is not strict JSON: {why}.", "Send one JSON object in UTF-8."
    )
