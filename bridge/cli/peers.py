"""Whom this machine trusts, and what opens what is sent to it: as its configuration says."""

from typing import TYPE_CHECKING

from bridge.cli.session import Session
from keys.errors import ConfigError, shown
from keys.truststore import TRUST_NAME, TrustStore

if TYPE_CHECKING:
    from bridge.transfer.agefile import Secret


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
