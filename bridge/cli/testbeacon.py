"""``bridge testbeacon``: the reference beacon, for trials and for reading."""

from pathlib import Path

import click

from bridge.cli.session import Session
from bridge.config.units import host_port
from keys.errors import ConfigError


@click.command("testbeacon")
@click.option("--listen", default="127.0.0.1:8490", show_default=True, help="Address and port.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default="testbeacon-data",
    show_default=True,
    help="Where it keeps what it gets.",
)
@click.pass_obj
def command(session: Session, listen: str, data: Path) -> None:
    """Run the reference beacon until it is stopped."""
    from bridge.operate.logs import configure
    from bridge.testbeacon.server import serve

    session.begin("testbeacon")
    try:
        host, port = host_port(listen)
    except ValueError:
        raise ConfigError(
            "config.value", "--listen must be an address and a port.", "Write e.g. 127.0.0.1:8490."
        ) from None
    configure("auto", session.verbosity, ())
    serve(
        host, port, data, on_ready=lambda url: session.say(f"The reference beacon listens on {url}")
    )
