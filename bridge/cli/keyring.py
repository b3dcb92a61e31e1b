"""Whose signatures count: the keys given by ``--key``, or else those of the configuration."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from bridge.cli.session import Session
from keys.ed25519 import PublicKey
from keys.errors import ConfigError, shown
from keys.keyfile import PUBLIC_NAME, read_public_key
from keys.ownkey import ROTATIONS_NAME, own_public_keys
from keys.truststore import TRUST_NAME, TrustStore
from spool.inspection import Keys

key_option = click.option(
    "--key",
    "key_files",
    multiple=True,
    metavar="PUB.pem",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Trust this public key, for any node, and no other; needs no configuration.",
)


def keys_for(session: Session, key_files: Sequence[Path]) -> Keys:
    """The keys of ``key_files``; without any, the node's own and those it trusts.

    Raises :class:`ConfigError`.
    """
    if key_files:
        given = {key.id: key for key in map(read_key_file, key_files)}
        return lambda _node: given
    config = session.config
    own = own_keys_of(session)
    try:
        trusted = TrustStore.load(config.keys.path / TRUST_NAME)
    except OSError as error:
        raise _unreadable(config.keys.path / TRUST_NAME) from error

    def of(node: str) -> Mapping[str, PublicKey]:
        keys = trusted.keys_for("node", node)
        return {**keys, **own} if node == config.node else keys

    return of


def own_keys_of(session: Session) -> Mapping[str, PublicKey]:
    """This machine's keys by id, also those that it was rotated from. Raises :class:`ConfigError`."""
    path = session.config.keys.path / PUBLIC_NAME
    read_key_file(path)
    try:
        return own_public_keys(path.parent)
    except OSError as error:
        raise _unreadable(path.parent / ROTATIONS_NAME) from error


def read_key_file(path: Path) -> PublicKey:
    """The public key in a file. Raises :class:`ConfigError`."""
    try:
        return read_public_key(path)
    except FileNotFoundError as error:
        raise ConfigError(
            "key.missing",
            f"There is no key file {shown(str(path))}.",
            "Name one with --key PUB.pem, or correct keys.path.",
        ) from error
    except OSError as error:
        raise _unreadable(path) from error


def _unreadable(path: Path) -> ConfigError:
    return ConfigError(
        "key.unreadable",
        f"{shown(str(path))} cannot be read, or is a link.",
        "Name the file itself, readable for this user.",
    )
