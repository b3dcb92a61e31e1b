"""What the operator has switched off: telemetry types, in the vendor's own words; never billing.

``PHONE_HOME_USAGE_REPORTING_ENABLED`` and ``snapshots.enabled`` are one switch, of the daily
snapshots alone. A stream without a row here is billing, and has no switch.
"""

from collections.abc import Mapping
from operator import attrgetter
from types import MappingProxyType

from bridge.config import Config
from spool.errors import RecordError

SWITCHES: Mapping[str, str] = MappingProxyType(
    {
        "logs": "config.telemetry.logs",
        "metrics": "config.telemetry.metrics",
        "traces": "config.telemetry.traces",
        "snapshots": "snapshots.enabled",
    }
)
"""The configuration key that switches each stream."""


def switched_off(config: Config) -> frozenset[str]:
    """The streams that ``config`` switches off."""
    return frozenset(name for name, key in SWITCHES.items() if not attrgetter(key)(config))


def check_switched_on(config: Config, stream: str) -> None:
    """Raise :class:`RecordError` ``stream.off`` if ``stream`` is switched off.

    For callers that would read a success as "it is durable"; producers at the intake are told
    what the beacon would tell them.
    """
    if stream in switched_off(config):
        raise RecordError(
            "stream.off",
            f"The stream {stream} is switched off by {SWITCHES[stream]}; nothing was stored.",
            "Switch it on in bridge.yaml and in the environment, or do not append to it.",
        )
