"""License verification at the intake: judged at the gate, answered by whoever knows the answer."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import orjson

from bridge.intake.refusals import RefusalError

REQUEST_MAX = 64 * 1024
"""Bytes of a request for verification: a license key has 4,096 characters at most. It is parsed in
full, before anybody knows whose it is; what a longer one becomes may take forty times its bytes."""


@dataclass(frozen=True, slots=True)
class Passed:
    """An answer of the beacon, as it came."""

    status: int
    body: bytes


Verify = Callable[[str], Awaitable[Passed | None]]
"""Asks about a license key; None where nobody who knows can be asked now."""


async def nobody(_license_key: str) -> Passed | None:
    """There is no way out."""
    return None


def key_in(body: bytes) -> object:
    """The license key in a request for verification, None without one.

    Raises :class:`RefusalError` 400 for what is no JSON object.
    """
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise RefusalError(
            400, "license.request", "This is no JSON object.", 'Send {"license": "..."}.'
        )
    return found.get("license")


def no_answer() -> RefusalError:
    """What LangSmith is told while the beacon is away."""
    return RefusalError(
        503,
        "license.no_answer",
        "The beacon cannot be asked about the license now.",
        "Ask again soon; look at `bridge status` if it lasts.",
    )
