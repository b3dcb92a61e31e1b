"""``bridge init``: makes a node, and says what to do next."""

import os
import re
import shlex
import socket
from pathlib import Path

import click

from bridge.cli.session import Session, json_option
from bridge.config import Config
from bridge.config.keys import KEYS
from bridge.config.load import FILE_NAME, load
from keys.ed25519 import SigningKey
from keys.errors import BridgeError, ConfigError
from keys.keyfile import create_pair
from spool.lane import check_node

DEFAULT_FOLDER = "bridge-node"
_SOURCE_TREE = (".git", "pyproject.toml", "package.json")
FOLDER_MODE = 0o700
FILE_MODE = 0o644
"""Whatever the umask: a configuration that others may write is not obeyed."""

TEMPLATE = """\
# The configuration of this node; every key and its default: docs/configuration.md
node: "{node}"
license_key_file: license_key          # the LangSmith license key, alone in a file of mode 0600
beacon: {{url: "{url}"}}
intake: {{listen: 127.0.0.1:8480}}       # point BEACON_ENDPOINT and OTel exporters here
keys: {{path: keys}}
spool: {{path: spool}}
"""


def _default_name() -> str:
    name = re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().lower()).strip("-")[:63]
    return check_node(name or "node")


@click.command("init")
@click.argument("folder", type=click.Path(path_type=Path), default=DEFAULT_FOLDER)
@click.option("--node", "name", metavar="NAME", help="The node's name; else the host's.")
@click.option("--beacon", "url", metavar="URL", help="Where the beacon is.")
@json_option
@click.pass_obj
def command(
    session: Session, folder: Path, name: str | None, url: str | None, *, as_json: bool
) -> None:
    """Make a node in FOLDER: bridge.yaml, keys, spool. What exists is kept."""
    session.begin("init", as_json=as_json)
    if any((folder / mark).exists() for mark in _SOURCE_TREE):
        raise ConfigError(
            "init.source_tree",
            "This folder holds source code; keys and data do not belong there.",
            f"Name another folder, e.g. `bridge init {DEFAULT_FOLDER}`.",
        )
    node = check_node(name) if name is not None else _default_name()
    beacon = url if url is not None else str(KEYS["beacon.url"].default)
    try:
        KEYS["beacon.url"].parse(beacon)
    except ValueError:
        raise ConfigError(
            "config.value",
            f"--beacon must be {KEYS['beacon.url'].allowed}.",
            f"Write e.g. --beacon {KEYS['beacon.url'].example}.",
        ) from None
    config, key, made = _made(folder, TEMPLATE.format(node=node, url=beacon))
    answer = {"folder": str(folder), "node": config.node, "key": key.public.id, "made": made}

    def text() -> None:
        session.say(f"Node {config.node} is ready in {folder}.")
        session.say(f"Its key: {key.public.id}")
        if config.license_key_file is not None and not config.license_key_file.exists():
            session.say(
                f"Next: put the license key into {config.license_key_file} (mode 0600), then:"
            )
        else:
            session.say("Next:")
        session.say(f"  bridge --config {shlex.quote(str(folder / FILE_NAME))} run")

    session.result(answer, text)


def _made(folder: Path, text: str) -> tuple[Config, SigningKey, list[str]]:
    """The node, with what of it was missing, and the names of that."""
    made = []
    try:
        if not folder.is_dir():
            folder.mkdir(FOLDER_MODE, parents=True)
            made.append(str(folder.absolute()))
        file = folder / FILE_NAME
        if not file.exists():
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(file, flags, FILE_MODE), "w", encoding="utf-8") as stream:  # noqa: PTH123 - a descriptor, not a path
                stream.write(text)
            made.append(str(file.absolute()))
        # A file that was there already may name other folders.
        config = load(file, {})
        for path in (config.keys.path, config.spool.path):
            if not path.is_dir():
                path.mkdir(FOLDER_MODE)
                made.append(str(path))
        return config, create_pair(config.keys.path), made
    except OSError as error:
        raise BridgeError(
            "init.failed",
            f"The node cannot be made: {error.strerror}.",
            "Look at the folder's owner and mode, and at the room on its disk.",
        ) from error
