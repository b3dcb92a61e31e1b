"""Logs: one line an event, text on a terminal, else JSON; never a body, never a secret.

Events have stable names. What is to be hidden is masked in every line as a last net: nothing should
ever hand a secret to a log.
"""

import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO

import orjson

from bridge.terminal import safe, safe_json
from spool.clock import rfc3339

LEVELS = {-1: logging.ERROR, 0: logging.INFO, 1: logging.DEBUG}
"""By verbosity: ``-q``, nothing, ``-v``."""
MASK = "[secret]"
JSON_INT_END = 2**53
"""Larger numbers are written as text: readers of JSON would round them."""
_LOGGER = logging.getLogger("bridge")


def masked(text: str, secrets: Iterable[str]) -> str:
    """``text`` without the ``secrets``, as they are and as :func:`repr` writes them."""
    forms = {form for secret in secrets if secret for form in (secret, repr(secret)[1:-1])}
    # The longest first: one key may be the beginning of another.
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, MASK)
    return text


class _Lines(logging.Formatter):
    """One line a record, as JSON or for people.

    It takes whatever it is given: a formatter that raises makes :mod:`logging` print the record
    unmasked.
    """

    def __init__(self, secrets: Sequence[str], *, as_json: bool) -> None:
        super().__init__()
        self._secrets = secrets
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        said = {
            "at": rfc3339(int(record.created * 1000)),
            "level": record.levelname.lower(),
            "event": self._plain(getattr(record, "event", record.name)),
            "message": self._plain(record.getMessage()),
        }
        given: Mapping[str, object] = getattr(record, "fields", {})
        fields = {
            self._plain(name): value
            if isinstance(value, bool | float | None)
            else self._number(value)
            for name, value in given.items()
            if name not in said
        }
        trace = self._plain(self.formatException(record.exc_info)) if record.exc_info else None
        if self._as_json:
            more = {} if trace is None else {"trace": trace}
            return safe_json(orjson.dumps(said | fields | more).decode())
        words = [f"{said['at']} {said['level']:7} {said['event']}: {said['message']}"]
        words += [f"{name}={value}" for name, value in fields.items()]
        # What stands in a message cannot begin a line of its own; a trace is indented for that.
        line = safe(" ".join(words))
        return "\n    ".join([line, *map(safe, (trace or "").splitlines())])

    def _number(self, value: object) -> object:
        return value if isinstance(value, int) and abs(value) < JSON_INT_END else self._plain(value)

    def _plain(self, value: object) -> str:
        """``value`` as UTF-8 text without a secret."""
        return masked(str(value), self._secrets).encode("utf-8", "backslashreplace").decode()


class _Stderr(logging.StreamHandler[TextIO]):
    """Where a line cannot be written (its disk is full), the work goes on without it."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        """Say nothing: the library would print a trace to the very place that fails."""


def configure(form: str, verbosity: int, secrets: Sequence[str]) -> None:
    """Send the logs of this process to stderr; ``form`` is auto, text or json."""
    as_json = form == "json" or (form == "auto" and not sys.stderr.isatty())
    handler = _Stderr(sys.stderr)
    handler.setFormatter(_Lines(secrets, as_json=as_json))
    root = logging.getLogger()
    root.handlers = [handler]
    # Libraries speak only when something is wrong; at debug, httpcore prints license headers.
    root.setLevel(max(logging.WARNING, LEVELS[verbosity]))
    _LOGGER.setLevel(LEVELS[verbosity])


def log(
    event: str, message: str, fields: Mapping[str, object], *, level: int = logging.INFO
) -> None:
    """Write one event."""
    _LOGGER.log(level, "%s", message, extra={"event": event, "fields": dict(fields)})
