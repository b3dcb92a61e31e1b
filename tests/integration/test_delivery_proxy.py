"""Faults on the way to a real beacon, at any byte of a connection: nothing is lost, nothing pretended.

The beacon is the reference one, with its database; between it and the sender stands a proxy that cuts,
resets, holds, garbles, trickles and delays, below HTTP and below TLS.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from spool.ledger import State
from tests.support.beacon import RunningBeacon, running_beacon
from tests.support.faultproxy import FaultProxy, Kind, Trouble, fault_proxy
from tests.support.sending import append, sending

pytestmark = pytest.mark.enable_socket

RECORDS = 5
FILLER = "x" * 2000
"""Makes a request of some ten thousand bytes, so that most of them lie inside its body."""


@dataclass(frozen=True)
class Way:
    """A beacon, and the proxy before it."""

    beacon: RunningBeacon
    proxy: FaultProxy

    @property
    def url(self) -> str:
        return self.beacon.url.replace(str(self.beacon.port), str(self.proxy.port))

    def stored(self, name: str) -> list[str]:
        """The different ids that begin with ``name``, as the beacon's database has them."""
        found = [record.id for record in self.beacon.records("transactions")]
        return sorted({each for each in found if each is not None and each.startswith(f"{name}-")})


@contextmanager
def way(data: Path, *, tls: bool) -> Iterator[Way]:
    with running_beacon(data, tls=tls) as beacon, fault_proxy(beacon.port) as proxy:
        yield Way(beacon, proxy)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    with way(tmp_path_factory.mktemp("plain"), tls=False) as found:
        yield found


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    with way(tmp_path_factory.mktemp("encrypted"), tls=True) as found:
        yield found


@pytest.fixture(params=["plain", "encrypted"])
def there(request: pytest.FixtureRequest) -> Way:
    found: Way = request.getfixturevalue(request.param)
    return found


BROKEN: list[Kind] = ["cut", "reset", "hold", "garbage"]
PLACES = [("up", 0), ("up", 300), ("up", 3000), ("up", 9000), ("down", 0), ("down", 30)]
"""Of a connection in the clear: the first byte, the head, the body; the answer's first and its head.
Under TLS the first three of them hit the handshake, or the request a little earlier."""


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize(("direction", "after"), PLACES)
def test_a_fault_on_the_way_loses_nothing_and_is_never_called_delivered(
    tmp_path: Path, there: Way, kind: Kind, direction: str, after: int
) -> None:
    if kind == "garbage" and (direction, after) != ("down", 0) and there.beacon.ca_file is None:
        pytest.skip("in the clear nothing tells noise from what was sent; only TLS does")
    name = f"{kind}{direction}{after}"
    lines = [b'{"id":"%s-%d","pad":"%s"}' % (name.encode(), n, FILLER.encode()) for n in range(5)]
    lane = append(tmp_path, "transactions", lines)
    there.proxy.trouble = Trouble(kind, "up" if direction == "up" else "down", after)
    patience = 1.0 if kind in ("hold", "garbage") else 20.0
    with sending(lane, there.url, deadline_s=patience, ca_file=there.beacon.ca_file) as out:
        step = out.sender.step()
        assert not step.reached
        assert step.trip is not None
        assert out.records() == {State.PENDING: RECORDS}
        (batch,) = out.ledger.open_batches(lane)
        if there.stored(name):
            assert batch.in_doubt, "the beacon has it, and the ledger says that it never left"
    there.proxy.trouble = None
    with sending(lane, there.url, ca_file=there.beacon.ca_file) as out:
        assert out.sender.step().reached
        assert out.records() == {State.DELIVERED: RECORDS}
    assert there.stored(name) == [f"{name}-{n}" for n in range(RECORDS)]


@pytest.mark.parametrize(("direction", "after"), [("up", 0), ("up", 3000), ("down", 30)])
def test_a_way_that_waits_is_waited_for(
    tmp_path: Path, there: Way, direction: str, after: int
) -> None:
    name = f"delay{direction}{after}"
    lane = append(tmp_path, "transactions", [b'{"id":"%s-0"}' % name.encode()])
    there.proxy.trouble = Trouble("delay", "up" if direction == "up" else "down", after, 0.3)
    with sending(lane, there.url, ca_file=there.beacon.ca_file) as out:
        assert out.sender.step().reached
    assert there.stored(name) == [f"{name}-0"]


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_way_that_trickles_is_given_up_at_the_deadline_and_tried_again(
    tmp_path: Path, there: Way, direction: str
) -> None:
    name = f"trickle{direction}"
    lane = append(tmp_path, "transactions", [b'{"id":"%s-0"}' % name.encode()])
    there.proxy.trouble = Trouble("trickle", "up" if direction == "up" else "down", 10, 0.2)
    with sending(lane, there.url, deadline_s=1.0, ca_file=there.beacon.ca_file) as out:
        assert out.sender.step().trip is not None
        assert out.records() == {State.PENDING: 1}
    there.proxy.trouble = None
    with sending(lane, there.url, ca_file=there.beacon.ca_file) as out:
        assert out.sender.step().reached
    assert there.stored(name) == [f"{name}-0"]


def test_a_handshake_that_never_ended_is_not_in_doubt(tmp_path: Path, encrypted: Way) -> None:
    lane = append(tmp_path, "transactions", [b'{"id":"handshake-0"}'])
    encrypted.proxy.trouble = Trouble("cut", "down", 100)
    with sending(lane, encrypted.url, ca_file=encrypted.beacon.ca_file) as out:
        assert out.sender.step().trip is not None
        (batch,) = out.ledger.open_batches(lane)
        assert not batch.in_doubt
    assert encrypted.stored("handshake") == []
