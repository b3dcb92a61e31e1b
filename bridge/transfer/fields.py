"""Forms and limits that manifests and receipts share."""

from collections.abc import Callable

from keys.errors import VerificationError
from keys.strictjson import Fields
from spool.clock import parse_rfc3339
from spool.errors import RecordError

NODE = r"[a-z0-9][a-z0-9-]{0,62}"
STREAM = r"[a-z][a-z0-9-]{0,31}"
ID = r"[0-9a-f]{32}"
SEGMENTS_MAX = 4096
"""Segments in a bundle."""
COUNT_MAX = 2**53 - 1
RANGES_TEXT_MAX = 16384
"""Characters of the numbers of a lane."""
_TIME = r"[0-9T:.Z-]{24}"


def nonsense(why: str) -> VerificationError:
    """The error for a manifest that says what cannot be."""
    return VerificationError(
        "manifest.sense",
        f"A manifest contradicts itself: {why}.",
        "Take the bundle from its source again.",
    )


def moment_in(
    fields: Fields, name: str, wrong: Callable[[str], VerificationError] = nonsense
) -> int:
    """The time in the member ``name``, ms since 1970 UTC.

    Raises :class:`VerificationError` ``document.*``, or ``wrong`` for what is no time.
    """
    try:
        return parse_rfc3339(fields.text(name, _TIME))
    except RecordError as error:
        raise wrong(f"its {name} is no time") from error
