"""``bridge demo``: the whole journey on this machine, under a minute."""

import shutil
import tempfile
from pathlib import Path
from random import Random

import click

from bridge.cli.session import Session
from bridge.terminal import counted
from keys.errors import ConfigError

INCOMPLETE = 1
"""Exit code where a single record is missing."""


def _new_folder(keep: Path | None) -> Path:
    """Where the journey happens. Raises :class:`ConfigError` ``demo.exists`` or ``demo.folder``."""
    try:
        if keep is None:
            return Path(tempfile.mkdtemp(prefix="bridge-demo-"))
        keep.mkdir(0o700, parents=True)
        return keep.absolute()
    except FileExistsError as error:
        raise ConfigError(
            "demo.exists", "The folder to keep is there already.", "Name a new one with --keep."
        ) from error
    except OSError as error:
        raise ConfigError(
            "demo.folder",
            f"The folder for the demo cannot be made: {error.strerror}.",
            "Name a new folder that can be made here, with --keep.",
        ) from error


@click.command("demo")
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    help="Leave everything in this new folder, to look at.",
)
@click.pass_obj
def command(session: Session, keep: Path | None) -> None:
    """Show the bridge at work: real requests, kills, an outage, and the books at the end."""
    from bridge.demo.crossing import Crossed, cross
    from bridge.demo.journey import Journey, Outcome

    session.begin("demo")
    folder = _new_folder(keep)

    def tell(act: str) -> None:
        session.note(f"… {act}")

    def show(outcome: Outcome, crossed: Crossed) -> None:
        session.say()
        session.say(f"{'stream':14}{'produced':>10}{'delivered':>11}{'distinct':>10}{'lost':>6}")
        for line in outcome.lines:
            numbers = (line.produced, line.delivered, line.distinct, line.lost)
            session.say("{:14}{:>10}{:>11}{:>10}{:>6}".format(line.stream, *numbers))
        session.say()
        session.say("distinct: at the beacon; a kill between storing and acknowledging adds to it.")
        lost = sum(line.lost for line in outcome.lines)
        session.say(
            f"{counted(lost, 'record', 'records')} lost in {outcome.kills} kills and one outage, "
            f"{outcome.seconds:.0f} s."
        )
        session.say(
            f"Across the gap: {crossed.appended} transactions; delivered say the node "
            f"({crossed.by_node}) and the relay ({crossed.by_relay}); the beacon holds "
            f"{crossed.at_beacon}. A license token came back: {'yes' if crossed.token else 'NO'}."
        )

    try:
        journey = Journey(folder, Random(), tell)  # noqa: S311 - no secret
        outcome = journey.run()
        crossed = cross(folder / "crossing", tell)
        show(outcome, crossed)
        session.finish(0 if outcome.complete and crossed.complete else INCOMPLETE)
        if keep is None:
            session.say("Look for yourself: bridge demo --keep demo-folder")
        else:
            session.say(
                f"Look for yourself: bridge verify {folder / 'node' / 'spool'} "
                f"--key {folder / 'node' / 'keys' / 'node.pub.pem'}"
            )
    finally:
        if keep is None:
            shutil.rmtree(folder)
