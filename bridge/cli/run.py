"""``bridge run``: the daemon, or one drain."""

import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from bridge.cli.session import Session
from bridge.errors import RefusedError, UnreachableError

if TYPE_CHECKING:
    from bridge.daemon.run import Daemon

PARTLY = 3
"""Exit code where everything was sent, and the beacon refused some records."""


@click.command("run")
@click.option("--once", is_flag=True, help="Seal and send what is pending, then stop.")
@click.pass_obj
def command(session: Session, *, once: bool) -> None:
    """Take records, seal them, send them, until stopped."""
    from bridge.daemon.run import Daemon
    from bridge.operate.logs import configure

    session.begin("run")
    config, licenses, signer = session.config, session.license_keys, session.signing_key
    configure(config.log.format, session.verbosity, licenses.revealed())
    with ExitStack() as held:
        daemon = Daemon(config, signer, licenses)
        held.callback(daemon.close)
        if once:
            _drain(session, daemon)
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: daemon.stop())
        daemon.serve()


def _drain(session: Session, daemon: "Daemon") -> None:
    stuck = daemon.drain()
    if stuck is None:
        refused = sum(counts.exceptions for counts in daemon.ledger.counts())
        session.note(f"Nothing is left to send; {refused} records were refused.")
        session.finish(PARTLY if refused else 0)
    elif stuck.error is not None:
        session.note("Not everything was sent; nothing was dropped.")
        raise stuck.error
    elif stuck.needs_person:
        raise RefusedError(
            "upstream.refused",
            f"Not everything was sent: {stuck.reason}.",
            "Look at `bridge status`; nothing was dropped.",
        )
    else:
        raise UnreachableError(
            "upstream.unreachable",
            f"Not everything was sent: {stuck.reason}.",
            "Try again later; nothing was dropped.",
        )
