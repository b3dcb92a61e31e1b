"""The demo tells the truth: it ends well when nothing is missing, and fails when a segment is."""

import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from bridge.demo.crossing import Crossed
from bridge.demo.journey import NODE, Journey
from keys.keyfile import read_signing_key
from spool.clock import SYSTEM_CLOCK
from spool.discovery import discover, said_by
from spool.durable import OS_DISK
from spool.lane import Lane
from spool.ledger import By, Ledger, State
from spool.recovery import Recovery
from spool.sealing import Sealer

pytestmark = [pytest.mark.enable_socket, pytest.mark.slow, pytest.mark.timeout(180)]


def test_the_demo_ends_with_nothing_lost_and_everything_in_a_spool_that_verifies(
    tmp_path: Path,
) -> None:
    keep = tmp_path / "kept"
    command = [sys.executable, "-m", "bridge.cli.main"]
    told = subprocess.run(
        [*command, "demo", "--keep", str(keep)], capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr
    assert "0 records lost in 4 kills" in told.stdout
    assert "node (500) and the relay (500); the beacon holds 500" in told.stdout
    public = keep / "node" / "keys" / "node.pub.pem"
    verified = subprocess.run(
        [*command, "verify", str(keep / "node" / "spool"), "--key", str(public)],
        capture_output=True,
        check=False,
    )
    assert verified.returncode == 0


def _skip_one_segment(spool: Path) -> None:
    """Tell the ledger that a segment was delivered which never left."""
    key = read_signing_key(spool.parent / "keys" / "node.pem")
    lane = Lane(spool, NODE, "logs")
    sealer = Sealer(OS_DISK, lane, key, SYSTEM_CLOCK)
    sealer.settle_head()
    list(Recovery(OS_DISK, sealer, SYSTEM_CLOCK).recover())
    with Ledger.open(spool, clock=SYSTEM_CLOCK) as ledger:
        discover(ledger, lane)
        seq = ledger.spans(lane, State.PENDING)[-1].last
        said = said_by(lane, seq)
        assert said is not None
        assert said.records
        for batch in ledger.open_batches(lane):
            ledger.withdraw(batch.id)
        ledger.move(
            lane,
            seq,
            seq,
            source=State.PENDING,
            target=State.DELIVERED,
            by=By.ANSWER,
            before_first=said.before,
            after_last=said.after,
        )


@pytest.mark.parametrize(
    "books", [(500, 499, 500, 500), (500, 500, 501, 500), (500, 500, 500, 499)]
)
def test_the_second_act_fails_when_the_books_of_two_machines_differ(
    books: tuple[int, int, int, int],
) -> None:
    assert Crossed(500, 500, 500, 500, token=True).complete
    assert not Crossed(*books, token=True).complete
    assert not Crossed(500, 500, 500, 500, token=False).complete


def test_the_demo_fails_when_the_bridge_skips_one_segment(tmp_path: Path) -> None:
    outcome = Journey(tmp_path, Random(1), lambda _: None, tamper=_skip_one_segment).run()
    assert not outcome.complete
    assert {line.stream for line in outcome.lines if line.lost} == {"logs"}
