"""The layout of transactions, learned from those that came before: their names, in their order.

A transaction whose layout is known is decoded into just these names, and written again. If the same
bytes come out, then it was strict JSON on one line, and no object in it, at any depth, repeated a name.
That takes half as long as to parse it without knowing what it holds, and proves as much. What does not
fit may be as good: it is judged the long way.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import msgspec
import orjson
from msgspec import UNSET, UnsetType

from spool.learned import Learned

LAYOUTS_MAX = 2
"""Layouts that are known at a time: one that does not fit costs as much as one that does."""
LEARN_FIRST, LEARN_LAST = 64, 4096
"""Records that fit none until some are learned from again: each takes as long as to judge hundreds."""
PAYS = 4
"""Records that fit for each one that does not: to try in vain costs nearly what else is gained."""
NAMES_MAX = 64
"""Names in a layout; a transaction has about a dozen."""
NESTED_MAX = 3
"""Levels of objects in a layout. It bounds how deep a record is that fits, too."""
WRITTEN = 1024
"""Bytes that there is room for at first where a record is written again."""
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_WHOLE = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""Without its bounds any number of digits would be taken, also more than a double has room for."""
_SCALAR = str | _WHOLE | float | bool | None
_ID = Annotated[str, msgspec.Meta(min_length=1)]

SHAPELESS = (msgspec.MsgspecError, ValueError)
"""What is raised where something does not fit; the second one where a text is no UTF-8."""
_encoder = msgspec.json.Encoder()


class Layouts:
    """What transactions look like that were taken before. Safe for any number of threads."""

    __slots__ = ("_learned",)

    def __init__(self) -> None:
        self._learned: Learned[Callable[[bytes], Any]] = Learned(
            _learn, most=LAYOUTS_MAX, pays=PAYS, first=LEARN_FIRST, last=LEARN_LAST
        )

    def fitting_until(self, some: Sequence[bytes], begin: int) -> int:
        """Where the records from ``begin`` on end that fit: each a transaction that is its own line."""
        known, encode_into = self._learned.known, _encoder.encode_into
        if not known:
            return begin
        written = bytearray(WRITTEN)  # to use it again saves a fifth of it all
        at = begin
        for data in some[begin:]:
            for decode in known:
                try:
                    encode_into(decode(data), written)
                except SHAPELESS:
                    continue
                if written == data:
                    break
            else:
                break
            at += 1
        self._learned.fitted(at - begin)
        return at

    def id_of(self, data: bytes) -> str | None:
        """The id of a record that fits; else None."""
        for decode in self._learned.known:
            try:
                found = decode(data)
                written = _encoder.encode(found)
            except SHAPELESS:
                continue
            if written == data:
                self._learned.fitted(1)
                key: str = found.id
                return key
        return None

    def missed(self, data: bytes) -> None:
        """Learn from a transaction that was taken and is its own line, if it is time to."""
        self._learned.missed(data)


def _learn(data: bytes) -> Callable[[bytes], Any] | None:
    found: dict[str, Any] = orjson.loads(data)
    kind = _object_like(found, NAMES_MAX, NESTED_MAX)
    return None if kind is None else msgspec.json.Decoder(kind).decode


def _object_like(found: Mapping[str, Any], room: int, levels: int) -> type[msgspec.Struct] | None:
    """An object of the same names in the same order; None where that is too much to know."""
    if len(found) > room or not levels or not all(map(_NAME.fullmatch, found)):
        return None
    fields: list[tuple[str, Any, Any]] = []
    for number, (name, value) in enumerate(found.items()):
        kind: Any = _SCALAR
        if isinstance(value, dict):
            inner = _object_like(value, room // 2, levels - 1)
            if inner is None:
                return None
            kind |= inner
        elif isinstance(value, list):
            kind |= list[_SCALAR]
        if name == "id" and levels == NESTED_MAX:
            fields.append(("id", _ID, msgspec.NODEFAULT))
        else:
            # Where it is left out, nothing is written for it: one layout serves with and without.
            unset = msgspec.field(name=name, default=UNSET)
            fields.append((f"member{number}", kind | UnsetType, unset))
    return msgspec.defstruct("_Layout", fields, kw_only=True, gc=False, forbid_unknown_fields=True)
