"""What ``bridge keys revoke`` is given: which key, and from which numbers on."""

from collections.abc import Mapping

import click

from keys.errors import shown
from keys.trustedkey import TrustedKey
from keys.truststore import TrustStore
from spool.streams import STREAMS

_ID_MIN = 8
"""Digits of an id: what is typed by mistake, or a variable that is empty, names no key."""
_LANE_PARTS = 3


def key_of(store: TrustStore, beginning: str) -> TrustedKey | None:
    """The one key whose id begins so. Raises :class:`click.BadParameter` where it may be another."""
    if len(beginning) < _ID_MIN:
        message = f"{_ID_MIN} digits or more, as `keys list` prints them"
        raise click.BadParameter(message, param_hint="ID")
    found = [key for key in store.keys if key.public.id.startswith(beginning.lower())]
    if len(found) > 1:
        raise click.BadParameter(f"{len(found)} keys begin so; give more digits", param_hint="ID")
    return found[0] if found else None


def check_lanes(key: TrustedKey, lanes: Mapping[str, int]) -> None:
    """Raises :class:`click.BadParameter` for lanes in which the key never speaks."""
    if lanes and key.role == "relay":
        raise click.BadParameter("a relay's key has no numbers", param_hint="--from")
    for lane in lanes:
        node, _, stream = lane.partition("/")
        if node != key.name or stream not in STREAMS:
            message = f"the key is that of {key.name}, which has no lane {shown(lane)}"
            raise click.BadParameter(message, param_hint="--from")


def first_of(text: str) -> tuple[str, int]:
    """The lane and the number in ``NODE/STREAM/SEQ``. Raises :class:`click.BadParameter`."""
    parts = text.split("/")
    if len(parts) != _LANE_PARTS or not parts[2].isdecimal():
        message = "NODE/STREAM/SEQ, e.g. prod-1/transactions/42"
        raise click.BadParameter(message, param_hint="--from")
    return f"{parts[0]}/{parts[1]}", int(parts[2])
