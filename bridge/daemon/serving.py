"""Puts the intake together: a writer for each stream, the gate, the server."""

import os
from contextlib import ExitStack
from random import Random

from bridge.config import Config
from bridge.config.licensekeys import LicenseKeys
from bridge.config.units import is_loopback
from bridge.intake.app import Intake
from bridge.intake.gate import Gate, Pin
from bridge.intake.server import IntakeServer
from keys.ed25519 import SigningKey
from spool.durable import OS_DISK
from spool.streams import STREAMS
from spool.writer import Writer

_PIN_PURPOSE = b"airgap-bridge pinned license 1"


def _ready(config: Config) -> bool:
    """Whether the spool can be written: its disk has the room that it shall keep free."""
    status = os.statvfs(config.spool.path)
    free = status.f_bavail * status.f_frsize
    return not status.f_flag & os.ST_RDONLY and free > config.spool.min_free


def start_intake(
    config: Config, signer: SigningKey, licenses: LicenseKeys, held: ExitStack
) -> IntakeServer:
    """Begin to take records; everything ends in order with ``held``.

    Raises :class:`ConfigError` ``intake.listen``, or :class:`SpoolError` ``disk.*``.
    """
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
    if licenses.known(config.node):
        gate = Gate(
            lambda key: licenses.accepts(config.node, key), configured=True, open_otlp=open_otlp
        )
    else:
        # A signature is a secret that only the node's key can make again.
        pin = Pin(OS_DISK, config.spool.path, signer.sign(_PIN_PURPOSE))
        gate = Gate(pin.accepts, configured=False, open_otlp=open_otlp)
    intake = Intake(writers, gate, guard, lambda: _ready(config), Random())  # noqa: S311 - spreads clients
    server = IntakeServer(intake, host, port)
    server.start()
    held.callback(server.stop)
    return server
