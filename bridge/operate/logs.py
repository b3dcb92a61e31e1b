"""Logs: one line an event, text on a terminal, else JSON; never a body, never a secret.

Events have stable names. What is to be hidden is masked in every line as a last net: nothing should
ever hand a secret to a log.
"""

import logging
import sys
from collections.abc import Mapping, Sequence

import orjson

from bridge.terminal import safe, safe_json
from spool.clock import rfc3339

LEVELS = {-1: logging.ERROR, 0: logging.INFO, 1: logging.DEBUG}
"""By verbosity: ``-q``, nothing, ``-v``."""
MASK = "[secret]"
_LOGGER = logging.getLogger("bridge")


class _Lines(logging.Formatter):
    """One line a record, as JSON or for people."""

    def __init__(self, secrets: Sequence[str], *, as_json: bool) -> None:
        super().__init__()
        self._secrets = secrets
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        fields: Mapping[str, object] = getattr(record, "fields", {})
        said = {
            "at": rfc3339(int(record.created * 1000)),
            "level": record.levelname.lower(),
            "event": getattr(record, "event", record.name),
            "message": record.getMessage(),
        }
        if record.exc_info:
            said["trace"] = self.formatException(record.exc_info)
        if self._as_json:
            line = orjson.dumps({**said, **fields}, default=str).decode()
        else:
            more = " ".join(f"{name}={value}" for name, value in fields.items())
            line = (
                f"{said['at']} {said['level']:7} {said['event']}: {said['message']} {more}".rstrip()
            )
            line += f"\n{said['trace']}" if "trace" in said else ""
        for secret in self._secrets:
            line = line.replace(secret, MASK)
        return safe_json(line) if self._as_json else "\n".join(map(safe, line.split("\n")))


def configure(form: str, verbosity: int, secrets: Sequence[str]) -> None:
    """Send the logs of this process to stderr; ``form`` is auto, text or json."""
    as_json = form == "json" or (form == "auto" and not sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines(secrets, as_json=as_json))
    root = logging.getLogger()
    root.handlers = [handler]
    # Libraries speak only when something is wrong.
    root.setLevel(logging.WARNING)
    _LOGGER.setLevel(LEVELS[verbosity])


def log(
    event: str, message: str, fields: Mapping[str, object], *, level: int = logging.INFO
) -> None:
    """Write one event."""
    _LOGGER.log(level, "%s", message, extra={"event": event, "fields": dict(fields)})
