"""``bridge license``: what the bridge knows of the license.

``accept`` is for the day on which a site without a configured key gets a new one: the first key seen
was pinned, and the new one is refused until the pin is forgotten.
"""

import click

from bridge.cli.session import Session, json_option
from spool.clock import rfc3339


@click.group("license")
def command() -> None:
    """Look after the license key that the intake takes."""


@command.command("accept")
@click.option("--dry-run", is_flag=True, help="Say when the key was pinned, and leave it so.")
@json_option
@click.pass_obj
def accept(session: Session, *, dry_run: bool, as_json: bool) -> None:
    """Forget the pinned license key: the next one that a producer sends is pinned instead.

    Where no key is configured, the intake takes the first one that it sees and refuses others
    (license.changed). A running daemon notices at once.
    """
    from bridge.intake.gate import forget_pin, pinned_at
    from spool.durable import OS_DISK, explained

    session.begin("license", as_json=as_json)
    config = session.config
    configured = session.license_keys.known(config.node)
    try:
        at = pinned_at(config.spool.path)
        if at is not None and not dry_run:
            forget_pin(OS_DISK, config.spool.path)
    except OSError as error:
        raise explained(error, "forget the pinned license key") from error
    answer = {
        "pinned_at": None if at is None else rfc3339(at),
        "forgotten": at is not None and not dry_run,
        "configured": configured,
    }
    session.result(answer, lambda: _show(session, at, dry_run=dry_run))
    if configured:
        session.note("A license key is configured for this node: it counts, whatever is pinned.")


def _show(session: Session, at: int | None, *, dry_run: bool) -> None:
    if at is None:
        session.say("No license key is pinned; the first one that a producer sends will be.")
    elif dry_run:
        session.say(f"A license key is pinned since {rfc3339(at)}.")
    else:
        session.say(f"The license key pinned at {rfc3339(at)} is forgotten.")
        session.say("The next one that a producer sends is pinned.")
