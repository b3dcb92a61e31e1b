"""What comes in becomes lines: one JSON object on one line, in the bytes that it came in.

Every record passes here once, before it is stored: intake, ``append`` and ``backfill`` alike. A
transaction or report is parsed in full, without repeated keys at any depth, and carries neither a
license field nor a guarded value. Only white space around it is taken off, and raw line breaks
between its tokens become spaces.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import orjson

from spool.abandoning import checkpoint
from spool.errors import RecordError
from spool.jsonbytes import (
    DEPTH_MAX,
    SPACE,
    VALUES_MAX,
    check_names,
    check_utf8,
    on_one_line,
    value_of,
)
from spool.jsonparts import members
from spool.layouts import Layouts
from spool.secrets import SecretGuard

LINE_MAX = 8 * 1024 * 1024 - 1
"""Bytes of a line without its line end, so that one frame holds it with its line end."""
LICENSE_FIELDS = frozenset({"license", "license_key"})
"""The vendor's two names for the same secret."""
_BRACKET = ord("[")


class Lines(NamedTuple):
    """What one input became: lines without line ends, and what was taken out of them.

    ``dropped`` counts OTLP records left out because they held a secret, ``filtered`` log records
    below a warning. ``ids`` are those of transactions, for whoever counts what comes twice.
    """

    lines: list[bytes]
    dropped: int = 0
    filtered: int = 0
    ids: tuple[str, ...] = ()


def transaction_lines(data: bytes, guard: SecretGuard) -> Lines:
    """One usage transaction: an object with an ``id``, whatever else it holds.

    Raises :class:`RecordError` ``record.too_large``, ``record.json``, ``record.depth``,
    ``record.form``, ``record.repeated_key``, ``record.secret``.
    """
    checkpoint()
    plain = _plain_id(data)
    if plain and not guard.found_in(data):
        return Lines([data], ids=(plain,))
    found, line = _document(data, guard)
    if not isinstance(key := found.get("id"), str) or not key:
        raise RecordError(
            "record.form",
            "A transaction has no id that is a string.",
            "Each transaction needs an id, a string that is not empty.",
        )
    return Lines([line], ids=(key,))


_layouts = Layouts()


def _plain_id(data: bytes) -> str | None:
    """The id of a transaction that is its own line already, as nearly every one is; else None."""
    if len(data) > VALUES_MAX:
        return None
    return _layouts.id_of(data) or _plain_id_in_full(data)


def _plain_id_in_full(data: bytes) -> str | None:
    """The same of one whose layout is not known, and which is no larger than :data:`VALUES_MAX`.

    Whatever comes out of a dict again as it came in had no repeated name and no line break.
    """
    if data.count(b"{") + (data.count(b"[") if _BRACKET in data else 0) > DEPTH_MAX:
        return None
    try:
        found = orjson.loads(data)
    except ValueError:
        return None
    if type(found) is dict and orjson.dumps(found) == data:
        key = found.get("id")
        if type(key) is str and key and LICENSE_FIELDS.isdisjoint(found):
            _layouts.missed(data)
            return key
    return None


def plain_transactions_until(some: Sequence[bytes], begin: int) -> int:
    """Where the transactions from ``begin`` on end that are a line each, but for guarded values.

    None of ``some`` is larger than :data:`VALUES_MAX`.
    """
    at = begin
    while at < len(some):
        at = _layouts.fitting_until(some, at)
        if at == len(some) or not _plain_id_in_full(some[at]):
            break
        at += 1
    return at


def report_lines(data: bytes, guard: SecretGuard) -> Lines:
    """One usage report or snapshot: an object with a time span and measures.

    Raises :class:`RecordError` as :func:`transaction_lines` does.
    """
    found, line = _document(data, guard)
    if (
        "from_timestamp" not in found
        or "to_timestamp" not in found
        or not isinstance(found.get("measures"), dict)
    ):
        raise RecordError(
            "record.form",
            "A usage report lacks its time span or its measures.",
            "It needs from_timestamp, to_timestamp, and measures, an object.",
        )
    return Lines([line])


def take_apart(body: bytes) -> dict[str, msgspec.Raw]:
    """The members of a body's outermost object, each value in the bytes that it came in.

    The values are judged when they become lines, not here. Raises :class:`RecordError`
    ``record.json``, ``record.depth``, ``record.form``, ``record.repeated_key``.
    """
    check_utf8(body)
    return members(body)


def put_together(parts: Mapping[str, msgspec.Raw | bytes]) -> bytes:
    """The object that holds ``parts``, in their order and bytes."""
    return b"{%b}" % b",".join(
        b"%b:%b" % (orjson.dumps(name), bytes(value)) for name, value in parts.items()
    )


def check_size(size: int) -> None:
    """Raise :class:`RecordError` ``record.too_large`` if ``size`` bytes do not fit in a line."""
    if size > LINE_MAX:
        raise RecordError(
            "record.too_large",
            f"A record has more than {LINE_MAX} bytes.",
            "Send less in one record.",
        )


def check_license_fields(names: Mapping[str, object]) -> None:
    """Raise :class:`RecordError` ``record.secret`` if an outermost object has a license field."""
    if not LICENSE_FIELDS.isdisjoint(names):
        raise RecordError(
            "record.secret",
            "A record carries a license field.",
            "Leave license and license_key out: the key is added at the moment of sending.",
        )


def _document(data: bytes, guard: SecretGuard) -> tuple[dict[str, object], bytes]:
    check_size(len(data))
    found = value_of(data)
    if not isinstance(found, dict):
        raise RecordError(
            "record.form", "A record is not a JSON object.", "Send one object for each record."
        )
    check_license_fields(found)
    if guard.found_in(data):
        raise RecordError(
            "record.secret",
            "A record holds a secret that must not be stored.",
            "Take the license key out of it.",
        )
    check_names(data)
    return found, on_one_line(data.strip(SPACE))
