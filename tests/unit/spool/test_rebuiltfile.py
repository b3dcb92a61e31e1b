"""Whoever makes a lost ledger anew leaves word of it; where none was lost nobody does."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.daemon.rebuilt import tell_rebuilt
from bridge.egress.event import Event
from keys.ed25519 import SigningKey
from spool.clock import rfc3339
from spool.lane import Lane
from spool.ledger import Ledger
from spool.rebuiltfile import LOSSES_MAX, Rebuilt, add_rebuilt, read_rebuilt
from spool.writer import Writer
from tests.support.spools import FAST, HandClock

AT = 1_800_000_000_000
CLOCK = HandClock(AT)
SAID = Rebuilt("2027-01-15T08:00:00.000Z", "damaged", "ledger.db.2027-01-15T08:00:00.000Z.bad")


LOSS = '{"at":"2027-01-15T08:00:00.000Z","why":"missing","kept":"","made":1,"told":0}'


def test_what_was_said_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_rebuilt(tmp_path) == []
    said = [SAID, Rebuilt(SAID.at, "missing", made=True), Rebuilt(SAID.at, "missing", told=True)]
    for each in said:
        add_rebuilt(FAST, tmp_path, each)
    assert read_rebuilt(tmp_path) == said


def test_of_very_many_losses_the_newest_are_kept(tmp_path: Path) -> None:
    said = [replace(SAID, at=f"2027-01-15T08:00:00.{n:03d}Z") for n in range(LOSSES_MAX + 9)]
    for each in said:
        add_rebuilt(FAST, tmp_path, each)
    assert read_rebuilt(tmp_path) == said[9:]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"v":1,"at":"2027-01-15T08:00:00.000Z","why":"missing","kept":"","told":0}',
        b'{"v":2,"losses":[]}',
        b'{"v":2,"losses":[%s],"more":1}' % LOSS.encode(),
        *(
            b'{"v":2,"losses":[%s]}' % LOSS.replace(old, new).encode()
            for old, new in (
                ("2027-01-15T08:00:00.000Z", "yesterday"),
                ("missing", "other"),
                ('"kept":""', '"kept":"/etc/passwd"'),
                ('"told":0', '"told":2'),
                (',"told":0', ""),
            )
        ),
    ],
)
def test_what_nobody_of_ours_wrote_tells_nothing(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "rebuilt.json").write_bytes(data)
    assert read_rebuilt(tmp_path) == []


def _opened(spool: Path) -> list[Rebuilt]:
    with Ledger.open(spool, clock=CLOCK):
        return read_rebuilt(spool)


def _append(spool: Path) -> Lane:
    with Writer(spool, "transactions", node="n", signer=SigningKey.generate(), disk=FAST) as writer:
        writer.append([b'{"id":"a"}'])
    return Lane(spool, "n", "transactions")


def test_the_first_ledger_of_a_spool_replaces_none(tmp_path: Path) -> None:
    assert _opened(tmp_path) == []
    assert _opened(tmp_path) == []


def test_the_first_ledger_after_a_writer_replaces_none(tmp_path: Path) -> None:
    _append(tmp_path)
    assert _opened(tmp_path) == []


def test_a_ledger_that_is_gone_was_missing(tmp_path: Path) -> None:
    _append(tmp_path)
    _opened(tmp_path)
    for path in tmp_path.glob("ledger.db*"):
        path.unlink()
    assert _opened(tmp_path) == [Rebuilt(rfc3339(AT), "missing", made=True)]


def test_one_that_is_gone_with_its_lock_is_missed_where_something_was_delivered(
    tmp_path: Path,
) -> None:
    lane = _append(tmp_path)
    lane.delivered.write_bytes(b"{}")
    assert _opened(tmp_path) == [Rebuilt(rfc3339(AT), "missing", made=True)]


def test_a_damaged_ledger_is_named_where_it_is_kept(tmp_path: Path) -> None:
    _opened(tmp_path)
    (tmp_path / "ledger.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 4096)
    (said,) = _opened(tmp_path)
    assert said.why == "damaged"
    assert (tmp_path / said.kept).exists()


def test_a_second_loss_before_any_daemon_ran_is_told_of_beside_the_first(tmp_path: Path) -> None:
    _append(tmp_path)
    _opened(tmp_path)
    (tmp_path / "ledger.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 4096)
    (first,) = _opened(tmp_path)
    for path in (tmp_path / "ledger.db", *tmp_path.glob("ledger.db-*")):
        path.unlink()
    was, second = _opened(tmp_path)
    assert (was, second.why, second.kept) == (first, "missing", "")
    told: list[Event] = []
    for _ in range(2):
        tell_rebuilt(tmp_path, FAST, told.append)
    assert [event.fields["why"] for event in told] == ["damaged", "missing"]


def test_a_kill_before_the_new_ledger_is_there_does_not_take_the_word_of_the_old_one(
    tmp_path: Path,
) -> None:
    _append(tmp_path)
    _opened(tmp_path)
    (tmp_path / "ledger.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 4096)
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from spool import ledger_file\n"
        "from spool.clock import SYSTEM_CLOCK\n"
        "from spool.durable import OsDisk\n"
        "class Killed(OsDisk):\n"
        "    def create(self, path):\n"
        "        if path.name == 'ledger.db':\n"
        "            os._exit(9)\n"
        "        return super().create(path)\n"
        "ledger_file.OS_DISK = Killed()\n"
        "ledger_file.open_file(Path(sys.argv[1]), SYSTEM_CLOCK)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path], check=False)
    assert (done.returncode, (tmp_path / "ledger.db").exists()) == (9, False)
    (said,) = _opened(tmp_path)
    assert (said.why, (tmp_path / said.kept).is_file()) == ("damaged", True)
