"""``bridge run``: the daemon, or one drain."""

import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from bridge.cli.session import Session
from bridge.terminal import counted

if TYPE_CHECKING:
    from bridge.config import Config
    from bridge.config.licensekeys import LicenseKeys
    from bridge.daemon.reloading import Sources
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
        daemon = Daemon(config, signer, licenses, _sources(session))
        held.callback(daemon.close)
        if once:
            _drain(session, daemon)
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: daemon.stop())
        signal.signal(signal.SIGHUP, lambda *_: daemon.reload())
        daemon.serve()


def _sources(session: Session) -> "Sources":
    from bridge.config import load
    from bridge.config.licensekeys import load_license_keys
    from bridge.daemon.reloading import Sources
    from bridge.operate.logs import configure

    def license_keys(config: "Config") -> "LicenseKeys":
        found = load_license_keys(config, session.environment)
        secrets = session.keep_out(found.revealed())
        configure(session.config.log.format, session.verbosity, secrets)
        return found

    return Sources(lambda: load(session.config.source, session.environment), license_keys)


def _drain(session: Session, daemon: "Daemon") -> None:
    stuck = daemon.drain()
    if stuck is None:
        refused = sum(counts.exceptions for counts in daemon.ledger.counts())
        was = counted(refused, "record was", "records were")
        session.note(f"Nothing is left to send; {was} refused.")
        session.finish(PARTLY if refused else 0)
    else:
        from bridge.cli.stuck import error_of

        session.note("Not everything was sent; nothing was dropped.")
        raise error_of(stuck)
