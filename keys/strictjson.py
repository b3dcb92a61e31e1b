"""Strict JSON for control documents: statements, heads, trust stores, manifests, receipts.

A document has one reading, or none: no repeated names, no floats, no integer that some reader would
round, no byte that is not part of it. Whatever the bytes are, :func:`loads` returns a value or raises
:class:`VerificationError`, after the size was checked and before anything is believed. Records are
not read with this; they keep their bytes.
"""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import NoReturn

from keys.errors import VerificationError, shown

JsonValue = None | bool | int | str | list["JsonValue"] | dict[str, "JsonValue"]

INTEGER_MAX = 2**53 - 1
"""The largest integer that every JSON reader holds exactly (RFC 8259, section 6)."""
DEPTH_MAX = 16
"""Objects and lists within each other; our documents have four."""
_DIGITS_MAX = 16
"""Digits of :data:`INTEGER_MAX`; a longer number is not even converted."""


def _bad(problem: str, message: str) -> VerificationError:
    return VerificationError(
        f"json.{problem}",
        f"A control document is refused: {message}.",
        "Take the file from its source again; it must not be edited or re-encoded.",
    )


def _pairs(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _bad("duplicate_key", "a name stands in it twice")
    return found


def _integer(text: str) -> int:
    if text == "-0" or len(text.lstrip("-")) > _DIGITS_MAX or abs(int(text)) > INTEGER_MAX:
        raise _bad("number", f"the number {shown(text)} has no exact form everywhere")
    return int(text)


def _no_number(text: str) -> NoReturn:
    raise _bad("number", f"{shown(text)} is no integer")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_pairs,
    parse_int=_integer,
    parse_float=_no_number,
    parse_constant=_no_number,
)


def _check(value: JsonValue, left: int = DEPTH_MAX) -> None:
    """Refuse what is nested too deep, and strings that are not Unicode text."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise _bad("text", "half of a surrogate pair stands in it") from error
    if isinstance(value, dict | list):
        if not left:
            raise _bad("depth", f"it is nested more than {DEPTH_MAX} deep")
        for inner in [*value, *value.values()] if isinstance(value, dict) else value:
            _check(inner, left - 1)


def loads(data: bytes, *, limit: int) -> JsonValue:
    """The value in ``data``, at most ``limit`` bytes.

    Raises :class:`VerificationError` ``json.too_large``, ``json.text`` (not UTF-8), ``json.form``,
    ``json.trailing`` (bytes around the document), ``json.duplicate_key``, ``json.number`` or
    ``json.depth``.
    """
    if len(data) > limit:
        raise _bad("too_large", f"it has more than {limit} bytes")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise _bad("text", "it is not UTF-8") from error
    try:
        value: JsonValue
        value, end = _DECODER.raw_decode(text)
    except ValueError as error:
        raise _bad("form", "it is not JSON") from error
    except RecursionError as error:
        raise _bad("depth", f"it is nested more than {DEPTH_MAX} deep") from error
    if end != len(text):
        raise _bad("trailing", "something stands after it")
    # What has no escape was text already, and what opens so little is not deep: most documents.
    if "\\" in text or text.count("{") + text.count("[") > DEPTH_MAX:
        _check(value)
    return value


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """The program's own patterns, a few dozen; the library's cache costs more than the match."""
    return re.compile(pattern, re.ASCII)


class Fields:
    """The members of an object, taken out one by one, each with its type and range.

    ``what`` names the document in messages. Every method raises :class:`VerificationError`
    ``document.field`` where the member is missing or of another type or range; :meth:`done` raises
    ``document.unknown_key`` for members that nobody took.
    """

    def __init__(self, value: JsonValue, what: str) -> None:
        if not isinstance(value, dict):
            raise VerificationError(
                "document.form", f"A {what} is not a JSON object.", "Take it from its source again."
            )
        self._members = value
        self._left = set(value)
        self._what = what

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def text(self, name: str, pattern: str) -> str:
        """A string that matches the whole of ``pattern``."""
        value = self._take(name)
        if not isinstance(value, str) or not _compiled(pattern).fullmatch(value):
            raise self._bad(name)
        return value

    def integer(self, name: str, low: int, high: int) -> int:
        """An integer from ``low`` to ``high``, both included."""
        value = self._take(name)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self._bad(name)
        return value

    def choice(self, name: str, among: tuple[str, ...]) -> str:
        """One of the given strings."""
        value = self._take(name)
        if not isinstance(value, str) or value not in among:
            raise self._bad(name)
        return value

    def object(self, name: str) -> "Fields":
        """An object; its own ``done`` is the caller's to call."""
        value = self._take(name)
        if not isinstance(value, dict):
            raise self._bad(name)
        return Fields(value, f"{self._what}'s {name}")

    def objects(self, name: str, least: int, most: int) -> list["Fields"]:
        """A list of ``least`` to ``most`` objects."""
        value = self._take(name)
        if not isinstance(value, list) or not least <= len(value) <= most:
            raise self._bad(name)
        return [Fields(item, f"{self._what}'s {name}") for item in value]

    def mapping(self, name: str, most: int) -> Mapping[str, JsonValue]:
        """An object of at most ``most`` members whose names are data; the caller judges them."""
        value = self._take(name)
        if not isinstance(value, dict) or len(value) > most:
            raise self._bad(name)
        return value

    def texts(self, name: str, pattern: str, most: int) -> list[str]:
        """A list of at most ``most`` strings that match ``pattern``."""
        value = self._take(name)
        if not isinstance(value, list) or len(value) > most:
            raise self._bad(name)
        found = [
            item for item in value if isinstance(item, str) and _compiled(pattern).fullmatch(item)
        ]
        if len(found) != len(value):
            raise self._bad(name)
        return found

    def is_null(self, name: str) -> bool:
        """Whether the member is null; if not, it is still to be taken."""
        if name not in self._members:
            raise self._bad(name)
        if self._members[name] is not None:
            return False
        self._left.discard(name)
        return True

    def done(self) -> None:
        """Refuse what nobody took."""
        if self._left:
            raise VerificationError(
                "document.unknown_key",
                f"A {self._what} has a member of unknown name, {shown(min(self._left))}.",
                "It may be of a newer version of this program; use that one to read it.",
            )

    def _take(self, name: str) -> JsonValue:
        if name not in self._members:
            raise self._bad(name)
        self._left.discard(name)
        return self._members[name]

    def _bad(self, name: str) -> VerificationError:
        state = "is not what it may be" if name in self._members else "is missing"
        return VerificationError(
            "document.field",
            f"The member {name} of a {self._what} {state}.",
            "Take it from its source again; it must not be edited.",
        )
