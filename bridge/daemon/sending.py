"""Puts an engine together: a sender for each lane, with its route, its keys, its license."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from bridge.config import Config
from bridge.egress.backoff import Backoff
from bridge.egress.cargo import Hold
from bridge.egress.circuits import Circuits
from bridge.egress.client import BeaconClient
from bridge.egress.cursor import Opener
from bridge.egress.engine import Engine
from bridge.egress.event import Event
from bridge.egress.itself import Itself
from bridge.egress.limits import AT_FULL_SPEED, Limit, Pace, Rate, RecordRate, request_max
from bridge.egress.memory import keep_memory
from bridge.egress.mending import Mender
from bridge.egress.refusals import Refusals
from bridge.egress.routes import DATA_PLANE_HEADER, ROUTES
from bridge.egress.sender import Sender
from bridge.egress.turn import Turn
from bridge.egress.windows import Window, Windows
from keys.ed25519 import PublicKey, SigningKey
from keys.errors import ConfigError, shown
from spool.beat import TURN_S
from spool.clock import MS, Clock
from spool.durable import Disk
from spool.lane import Lane
from spool.ledger import Ledger
from spool.sealing import Sealer


@dataclass(frozen=True, slots=True)
class Outside:
    """What sending needs of the outside: the beacon, each node's license key, the request's size.

    ``license_of`` gives the key to send a node's records with, None where there is none;
    ``data_plane_of`` the credential that its telemetry is sent with instead. Nothing is sent
    faster than ``pace``, nor outside ``windows``, where there are any. ``keys_of`` gives the keys that
    may have sealed another node's segments.
    """

    client: BeaconClient
    license_of: Callable[[str], str | None]
    raw_max: int
    data_plane_of: Callable[[str], str | None] = lambda _: None
    pace: Pace = AT_FULL_SPEED
    windows: Sequence[Window] = ()
    keys_of: Callable[[str], Mapping[str, PublicKey]] = lambda _: {}


def make_engine(  # noqa: PLR0913 - what sending needs, given once
    spool: Path,
    signer: SigningKey,
    ledger: Ledger,
    outside: Outside,
    *,
    disk: Disk,
    clock: Clock,
    random: Random,
    tell: Callable[[Event], None],
    held: Callable[[Lane], bool] = lambda _: False,
    quiet_s: Callable[[], float] = lambda: TURN_S,
    ended: Callable[[], None] = lambda: None,
) -> Engine:
    """An engine for the lanes of ``spool``, which ``signer`` has sealed; ``held`` ones send nothing."""
    keep_memory()
    refusals = {stream: Refusals(ledger, spool, stream) for stream in ROUTES}
    raw_max = request_max(outside.raw_max, outside.pace)
    limits = list(_limits(outside.pace, raw_max, clock))

    own = signer.own_keys
    turn = Turn()

    def new_sender(lane: Lane) -> Sender:
        sealer = Sealer(disk, lane, signer, clock)
        route, key_of = ROUTES[lane.stream], outside.license_of
        if route.key_in_header and outside.data_plane_of(lane.node) is not None:
            route, key_of = replace(route, header=DATA_PLANE_HEADER), outside.data_plane_of
        return Sender(
            lane,
            route,
            ledger,
            outside.client,
            hold=Hold(Opener(lane, lambda: outside.keys_of(lane.node) or own), turn.give_way),
            mender=Mender(disk, sealer, ledger, clock),
            refusals=refusals[lane.stream],
            license_key=lambda: key_of(lane.node),
            clock=clock,
            raw_max=raw_max,
            waiting=turn.let_go,
        )

    return Engine(
        spool,
        ledger,
        new_sender,
        Circuits(clock.monotonic, lambda: Backoff(random)),
        turn=turn,
        disk=disk,
        clock=clock,
        tell=tell,
        windows=Windows(outside.windows, clock.wall_ms),
        limits=limits,
        held=held,
        quiet_s=quiet_s,
        ended=ended,
    )


def _limits(pace: Pace, raw_max: int, clock: Clock) -> Iterator[Limit]:
    if pace.bytes_per_s is not None:
        yield Rate(pace.bytes_per_s, raw_max, clock.monotonic)
    if pace.records_per_s is not None:
        yield RecordRate(pace.records_per_s, clock.monotonic)


def client_for(config: Config, via: str) -> BeaconClient:
    """The client of the beacon that ``config`` names; ``via`` is how requests know their way back.

    Raises :class:`ConfigError` ``config.ca_file``.
    """
    beacon = config.beacon
    try:
        return BeaconClient(
            beacon.url,
            deadline_s=config.egress.deadline / MS,
            ca_file=beacon.ca_file,
            proxy=beacon.proxy,
            addresses=beacon.addresses,
            via=via,
            itself=Itself(config.intake.listen[1], config.intake.tls.cert),
        )
    except OSError as error:
        raise ConfigError(
            "config.ca_file",
            f"{shown(str(beacon.ca_file))} holds no certificates that can be read.",
            "Name a PEM file with the certificate authority that signs for the beacon.",
        ) from error
