"""Whether a command may write to the spool: it is this user's, and its disk keeps its word."""

from bridge.cli.session import Session


def check_spool(session: Session) -> None:
    """Nothing, where the spool is this user's and lies on a local disk, or somebody answers for that.

    Raises :class:`ConfigError` ``spool.network_fs``, :class:`SpoolError` ``spool.owner`` or ``disk.*``.
    """
    from spool.durable import explained
    from spool.filesystem import check_local
    from spool.owner import check_owner

    spool = session.config.spool
    try:
        if not spool.allow_network_fs:
            check_local(spool.path)
        check_owner(spool.path)
    except OSError as error:
        raise explained(error, "find out whose the spool is, and where it lies") from error
