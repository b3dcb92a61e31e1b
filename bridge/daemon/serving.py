"""Puts the intake together: a writer for each stream, the gate, the server; and changes its rules."""

import ssl
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from random import Random

from bridge.config import Config
from bridge.config.licensekeys import LicenseKeys
from bridge.config.units import is_loopback
from bridge.daemon.calm import Calm
from bridge.daemon.passing import AT_ONCE, passing_on
from bridge.daemon.roomwatch import RoomWatch, room_watch_for
from bridge.egress.client import BeaconClient
from bridge.intake.app import Intake
from bridge.intake.gate import Gate, Pin
from bridge.intake.memory import give_large_blocks_back
from bridge.intake.passing import Verify, nobody
from bridge.intake.rules import Rules
from bridge.intake.server import IntakeServer
from bridge.intake.switches import switched_off
from bridge.intake.via import Via, nobody_asks
from keys.ed25519 import PublicKey, SigningKey
from spool.clock import SYSTEM_CLOCK, Clock
from spool.durable import OS_DISK, explained
from spool.secrets import SecretGuard
from spool.streams import STREAMS
from spool.writer import Writer

_PIN_PURPOSE = b"airgap-bridge pinned license 1"


def pseudonym_of(key: PublicKey) -> str:
    """What this bridge calls itself in the Via of its requests: it says nothing of the node."""
    return f"airgap-bridge-{key.id[:16]}"


class Serving:
    """A running intake, and what of it changes while it runs."""

    def __init__(
        self,
        server: IntakeServer,
        writers: Mapping[str, Writer],
        room: RoomWatch,
        rules: Rules,
        rules_for: Callable[[Config, LicenseKeys, Gate | None], Rules],
        asked_for: tuple[Config, LicenseKeys],
    ) -> None:
        """``rules_for`` makes rules, with the gate that it is given or a new one."""
        self.server = server
        self.writers = writers
        self.room = room
        self._rules = rules
        self._rules_for = rules_for
        self._config, self._licenses = asked_for
        self._secrets = dict.fromkeys(self._licenses.revealed())

    def prepare(self, config: Config, licenses: LicenseKeys) -> Callable[[], None]:
        """What to call so that requests are judged by ``config`` and ``licenses`` from the next on.

        Raises :class:`BridgeError` where the pinned license key cannot be read.
        """
        is_same = (
            licenses.same_as(self._licenses)
            and config.intake.require_license == self._config.intake.require_license
        )
        # A gate without a configured key remembers those that it saw.
        rules = self._rules_for(config, licenses, self._rules.gate if is_same else None)
        # Producers may have a key still that was exchanged.
        secrets = self._secrets | dict.fromkeys(licenses.revealed())
        rules = replace(rules, guard=SecretGuard(secrets))

        def take_up() -> None:
            self._rules, self._secrets = rules, secrets
            self._config, self._licenses = config, licenses
            self.room.change(max_size=config.spool.max_size, min_free=config.spool.min_free)
            self.server.intake.go_by(rules)

        return take_up


def _gate(config: Config, signer: SigningKey, licenses: LicenseKeys) -> Gate:
    required = config.intake.require_license
    open_otlp = is_loopback(config.intake.listen[0]) if required is None else not required
    data_plane = licenses.data_plane_auth
    if licenses.known(config.node):
        return Gate(
            lambda key: licenses.accepts(config.node, key),
            open_otlp=open_otlp,
            data_plane=data_plane,
        )
    # A signature is a secret that only the node's key can make again.
    try:
        pin = Pin(OS_DISK, config.spool.path, signer.sign(_PIN_PURPOSE))
    except OSError as error:
        raise explained(error, "read the pinned license key") from error
    return Gate(pin, open_otlp=open_otlp, data_plane=data_plane)


def _verify_of(client: BeaconClient | None, held: ExitStack) -> Callable[[str | None], Verify]:
    """How license requests are answered, for the key of this node."""
    if client is None:
        return lambda _: nobody
    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="verify")
    held.callback(pool.shutdown, wait=False, cancel_futures=True)
    return lambda own_key: passing_on(client, own_key, pool)


def start_intake(  # noqa: PLR0913 - what the intake needs, given once
    config: Config,
    signer: SigningKey,
    licenses: LicenseKeys,
    held: ExitStack,
    client: BeaconClient | None = None,
    tls: ssl.SSLContext | None = None,
    *,
    answering: Callable[[Verify, LicenseKeys], Verify] = lambda ask, _: ask,
    clock: Clock = SYSTEM_CLOCK,
    calm: Calm | None = None,
    turned: Callable[[], None] = lambda: None,
) -> Serving:
    """Begin to take records; everything ends in order with ``held``.

    License requests are asked of ``client``; None where there is no way out. ``answering`` knows
    more answers. With ``tls`` it speaks TLS and nothing else. What comes in ends a ``calm``;
    ``turned`` is called by its loop each time that it turns.

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
            clock=clock,
        )
        held.callback(writer.close)
        writers[name] = writer
    verify_of = _verify_of(client, held)

    def rules_for(config: Config, licenses: LicenseKeys, gate: Gate | None) -> Rules:
        return Rules(
            gate or _gate(config, signer, licenses),
            licenses.guard(),
            switched_off(config),
            answering(verify_of(licenses.to_send(config.node)), licenses),
        )

    rules = rules_for(config, licenses, None)
    calm = calm or Calm()
    room = room_watch_for(config, calm)
    room.start()
    held.callback(room.stop)
    intake = Intake(
        writers,
        rules.gate,
        rules.guard,
        room.has_room,
        Random(),  # noqa: S311 - spreads clients
        rules.switched_off,
        knows_room=room.knows_room,
        verify=rules.verify,
        via=Via(pseudonym_of(signer.public), nobody_asks if client is None else client.passed_by),
    )
    server = IntakeServer(
        intake, *config.intake.listen, tls, turn_s=calm.turn_s, turned=turned, ended=calm.stir
    )
    server.start()
    calm.wakes(server.turn_soon)
    held.callback(server.stop)
    return Serving(server, writers, room, rules, rules_for, (config, licenses))
