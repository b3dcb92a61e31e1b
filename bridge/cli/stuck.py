"""Why something is left to send, as the error that ends a command."""

from bridge.egress.circuits import Stuck
from bridge.errors import RefusedError, UnreachableError
from keys.errors import BridgeError


def error_of(stuck: Stuck) -> BridgeError:
    """What the spool said, or what the beacon did; nothing was dropped by either."""
    if stuck.error is not None:
        return stuck.error
    if stuck.needs_person:
        return RefusedError(
            "upstream.refused",
            f"Not everything was sent: {stuck.reason}.",
            "Look at `bridge status`; nothing was dropped.",
        )
    return UnreachableError(
        "upstream.unreachable",
        f"Not everything was sent: {stuck.reason}.",
        "Try again later; nothing was dropped.",
    )
