"""JSON objects and arrays taken apart, each part in the bytes that it came in.

What is taken apart is skipped, not judged: :mod:`spool.jsonbytes` judges. Parts are counted before they
take memory many times their bytes.
"""

import re
import threading
from typing import Any

import msgspec

from spool.abandoning import checkpoint
from spool.errors import RecordError
from spool.jsonbytes import BROKEN, STEP, not_json, repeated_key

ELEMENTS_MAX = 1_000_000
"""Elements of an array that is taken apart; the largest body holds fewer records worth sending, and
each element costs memory many times its bytes."""

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
    except BROKEN as error:
        raise not_json(error) from None
    found = {name.text: value for name, value in pairs.items()}
    if len(found) == len(pairs):
        return found
    raise repeated_key()


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
    except BROKEN as error:
        raise not_json(error) from None
    if len(found) <= ELEMENTS_MAX:
        return found
    raise too_many()


def _holds_many(data: bytes | msgspec.Raw, mark: bytes) -> bool:
    """Whether there are more of ``mark`` than elements may be, counted without a copy of it all."""
    found = 0
    view = memoryview(data)
    for start in range(0, len(view), STEP):
        checkpoint()
        found += bytes(view[start : start + STEP]).count(mark)
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
    except BROKEN as error:
        raise not_json(error) from None


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


def too_many() -> RecordError:
    """A list, or an object, beyond :data:`ELEMENTS_MAX`."""
    return RecordError(
        "record.too_large",
        f"A list has more than {ELEMENTS_MAX} elements.",
        "Send fewer in one body.",
    )
