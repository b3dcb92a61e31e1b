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
from keys.ownkey import own_public_keys


@dataclass(frozen=True, slots=True)
class LicenseState:
    """A judgement of ``node``'s token, and the daemon's last request for one, None if there was none.

    ``online_key`` tells whether the license key is an online one, None without a key. ``offline``
    says that this bridge asks nobody.
    """

    node: str
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
            self.node,
            state=str(found.state),
            meaning=found.reason or TABLE[found.state].meaning,
            hint=TABLE[found.state].hint,
            ends_at=found.expires_at,
            source=source,
            served=found.served,
        )


def license_states(config: Config, licenses: LicenseKeys) -> tuple[LicenseState, ...]:
    """How things stand with this node's token, and then with those of others whose key it holds.

    Raises :class:`ConfigError` where the vendor's keys or this node's cannot be read, or
    :class:`OSError`.
    """
    reader = LicenseReader(
        config.spool.path,
        config.node,
        own_public_keys(config.keys.path),
        rules_of(config.license),
        SYSTEM_GUARD_CLOCK,
    )
    refreshes = read_refreshes(config.spool.path)
    offline = config.egress.mode == "offline"

    others = (node for node in licenses.nodes() if node != config.node)
    keys = {node: licenses.to_send(node) for node in (config.node, *others)}
    online = {n: None if key is None else key.startswith(ONLINE_KEY) for n, key in keys.items()}
    judgements = reader.judgements(
        (
            node,
            Licensed.by(licenses.accepted(node)),
            offline or online[node] is False or bool(node in refreshes and refreshes[node].problem),
        )
        for node in keys
    )
    return tuple(
        LicenseState(node, judgement, refreshes.get(node), online[node], offline)
        for node, judgement in zip(keys, judgements, strict=True)
    )


def license_said(config: Config, licenses: LicenseKeys) -> tuple[TokenSaid, ...]:
    """The same for the status, which has more to say than that a key cannot be read."""
    try:
        return tuple(state.said() for state in license_states(config, licenses))
    except (ConfigError, OSError) as error:
        why = error.message if isinstance(error, ConfigError) else "it cannot be read"
        return (TokenSaid(config.node, meaning=why.removesuffix(".")),)
