"""The writer of a command that puts records into the spool: as the configuration says, guarded."""

from bridge.cli.localspool import check_spool
from bridge.cli.session import Session
from keys.ed25519 import SigningKey
from keys.errors import ConfigError
from spool.writer import Writer


def writer_for(session: Session, stream: str) -> Writer:
    """A writer of the node's ``stream``, that knows which secrets no record may hold.

    Raises as :class:`Writer` does, and :class:`ConfigError`.
    """
    check_spool(session)
    spool, seal = session.config.spool, session.config.spool.seal
    return Writer(
        spool.path,
        stream,
        node=session.config.node,
        signer=_signer(session),
        seal_size=seal.size,
        seal_age_ms=seal.age,
        guard=session.license_keys.guard(),
    )


def _signer(session: Session) -> SigningKey | None:
    """The node's key, if this user may read it; else the daemon seals what is written."""
    try:
        return session.signing_key
    except PermissionError:
        return None
    except ConfigError as error:
        if error.id == "key.missing":
            return None
        raise
