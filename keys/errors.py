"""Errors that people can act on.

Every error of this project is a :class:`BridgeError`: a stable id for logs, metrics and ``--json``,
one sentence of cause, one sentence of what to do next. The subclasses say what follows for the
caller, and carry the exit code of the command line.
"""

from typing import ClassVar

SHOWN_MAX = 120
"""Characters of untrusted text that a message may hold; more would push the cause off the screen."""


class BridgeError(Exception):
    """The base of all our errors.

    ``id`` is stable and dotted (``segment.digest``), ``message`` one sentence of cause, ``hint`` one
    sentence of what to do next.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, id: str, message: str, hint: str) -> None:  # noqa: A002 - the public word
        super().__init__(message)
        self.id = id
        self.message = message
        self.hint = hint


class ConfigError(BridgeError):
    """The operator's files are wrong: configuration, key files, trust store."""

    exit_code = 78


class VerificationError(BridgeError):
    """Bytes are not what they claim to be, or nobody we trust vouches for them."""

    exit_code = 4


def shown(text: object) -> str:
    """Untrusted text as one printable ASCII word, quoted and capped, safe for any terminal."""
    plain = ascii(text if isinstance(text, str) else str(text))
    return plain if len(plain) <= SHOWN_MAX else plain[: SHOWN_MAX - 1] + "…"
