r"""Values that must never be stored, and the forms in which they are looked for.

A value is found where it stands raw, JSON-escaped (``\u0041``, ``\/``), or inside base64 of any
alignment and either alphabet. It is not found where it was split over several strings, compressed,
encrypted or encoded twice: a guard is the last net, not the first.
"""

import base64
import re
from collections.abc import Iterable, Iterator, Sequence

from spool.escapes import without_escapes

SECRET_MIN = 8
"""Bytes that a value has at least; a shorter one would stand in innocent records by chance."""

_NEEDS_SHORT_ESCAPE = re.compile(rb'["\\\x00-\x1f]')
_RAREST = b"QXZJKVWYBGHFPUqzjkwLMNDORCAIES"
"""Letters that telemetry has few of, the rarest first: looking for one costs a tenth."""
_BACKSLASH = 0x5C
_UNTOUCHED_FROM = (0, 2, 3)
"""Base64 digits that bytes before the value have a part in, for each alignment."""


class SecretGuard:
    """Knows values that must never be stored. Safe for any number of threads."""

    __slots__ = ("_longest", "_needles", "_short_escapes")

    def __init__(self, values: Iterable[str] = ()) -> None:
        """Guard ``values``; those under :data:`SECRET_MIN` bytes are not looked for."""
        known = [raw for value in values if len(raw := value.encode()) >= SECRET_MIN]
        forms = dict.fromkeys(form for raw in known for form in _forms(raw))
        self._needles = tuple((_rarest(form), form) for form in forms)
        self._longest = max(map(len, forms), default=0)
        self._short_escapes = any(_NEEDS_SHORT_ESCAPE.search(raw) for raw in known)

    def found_in(self, data: bytes) -> bool:
        """Whether one of the values stands in ``data``, which is JSON or a part of it."""
        if not self._needles:
            return False
        if self._plainly_in(data):
            return True
        if _BACKSLASH not in data:
            return False
        if not (self._short_escapes or b"\\u" in data or b"\\/" in data):
            return False
        before = b""
        for piece in without_escapes(data):
            if self._plainly_in(found := before + piece):
                return True
            before = found[-self._longest :]
        return False

    def first_in(self, some: Sequence[bytes], begin: int, end: int) -> int:
        """Which of ``some``, from ``begin`` on and before ``end``, is the first to hold a value.

        ``end`` if none does.
        """
        return next((at for at in range(begin, end) if self.found_in(some[at])), end)

    def _plainly_in(self, data: bytes) -> bool:
        for rare, needle in self._needles:  # noqa: SIM110 - any() takes twice as long
            if rare in data and needle in data:
                return True
        return False


NO_SECRETS = SecretGuard()
"""Finds nothing."""


def _forms(raw: bytes) -> Iterator[bytes]:
    yield raw
    for shift, begin in enumerate(_UNTOUCHED_FROM):
        # What follows the value has a part in the digit after the last whole one.
        end = (shift + len(raw)) * 8 // 6
        padded = bytes(shift) + raw
        yield base64.b64encode(padded)[begin:end]
        yield base64.urlsafe_b64encode(padded)[begin:end]


def _rarest(form: bytes) -> int:
    return min(form, key=lambda byte: _RAREST.find(byte) % 256)
