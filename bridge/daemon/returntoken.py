"""The license token that goes back to a node with its receipt."""

from collections.abc import Mapping
from dataclasses import dataclass

from bridge.config import Config
from bridge.config.licensekeys import LicenseKeys
from bridge.license.judgement import Licensed
from bridge.license.keeping import LicenseReader
from bridge.license.pinned import rules_of
from bridge.license.readings import SYSTEM_GUARD_CLOCK
from keys.ed25519 import PublicKey


@dataclass(frozen=True, slots=True)
class ReturnToken:
    """A token, and when it ends, ms since 1970 UTC; None where nothing tells."""

    data: bytes
    ends_at: int | None


def token_for_return(
    config: Config, licenses: LicenseKeys, keys: Mapping[str, PublicKey], node: str
) -> ReturnToken | None:
    """What is kept for ``node`` and may be served; None where there is nothing such.

    ``keys`` are this machine's by id.

    Raises :class:`ConfigError` ``license.jwks_file``, or :class:`OSError`.
    """
    rules = rules_of(config.license)
    reader = LicenseReader(config.spool.path, config.node, keys, rules, SYSTEM_GUARD_CLOCK)
    found = reader.judgement(node, Licensed.by(licenses.accepted(node)))
    return None if found.token is None else ReturnToken(found.token.encode(), found.expires_at)
