"""The writer of a command that puts records into the spool: as the configuration says, guarded.

And whether there is room for them, by the rules by which the intake takes them in.
"""

import os
from collections.abc import Callable

from bridge.cli.localspool import check_spool
from bridge.cli.session import Session
from keys.ed25519 import SigningKey
from keys.errors import ConfigError
from spool.durable import explained
from spool.errors import SpoolError
from spool.streams import stream_named
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


def room_check_for(session: Session, stream: str) -> Callable[[], None]:
    """What raises :class:`SpoolError` ``spool.full`` where ``stream`` has no room in the spool now.

    To be called before each group; the spool is there.
    """
    from bridge.daemon.roomwatch import room_watch_for

    # As often as the walks are short: in seconds it writes more than a small spool may hold.
    watch = room_watch_for(session.config, walk_every_s=0.0)
    kind = stream_named(stream).kind
    spool = session.config.spool.path

    def check() -> None:
        try:
            # What may not be written has no room either; the writer says so.
            has_room = watch.look().takes(kind) or os.statvfs(spool).f_flag & os.ST_RDONLY
        except OSError as error:
            raise explained(error, "look how much room there is") from error
        if not has_room:
            raise SpoolError(
                "spool.full",
                f"The spool has no room for {stream}.",
                "Have it delivered or exported, or give it a larger disk or spool.max_size.",
            )

    return check
