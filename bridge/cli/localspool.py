"""Whether a command may write to the spool: on a network file system it promises nothing."""

from bridge.cli.session import Session


def check_spool(session: Session) -> None:
    """Nothing, unless the spool lies on a file system of a network and nobody answers for that.

    Raises :class:`ConfigError` ``spool.network_fs``.
    """
    from spool.durable import explained
    from spool.filesystem import check_local

    spool = session.config.spool
    if spool.allow_network_fs:
        return
    try:
        check_local(spool.path)
    except OSError as error:
        raise explained(error, "find out where the spool lies") from error
