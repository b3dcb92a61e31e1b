"""How things stand, as the configuration says: for the command, and for the daemon's own page."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from bridge.config import Config
from bridge.config.licensekeys import ONLINE_KEY, LicenseKeys
from bridge.config.units import is_loopback
from bridge.daemon.licensestate import license_said
from bridge.intake.room import RESERVED, Room
from bridge.operate.problem import Problem
from bridge.operate.problems import filling
from bridge.operate.status import Status, look
from bridge.transfer.gaps import gaps_of
from keys.errors import BridgeError
from keys.truststore import TRUST_NAME, TrustStore
from spool.clock import SYSTEM_CLOCK
from spool.ledger import Ledger
from spool.usage import Usage


def look_at(config: Config, licenses: LicenseKeys, ledger: Ledger, usage: Usage) -> Status:
    """What the spool of ``config`` says now; ``usage`` remembers how much it holds for the next look.

    Raises :class:`SpoolError` or :class:`OSError`.
    """
    trust = _trust(config)
    status = look(
        config.spool.path,
        ledger,
        node=config.node,
        mode=config.egress.mode,
        bytes_max=config.spool.max_size,
        usage=usage,
        at=SYSTEM_CLOCK.wall_ms(),
        licensed=licenses.sendable,
        open_at=_open_at(config),
        certificate=config.intake.tls.cert,
        courier=_couriers(config),
        min_free=config.spool.min_free,
        overdue=config.transfer.overdue if config.transfer.receipts == "expected" else None,
        silent_after=config.transfer.overdue,
        audit_kept=config.spool.retention.audit,
        expected=_expected(trust),
        gaps=lambda lane: list(gaps_of(ledger, lane, trust or TrustStore())),
        online_key=_online_key(config, licenses),
        relays=_is_relay(trust),
        tokens=license_said(config, licenses),
        rate=config.egress.rate,
    )
    return replace(status, problems=[*status.problems, *_filling(status, config.spool.min_free)])


def _filling(status: Status, min_free: int) -> Iterator[Problem]:
    """Where the intake refuses some of what comes, and takes the rest."""
    room = Room(status.bytes_used, status.bytes_max, status.bytes_free, min_free)
    refused = [kind for kind in RESERVED if not room.takes(kind)]
    if refused and room.left > 0:
        yield filling(refused)


def relays(config: Config) -> bool:
    """Whether this machine is there for other nodes: it trusts the key of one."""
    return _is_relay(_trust(config))


def _is_relay(trust: TrustStore | None) -> bool:
    return trust is not None and bool(trust.names("node"))


def _trust(config: Config) -> TrustStore | None:
    """Whom this machine trusts; None where nobody can tell."""
    try:
        return TrustStore.load(config.keys.path / TRUST_NAME)
    except (BridgeError, OSError):
        return None  # whoever needs the store to act says what is wrong with it


def _expected(trust: TrustStore | None) -> Callable[[str], bool]:
    """Whether a node has a key that is not revoked; where nobody can tell, all of them are expected."""
    if trust is None:
        return lambda _: True
    nodes = {key.name for key in trust.keys if key.role == "node" and key.revoked is None}
    return nodes.__contains__


def _online_key(config: Config, licenses: LicenseKeys) -> bool | None:
    """Whether this node's license key has the form of an online one; None without a key."""
    key = licenses.to_send(config.node)
    return None if key is None else key.startswith(ONLINE_KEY)


def _couriers(config: Config) -> list[str]:
    """The courier's folders that the daemon uses."""
    folders = {"inbox": config.transfer.inbox, "outbox": config.transfer.outbox}
    return [name for name, folder in folders.items() if folder is not None]


def _open_at(config: Config) -> str | None:
    """Where the intake is open to other machines, by the configuration; None where it is not."""
    host, port = config.intake.listen
    if config.intake.require_license is not False or is_loopback(host):
        return None
    return f"{host}:{port}"
