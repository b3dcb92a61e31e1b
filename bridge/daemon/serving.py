"""Puts the intake together: a writer for each stream, the gate, the server."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from random import Random

from bridge.config import Config
from bridge.config.licensekeys import LicenseKeys
from bridge.config.units import is_loopback
from bridge.daemon.passing import AT_ONCE, passing_on
from bridge.daemon.roomwatch import RoomWatch
from bridge.egress.client import BeaconClient
from bridge.intake.app import Intake
from bridge.intake.gate import Gate, Pin
from bridge.intake.memory import give_large_blocks_back
from bridge.intake.passing import Verify, nobody
from bridge.intake.server import IntakeServer
from bridge.intake.switches import switched_off
from keys.ed25519 import PublicKey, SigningKey
from spool.durable import OS_DISK, explained
from spool.streams import STREAMS
from spool.writer import Writer

_PIN_PURPOSE = b"airgap-bridge pinned license 1"


def pseudonym_of(key: PublicKey) -> str:
    """What this bridge calls itself in the Via of its requests: it says nothing of the node."""
    return f"airgap-bridge-{key.id[:16]}"


def _verify(
    config: Config, licenses: LicenseKeys, held: ExitStack, client: BeaconClient | None
) -> Verify:
    if client is None:
        return nobody
    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="verify")
    held.callback(pool.shutdown, wait=False, cancel_futures=True)
    return passing_on(client, licenses.to_send(config.node), pool)


def start_intake(
    config: Config,
    signer: SigningKey,
    licenses: LicenseKeys,
    held: ExitStack,
    client: BeaconClient | None,
) -> IntakeServer:
    """Begin to take records; everything ends in order with ``held``.

    License requests are asked of ``client``; None where there is no way out.

    Raises :class:`ConfigError` ``intake.listen``, or :class:`SpoolError` ``disk.*``.
    """
    give_large_blocks_back()
    guard = licenses.guard()
    writers = {}
    for name in STREAMS:
        writer = Writer(
            config.spool.path,
            name,
            node=config.node,
            signer=signer,
            seal_size=config.spool.seal.size,
            seal_age_ms=config.spool.seal.age,
            guard=guard,
        )
        held.callback(writer.close)
        writers[name] = writer
    host, port = config.intake.listen
    required = config.intake.require_license
    open_otlp = is_loopback(host) if required is None else not required
    data_plane = licenses.data_plane_auth
    if licenses.known(config.node):
        gate = Gate(
            lambda key: licenses.accepts(config.node, key),
            configured=True,
            open_otlp=open_otlp,
            data_plane=data_plane,
        )
    else:
        # A signature is a secret that only the node's key can make again.
        pin = Pin(OS_DISK, config.spool.path, signer.sign(_PIN_PURPOSE))
        gate = Gate(pin.accepts, configured=False, open_otlp=open_otlp, data_plane=data_plane)
    try:
        room = RoomWatch(
            config.spool.path, max_size=config.spool.max_size, min_free=config.spool.min_free
        )
    except OSError as error:
        raise explained(error, "look how much room there is") from error
    room.start()
    held.callback(room.stop)
    intake = Intake(
        writers,
        gate,
        guard,
        room.has_room,
        Random(),  # noqa: S311 - spreads clients
        switched_off(config),
        verify=_verify(config, licenses, held, client),
        pseudonym=pseudonym_of(signer.public),
    )
    server = IntakeServer(intake, host, port)
    server.start()
    held.callback(server.stop)
    return server
