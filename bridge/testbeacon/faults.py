"""How the beacon is made to misbehave: a list of faults, each for the next so many requests.

A fault names a path (``*``: every one of the beacon's) and how often it strikes (``times``, 1 if it
is not said, null for until the list is replaced), and at most one of

- ``status``, with ``headers`` and ``body``: this answer, nothing stored, the body not even judged;
- ``drop``: the connection is cut without an answer, ``before`` or ``after`` the data was stored;
- ``partial``: only the first so many records are stored, and the answer says so.

``delay_s`` holds back whatever follows, once what is to be stored is stored; alone it makes a beacon
that is right, and slow. Of several faults for one path the first in the list strikes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import orjson

from bridge.testbeacon.bodies import BROKEN
from bridge.testbeacon.refusal import BAD_REQUEST, Refusal
from bridge.testbeacon.routes import ROUTES

ANY_PATH = "*"
FAULTS_MAX = 1000
"""Faults in one list; tests have a handful."""
DELAY_MAX_S = 3600
"""Seconds that an answer may be held back; no client waits longer."""
COUNT_MAX = 2**31
"""For ``times`` and ``partial``: more is a mistake."""

_KEYS: Final = ("path", "times", "status", "headers", "body", "delay_s", "drop", "partial")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
_FRAMING = frozenset({"content-length", "transfer-encoding"})
"""Set by the server: a wrong one would be its crash, not the client's trial."""
_BODILESS = frozenset({204, 304})


@dataclass(slots=True)
class Fault:
    """One fault; ``left`` is how often it still strikes, None for always."""

    path: str
    left: int | None = 1
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay_s: float = 0.0
    drop: Literal["before", "after"] | None = None
    partial: int | None = None

    @property
    def stores(self) -> bool:
        """Whether the request is taken at all."""
        return self.status is None and self.drop != "before"


class Faults:
    """The list that is in force."""

    def __init__(self) -> None:
        self._list: list[Fault] = []

    def replace(self, faults: list[Fault]) -> None:
        """Forget the list, and take this one."""
        self._list = faults

    def take(self, path: str) -> Fault | None:
        """The fault that strikes a request to ``path``; it counts as one strike."""
        for fault in self._list:
            if fault.path in (ANY_PATH, path) and fault.left != 0:
                if fault.left is not None:
                    fault.left -= 1
                return fault
        return None


def parse_faults(data: bytes) -> list[Fault]:
    """The list in ``data``. Raises :class:`Refusal`, which says what is allowed."""
    try:
        found = orjson.loads(data)
    except BROKEN:
        raise _wrong("The faults are not JSON.") from None
    if not isinstance(found, list) or len(found) > FAULTS_MAX:
        raise _wrong(f"The faults are not an array of at most {FAULTS_MAX} objects.")
    return [_fault(entry) for entry in found]


def _fault(entry: object) -> Fault:
    if not isinstance(entry, dict) or not entry.keys() <= set(_KEYS):
        raise _wrong(f"A fault is an object with keys among {', '.join(_KEYS)}.")
    path = entry.get("path")
    if not isinstance(path, str) or (path != ANY_PATH and path not in ROUTES):
        raise _wrong(f"path is one of {', '.join((ANY_PATH, *ROUTES))}.")
    if len(entry.keys() & {"status", "drop", "partial"}) > 1:
        raise _wrong("A fault has one of status, drop and partial, not two.")
    if "status" not in entry and entry.keys() & {"headers", "body"}:
        raise _wrong("headers and body go with status.")
    fault = Fault(path)
    fault.left = None if entry.get("times", 1) is None else _integer(entry, "times", 1, 1)
    if "status" in entry:
        fault.status = _integer(entry, "status", 200, 200, 599)
        fault.headers = _headers(entry.get("headers", {}))
        fault.body = _body(entry.get("body", ""))
        if fault.body and fault.status in _BODILESS:
            raise _wrong(f"An answer {fault.status} has no body.")
    if "drop" in entry:
        if entry["drop"] not in ("before", "after"):
            raise _wrong("drop is before or after.")
        fault.drop = entry["drop"]
    if "partial" in entry:
        if path == ANY_PATH or not ROUTES[path].divisible:
            raise _wrong("partial is for ingest-traces and the three OTLP paths.")
        fault.partial = _integer(entry, "partial", 0, 0)
    delay = entry.get("delay_s", 0)
    if type(delay) not in (int, float) or not 0 <= delay <= DELAY_MAX_S:
        raise _wrong(f"delay_s is a number of seconds from 0 to {DELAY_MAX_S}.")
    fault.delay_s = float(delay)
    return fault


def _integer(
    entry: Mapping[str, object], name: str, default: int, low: int, high: int = COUNT_MAX
) -> int:
    found = entry.get(name, default)
    if type(found) is not int or not low <= found <= high:
        raise _wrong(f"{name} is an integer from {low} to {high}.")
    return found


def _headers(found: object) -> dict[str, str]:
    if not isinstance(found, dict):
        raise _wrong("headers is an object of strings.")
    for name, value in found.items():
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _FRAMING:
            raise _wrong(
                f"headers has a name that is none, or one of {', '.join(sorted(_FRAMING))}."
            )
        if not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
            raise _wrong("headers has a value that is not a string of printable ASCII.")
    return found


def _body(found: object) -> bytes:
    """A string is the body itself, anything else is written as JSON."""
    return found.encode() if isinstance(found, str) else orjson.dumps(found)


def _wrong(message: str) -> Refusal:
    return Refusal(BAD_REQUEST, "faults.form", message)
