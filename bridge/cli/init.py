"""``bridge init``: makes a node, and says what to do next."""

import re
import shlex
import socket
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import click

from bridge.cli.session import Session, json_option
from bridge.config import Config
from bridge.config.keys import KEYS
from bridge.config.load import FILE_NAME, load
from bridge.transfer.agefile import make_identity
from keys.ed25519 import SigningKey
from keys.errors import BridgeError, ConfigError, shown
from keys.keyfile import create_file, create_pair
from spool.lane import check_node

DEFAULT_FOLDER = "bridge-node"
_SOURCE_TREE = (".git", "pyproject.toml", "package.json")
FOLDER_MODE = 0o700
FILE_MODE = 0o644
"""Whatever the umask: a configuration that others may write is not obeyed."""

TEMPLATE = """\
# The configuration of this node; every key and its default: docs/configuration.md
node: "{node}"
{license}
beacon: {{url: "{url}"}}
{intake}
keys: {{path: keys}}
spool: {{path: spool}}
"""
_LICENSE = (
    "license_key_file: license_key          "
    "# the LangSmith license key, alone in a file of mode 0600"
)
_LICENSES = """\
licenses: {}                           # of the nodes it sends for: {inside: [inside_license_key]}
# license_key_file: license_key        # of a relay alone that takes in records of its own"""

_INTAKE = "intake: {listen: 127.0.0.1:8480}       # point BEACON_ENDPOINT and OTel exporters here"
_TLS = "tls: {cert: tls/cert.pem, key: tls/key.pem}"
_INTAKE_TLS = f"intake: {{listen: 127.0.0.1:8480, {_TLS}}}"
TLS_FOLDER = "tls"


def _default_name() -> str:
    name = re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().lower()).strip("-")[:63]
    return check_node(name or "node")


@click.command("init")
@click.argument("folder", type=click.Path(path_type=Path), default=DEFAULT_FOLDER)
@click.option("--node", "name", metavar="NAME", help="The node's name; else the host's.")
@click.option("--beacon", "url", metavar="URL", help="Where the beacon is.")
@click.option("--tls", is_flag=True, help="Make a CA and a certificate for the beacon's name.")
@click.option(
    "--ca-key",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where the CA's key goes, to be taken off this machine; else it is forgotten.",
)
@click.option("--relay", is_flag=True, help="It will send for others: say how they are paired.")
@click.option("--renew", is_flag=True, help="With --tls: make a new certificate.")
@click.option("--new-ca", is_flag=True, help="With --renew: make a new CA, too.")
@json_option
@click.pass_obj
def command(
    session: Session,
    folder: Path,
    name: str | None,
    url: str | None,
    *,
    tls: bool,
    ca_key: Path | None,
    relay: bool,
    renew: bool,
    new_ca: bool,
    as_json: bool,
) -> None:
    """Make a node in FOLDER: bridge.yaml, keys, spool. What exists is kept."""
    session.begin("init", as_json=as_json)
    if (renew or ca_key is not None) > tls or new_ca > renew:
        raise click.UsageError("--ca-key and --renew go with --tls, --new-ca goes with --renew.")
    if _holds_source(folder):
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
    intake = _INTAKE_TLS if tls else _INTAKE
    # The configuration is read before the certificate that it names is there.
    held = _LICENSES if relay else _LICENSE
    text = TEMPLATE.format(node=node, url=beacon, intake=intake, license=held)
    config, key, made = _made(folder, text)
    said = _with_tls(folder, config, ca_key, made, renew=renew, new_ca=new_ca) if tls else []
    answer = {"folder": str(folder), "node": config.node, "key": key.public.id, "made": made}

    def show() -> None:
        session.say(f"Node {config.node} is ready in {folder}.")
        session.say(f"Its key: {key.public.id}")
        for line in said:
            session.say(line)
        if config.license_key_file is not None and not config.license_key_file.exists():
            session.say(
                f"Next: put the license key into {config.license_key_file} (mode 0600), then:"
            )
        else:
            session.say("Next:")
        order = f"  bridge --config {shlex.quote(str(folder / FILE_NAME))}"
        if relay:
            session.say(f"{order} keys show      # on the other side: keys trust … --role relay")
            session.say(f"{order} keys trust NODE.pub.pem --role node --name NODE …")
            session.say("  and in bridge.yaml, the node's license key: licenses: {NODE: [FILE]}")
        session.say(f"{order} run")

    session.result(answer, show)


def _holds_source(folder: Path) -> bool:
    try:
        return any((folder / mark).exists() for mark in _SOURCE_TREE)
    except OSError as error:
        raise _failed("The node", error) from error


def _made(folder: Path, text: str) -> tuple[Config, SigningKey, list[str]]:
    """The node, with what of it was missing, and the names of that."""
    made = []
    try:
        if folder.exists() and not folder.is_dir():
            raise ConfigError(
                "init.no_folder",
                f"{shown(str(folder))} is no folder.",
                "Name a new folder, or one that is there, e.g. `bridge init bridge-node`.",
            )
        if not folder.is_dir():
            folder.mkdir(FOLDER_MODE, parents=True)
            made.append(str(folder.absolute()))
        file = folder / FILE_NAME
        if not file.exists():
            create_file(file, text.encode(), FILE_MODE)
            made.append(str(file.absolute()))
        # A file that was there already may name other folders.
        config = load(file, {})
        for path in (config.keys.path, config.spool.path):
            if not path.is_dir():
                path.mkdir(FOLDER_MODE)
                made.append(str(path))
        key = create_pair(config.keys.path)
        make_identity(config.keys.path)
    except OSError as error:
        raise _failed("The node", error) from error
    return config, key, made


def _with_tls(
    folder: Path, config: Config, ca_key: Path | None, made: list[str], *, renew: bool, new_ca: bool
) -> list[str]:
    """Make or renew the certificate; what to say of it."""
    from bridge.intake import tlsfolder

    place = folder.absolute() / TLS_FOLDER
    pair = (place / tlsfolder.CERT, place / tlsfolder.KEY)
    configured = (config.intake.tls.cert, config.intake.tls.key)
    if configured not in (pair, (None, None)):
        raise ConfigError(
            "tls.other",
            "intake.tls names a certificate that was not made here.",
            "Renew it where it comes from, or take intake.tls out of bridge.yaml.",
        )
    host = urlsplit(config.beacon.url).hostname or ""
    now = datetime.now(UTC)
    try:
        if renew:
            in_use = tlsfolder.renew(place, host, ca_key, now, new_ca=new_ca)
            new = not new_ca or in_use
        else:
            new = tlsfolder.make(place, host, ca_key, now)
    except OSError as error:
        raise _failed("The certificate", error) from error
    authority = place / tlsfolder.CA
    said = [f"Producers have to trust {authority}; its certificate is for {host}."]
    if new:
        made.append(str(place))
    elif new_ca:
        said = [
            f"{authority} holds a new CA and the old one; give it to every producer, and then:",
            f"  bridge init {shlex.quote(str(folder))} --tls --renew",
        ]
    if (renew or new) and ca_key is not None:
        said.append(f"The CA's key is in {ca_key}: take it off this machine.")
    if configured == (None, None) and not _enter_tls(config.source):
        said.append(f"Add to intake in bridge.yaml: {_TLS}")
    return said


def _enter_tls(file: Path) -> bool:
    """Name the certificate in a bridge.yaml that we wrote; False where its owner has changed it."""
    before = file.read_text(encoding="utf-8")
    if before.count(_INTAKE) != 1:
        return False
    temporary = file.with_name(file.name + ".tmp")
    temporary.unlink(missing_ok=True)
    create_file(temporary, before.replace(_INTAKE, _INTAKE_TLS).encode(), FILE_MODE)
    temporary.replace(file)
    return True


def _failed(what: str, error: OSError) -> BridgeError:
    return BridgeError(
        "init.failed",
        f"{what} cannot be made: {error.strerror}.",
        "Look at the folder's owner and mode, and at the room on its disk.",
    )
