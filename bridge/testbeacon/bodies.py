"""What is in a JSON body: the license, and the records in the bytes that they came in.

Whatever the bytes are, the answer is a :class:`Body` or a :class:`Refusal`. A record never holds
the license of its body. Two parsers share the work: orjson judges, msgspec takes apart.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
import orjson

from bridge.testbeacon.refusal import malformed

BROKEN: Final = (ValueError, RecursionError, msgspec.MsgspecError)
"""What the parsers raise."""

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_OBJECTS = msgspec.json.Decoder(list[dict[str, msgspec.Raw]] | None)
_ELEMENTS = msgspec.json.Decoder(list[msgspec.Raw] | None)


@dataclass(frozen=True, slots=True)
class Record:
    """One record: its bytes, and what makes it the same as another one.

    ``id`` is set where the vendor's data has one.
    """

    text: bytes
    identity: bytes
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Body:
    """A body that has been judged: its license, if it has its place there, and its records."""

    license: object
    records: list[Record]


def members(data: bytes) -> dict[str, msgspec.Raw]:
    """The outermost members of strict JSON, an object. Raises :class:`Refusal` for anything else."""
    try:
        orjson.loads(data)
        return _MEMBERS.decode(data)
    except BROKEN:
        raise malformed("The body is not a JSON object.") from None


def objects(of: Mapping[str, msgspec.Raw], name: str) -> list[dict[str, msgspec.Raw]]:
    """The array of objects under ``name``, each taken apart; nothing and null are an empty one."""
    try:
        return _OBJECTS.decode(of.get(name, b"null")) or []
    except BROKEN:
        raise malformed(f"{name} is not an array of objects.") from None


def elements(of: Mapping[str, msgspec.Raw], name: str) -> list[bytes]:
    """The array of objects under ``name``, each in its bytes; nothing and null are an empty one."""
    try:
        found = [bytes(element) for element in _ELEMENTS.decode(of.get(name, b"null")) or []]
    except BROKEN:
        found = [b""]
    if not all(element.startswith(b"{") for element in found):
        raise malformed(f"{name} is not an array of objects.")
    return found


def verify_body(data: bytes) -> Body:
    """``{"license": K}``."""
    return Body(_value(members(data), "license"), [])


def transactions_body(data: bytes) -> Body:
    """``{"license": K, "trace_transactions": [...]}``; a record is one element, known by its id."""
    parts = members(data)
    if "trace_transactions" not in parts:
        raise malformed("trace_transactions is missing.")
    records = [_transaction(text) for text in elements(parts, "trace_transactions")]
    return Body(_value(parts, "license"), records)


def snapshot_body(data: bytes) -> Body:
    """A usage snapshot; the record is the body without its license, known by its content."""
    parts = members(data)
    _check_span(parts)
    _check_map(parts, "measures", int)
    return _report(parts)


def report_body(data: bytes) -> Body:
    """A LangGraph usage report; the record is the body without its license, known by its content."""
    parts = members(data)
    _check_span(parts)
    _check_map(parts, "measures", int)
    if "tags" in parts:
        _check_map(parts, "tags", str)
    if not isinstance(_value(parts, "logs") or [], list):
        raise malformed("logs is not an array.")
    return _report(parts)


def _transaction(text: bytes) -> Record:
    key = orjson.loads(text).get("id")
    if not isinstance(key, str) or not key:
        raise malformed("A transaction has no id, a string that is not empty.")
    return Record(text, key.encode(), key)


def _report(parts: dict[str, msgspec.Raw]) -> Body:
    key = _value(parts, "license_key")
    kept = {name: raw for name, raw in parts.items() if name not in ("license", "license_key")}
    text = b"{%b}" % b",".join(
        b"%b:%b" % (orjson.dumps(name), bytes(raw)) for name, raw in kept.items()
    )
    return Body(key, [Record(text, hashlib.sha256(text).digest())])


def _value(parts: Mapping[str, msgspec.Raw], name: str) -> object:
    return orjson.loads(bytes(parts.get(name, b"null")))


def _check_span(parts: Mapping[str, msgspec.Raw]) -> None:
    for name in ("from_timestamp", "to_timestamp"):
        if not isinstance(_value(parts, name), str):
            raise malformed(f"{name} is missing or not a string.")


def _check_map(parts: Mapping[str, msgspec.Raw], name: str, of: type) -> None:
    found = _value(parts, name)
    # A boolean is an int to Python, and none to the vendor.
    if not isinstance(found, dict) or any(type(value) is not of for value in found.values()):
        raise malformed(f"{name} is missing or not an object of {of.__name__} values.")
