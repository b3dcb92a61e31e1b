"""One lane's sender, and a whole engine, on real segments, a real ledger and a real client."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from bridge.daemon.sending import Outside, make_engine
from bridge.egress.cargo import Hold
from bridge.egress.client import BeaconClient
from bridge.egress.cursor import Opener
from bridge.egress.engine import Engine
from bridge.egress.event import Event
from bridge.egress.limits import Pace
from bridge.egress.mending import Mender
from bridge.egress.refusals import Refusals
from bridge.egress.routes import ROUTES
from bridge.egress.sender import Sender
from bridge.egress.windows import Window
from keys.ed25519 import PublicKey, SigningKey
from spool.clock import SYSTEM_CLOCK, Clock
from spool.discovery import discover
from spool.durable import OS_DISK
from spool.lane import Lane
from spool.ledger import Ledger, State
from spool.sealing import Sealer
from spool.writer import Writer
from tests.support.beacon import LICENSE

KEY = SigningKey(bytes(range(32)))
NODE = "n"

ONE: Mapping[str, bytes] = {
    "transactions": b'{"id":"%d","trace_count":1}',
    "langgraph": b'{"from_timestamp":"a%d","to_timestamp":"b","measures":{"runs":1}}',
    "snapshots": b'{"from_timestamp":"a%d","to_timestamp":"b","measures":{"users":1}}',
    "logs": b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityNumber":13,"x":%d}]}]}]}',
    "metrics": b'{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m%d","gauge":{}}]}]}]}',
    "traces": b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"s%d"}]}]}]}',
}
"""A record of each stream; the number is what tells it from others."""


def append(spool: Path, stream: str, lines: Sequence[bytes], *, node: str = NODE) -> Lane:
    """One more segment with these lines."""
    with Writer(spool, stream, node=node, signer=KEY) as writer:
        writer.append(lines)
    return Lane(spool, node, stream)


def fill(spool: Path, stream: str, segments: int, each: int, *, node: str = NODE) -> Lane:
    """So many segments with so many records each, all different."""
    for number in range(segments):
        lines = [ONE[stream] % (number * each + n) for n in range(each)]
        append(spool, stream, lines, node=node)
    return Lane(spool, node, stream)


@dataclass(frozen=True, slots=True)
class Sending:
    """A sender of one lane, and the ledger that it keeps."""

    sender: Sender
    ledger: Ledger
    lane: Lane

    def records(self) -> dict[State, int]:
        """How many records stand where."""
        (counts,) = self.ledger.counts()
        return {state: n for state, n in counts.records.items() if n}


@contextmanager
def sending(
    lane: Lane,
    url: str,
    *,
    raw_max: int = 1 << 20,
    deadline_s: float = 20.0,
    ca_file: Path | None = None,
    license_key: str | None = LICENSE,
) -> Iterator[Sending]:
    """A sender on ``lane``, to whatever is at ``url``."""
    client = BeaconClient(url, deadline_s=deadline_s, ca_file=ca_file)
    own = {KEY.public.id: KEY.public}
    try:
        with Ledger.open(lane.spool, clock=SYSTEM_CLOCK) as ledger:
            discover(ledger, lane)
            sender = Sender(
                lane,
                ROUTES[lane.stream],
                ledger,
                client,
                hold=Hold(Opener(lane, lambda: own)),
                mender=Mender(
                    OS_DISK, Sealer(OS_DISK, lane, KEY, SYSTEM_CLOCK), ledger, SYSTEM_CLOCK
                ),
                refusals=Refusals(ledger, lane.spool, lane.stream),
                license_key=lambda: license_key,
                clock=SYSTEM_CLOCK,
                raw_max=raw_max,
            )
            try:
                yield Sending(sender, ledger, lane)
            finally:
                sender.close()
    finally:
        client.close()


@dataclass(frozen=True, slots=True)
class Running:
    """A running engine."""

    engine: Engine
    ledger: Ledger
    events: list[Event]


@contextmanager
def running_engine(  # noqa: PLR0913 - what a test may want of it
    spool: Path,
    url: str,
    *,
    raw_max: int = 1 << 20,
    clock: Clock = SYSTEM_CLOCK,
    rate: int | None = None,
    windows: Sequence[Window] = (),
    license_of: Callable[[str], str | None] = lambda _: LICENSE,
    deadline_s: float = 20.0,
    ca_file: Path | None = None,
    keys_of: Callable[[str], Mapping[str, PublicKey]] = lambda _: {},
) -> Iterator[Running]:
    """An engine on all lanes of ``spool``, stopped at the end."""
    events: list[Event] = []
    client = BeaconClient(url, deadline_s=deadline_s, ca_file=ca_file)
    with Ledger.open(spool, clock=SYSTEM_CLOCK) as ledger:
        engine = make_engine(
            spool,
            KEY,
            ledger,
            Outside(client, license_of, raw_max, pace=Pace(rate), windows=windows, keys_of=keys_of),
            disk=OS_DISK,
            clock=clock,
            random=Random(1),
            tell=events.append,
        )
        engine.start()
        try:
            yield Running(engine, ledger, events)
        finally:
            engine.stop()
            client.close()
