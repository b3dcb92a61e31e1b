"""Who stands on the other side: the trusted machine that a bundle is for, and how it is encrypted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge.cli.session import Session
from keys.agerecipient import check_recipient
from keys.errors import ConfigError, shown
from keys.truststore import TRUST_NAME, TrustStore

if TYPE_CHECKING:
    from bridge.transfer.agefile import Secret


@dataclass(frozen=True, slots=True)
class Peer:
    """A machine by its role and name, and the recipients that its bundles are encrypted to."""

    role: str
    name: str
    age: tuple[str, ...]


def trust_of(session: Session) -> TrustStore:
    """The trust store. Raises :class:`ConfigError` ``trust.file``."""
    path = session.config.keys.path / TRUST_NAME
    try:
        return TrustStore.load(path)
    except OSError as error:
        raise ConfigError(
            "trust.file",
            f"{path} cannot be read: {error.strerror}.",
            "Run this as the user that owns the keys.",
        ) from error


def peer_for(
    trust: TrustStore, wanted: str | None, recipients: Sequence[str], *, plain: bool
) -> Peer:
    """The machine that a bundle is for: the relay, or the one that is named.

    Raises :class:`ConfigError` ``export.for``, or :class:`VerificationError` ``recipient.form``.
    """
    relays = trust.names("relay")
    if wanted is None and len(relays) != 1:
        raise ConfigError(
            "export.for",
            "No relay is trusted yet."
            if not relays
            else f"Several relays are trusted: {', '.join(relays)}.",
            "Trust one with bridge keys trust … --role relay, or name it with --for NAME.",
        )
    name = relays[0] if wanted is None else wanted
    role = "relay" if name in relays else "node"
    keys = [key for key in trust.named(role, name) if key.revoked is None]
    if not keys:
        raise ConfigError(
            "export.for",
            f"Nobody of the name {shown(name)} is trusted.",
            "Look at bridge keys list; trust its key first.",
        )
    given = tuple(check_recipient(each) for each in recipients)
    known = tuple(key.age for key in keys[-1:] if key.age is not None)
    return Peer(role, name, () if plain else given or known)


def identity_of(session: Session, file: "str | None") -> "Secret | None":
    """What opens bundles for this machine; None where it has none."""
    from pathlib import Path

    from bridge.transfer.agefile import IDENTITY_NAME, read_identity

    path = session.config.keys.path / IDENTITY_NAME if file is None else Path(file)
    try:
        return read_identity(path)
    except FileNotFoundError as error:
        if file is None:
            return None
        raise ConfigError(
            "age.identity", f"There is no file {shown(file)}.", "Name another with --identity."
        ) from error
    except OSError as error:
        raise ConfigError(
            "age.identity",
            f"{shown(str(path))} cannot be read: {error.strerror}.",
            "Look at its owner and mode.",
        ) from error
