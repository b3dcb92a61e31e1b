"""The license token of this node as it stands now, read from the spool by any process."""

from dataclasses import dataclass

from bridge.config import Config
from bridge.config.licensekeys import ONLINE_KEY, LicenseKeys
from bridge.license.judgement import Judgement, Licensed
from bridge.license.keeping import LicenseReader
from bridge.license.pinned import rules_of
from bridge.license.readings import SYSTEM_GUARD_CLOCK
from bridge.license.refreshing import Refresh, read_refreshes
from bridge.license.states import TABLE
from bridge.operate.licensed import TokenSaid
from keys.errors import ConfigError
from keys.keyfile import PUBLIC_NAME, read_public_key


@dataclass(frozen=True, slots=True)
class LicenseState:
    """A judgement, and the daemon's last request for a token, None if there was none.

    ``online_key`` tells whether the license key is an online one, None without a key. ``offline``
    says that this bridge asks nobody.
    """

    judgement: Judgement
    refresh: Refresh | None
    online_key: bool | None
    offline: bool

    def said(self) -> TokenSaid:
        """The same for the status."""
        found = self.judgement
        source: str | None = "import" if found.source == "return" else found.source
        if source == "beacon" and (self.offline or (self.refresh and self.refresh.problem)):
            source = "cache"
        return TokenSaid(
            state=str(found.state),
            meaning=found.reason or TABLE[found.state].meaning,
            hint=TABLE[found.state].hint,
            ends_at=found.expires_at,
            source=source,
            served=found.served,
        )


def license_state(config: Config, licenses: LicenseKeys) -> LicenseState:
    """How things stand with this node's token.

    Raises :class:`ConfigError` where the vendor's keys or this node's cannot be read, or
    :class:`OSError`.
    """
    key = licenses.to_send(config.node)
    online_key = None if key is None else key.startswith(ONLINE_KEY)
    refresh = read_refreshes(config.spool.path).get(config.node)
    offline = config.egress.mode == "offline"
    nobody_helps = offline or online_key is False or bool(refresh is not None and refresh.problem)
    reader = LicenseReader(
        config.spool.path,
        config.node,
        read_public_key(config.keys.path / PUBLIC_NAME),
        rules_of(config.license),
        SYSTEM_GUARD_CLOCK,
    )
    licensed = Licensed.by(licenses.accepted(config.node))
    judgement = reader.judgement(config.node, licensed, refresh_failed=nobody_helps)
    return LicenseState(judgement, refresh, online_key, offline)


def license_said(config: Config, licenses: LicenseKeys) -> TokenSaid:
    """The same for the status, which has more to say than that a key cannot be read."""
    try:
        return license_state(config, licenses).said()
    except (ConfigError, OSError) as error:
        why = error.message if isinstance(error, ConfigError) else "it cannot be read"
        return TokenSaid(meaning=why.removesuffix("."))
