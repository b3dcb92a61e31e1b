"""The bridges that a request came through, as its ``Via`` names them (RFC 9110, section 7.6.3).

This bridge's own request is refused: the beacon's name leads back here. What other bridges sent may
leave with what leaves next; so the uploader names them, and a loop through several is known by the
first of them that gets its own back.
"""

import re
from collections.abc import Callable, Sequence

from bridge.intake.refusals import RefusalError

_BRIDGE = re.compile(r"airgap-bridge-[0-9a-f]{16}")


def nobody_asks(_bridges: Sequence[str]) -> None:
    """There is no way out."""


class Via:
    """Knows this bridge by its pseudonym ``own``; ``passed_by`` gets those of others."""

    def __init__(
        self, own: str = "", passed_by: Callable[[Sequence[str]], None] = nobody_asks
    ) -> None:
        self._own = own
        self._passed_by = passed_by

    def check(self, values: Sequence[str]) -> None:
        """Raises :class:`RefusalError` 508 if this bridge is among those in ``values``."""
        if values and self._own in _BRIDGE.findall(",".join(values)):
            raise RefusalError(
                508,
                "upstream.loop",
                "This request is this bridge's own: the beacon's name leads back to the bridge.",
                "Pin the beacon's own addresses as beacon.addresses.",
            )

    def taken(self, values: Sequence[str]) -> None:
        """A request with these ``values`` was taken, from somebody with the right license key."""
        if values and (found := _BRIDGE.findall(",".join(values))):
            self._passed_by(found)
