"""A ledger of an earlier version is migrated on a copy: all of it, or it stays as it is."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from keys.ed25519 import SigningKey
from keys.errors import ConfigError
from spool.clock import SYSTEM_CLOCK
from spool.errors import SpoolError
from spool.head import folder_mark, read_head, write_head
from spool.ledger import By, Ledger, State
from spool.ledger_schema import VERSION
from spool.ranges import Range
from tests.support.bundles import Machine, pair
from tests.support.ledgers import fill, lane

SCHEMAS = Path(__file__).parents[2] / "golden" / "ledgers"
"""The tables as the program made them earlier: four that it called version 1, then 2 to 5."""
EARLIER = sorted(path.stem for path in SCHEMAS.iterdir())
FORKING = {"forks", "version2", "version3", "version4", "version5"}
IMPORTING = {"bundles", *FORKING}
"""Those that had tables for what is imported."""
Rows = dict[str, list[dict[str, object]]]


def as_of(path: Path, schema: str) -> None:
    """Put an earlier ledger in its place, with the same rows as far as it had them."""
    old = path.with_name("old.db")
    with closing(sqlite3.connect(old, isolation_level=None)) as connection:
        connection.executescript((SCHEMAS / f"{schema}.sql").read_text())
        connection.execute("ATTACH ? AS today", (str(path),))
        for table in tables(connection):
            names = [row[1] for row in connection.execute(f"PRAGMA main.table_info({table})")]
            told = " WHERE fork = ''" if table == "lane" and "fork" not in names else ""
            listed = ", ".join(names)
            connection.execute(f"INSERT INTO {table} SELECT {listed} FROM today.{table}{told}")  # noqa: S608
        if schema not in FORKING:
            connection.execute("DELETE FROM span WHERE lane NOT IN (SELECT id FROM lane)")
        connection.execute("DETACH today")
        connection.execute("PRAGMA journal_mode = WAL")
    path.unlink()
    old.rename(path)


def tables(connection: sqlite3.Connection) -> list[str]:
    query = "SELECT name FROM main.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    return [name for (name,) in connection.execute(query)]


def rows(path: Path) -> Rows:
    """All rows of all tables, by column."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        with closing(sqlite3.connect(path)) as names:
            return {
                table: [dict(row) for row in connection.execute(f"SELECT * FROM {table}")]  # noqa: S608
                for table in tables(names)
            }


def crossed(folder: Path, schema: str) -> Machine:
    """A relay that imported a chain (and a fork, if it could then) and delivered it."""
    inside, relay = pair(folder)
    stick = folder / "stick"
    stick.mkdir()
    for number in (1, 2, 3):
        inside.append(number)
    relay.take(inside.export(relay, stick).path)
    relay.answer("inside")
    relay.give_back(inside, stick)
    twin = Machine(folder / "twin", "inside", inside.seed)
    twin.append(7)
    if schema in IMPORTING:
        relay.take(twin.export(relay, stick, name="twin.agb").path)
    for machine in (inside, relay, twin):
        machine.ledger.close()
    return relay


@pytest.mark.parametrize("schema", EARLIER)
def test_each_row_of_an_earlier_ledger_is_there_after_its_migration(
    tmp_path: Path, schema: str
) -> None:
    path = crossed(tmp_path, schema).spool / "ledger.db"
    today = rows(path)
    as_of(path, schema)
    held = rows(path)
    with Ledger.open(path.parent, clock=SYSTEM_CLOCK) as ledger:
        assert not ledger.fresh
    migrated = rows(path)
    # Forks and predecessors, which the earlier ones did not know, came from the seals.
    assert migrated == {table: today[table] if table in held else [] for table in today}
    assert list(path.parent.glob("ledger.db*")) == [path]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_numbers_of_batches_and_bundles_are_not_given_again_after_a_migration(
    tmp_path: Path,
) -> None:
    with Ledger.open(tmp_path, clock=SYSTEM_CLOCK) as ledger:
        ledger.begin_bundle("a" * 32, 1, "relay-1", "/a", [])
        ledger.drop_bundle(1)
    path = tmp_path / "ledger.db"
    as_of(path, "bundles")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE sqlite_sequence SET seq = 1 WHERE name = 'bundle'")
    with Ledger.open(tmp_path, clock=SYSTEM_CLOCK) as ledger:
        assert ledger.begin_bundle("b" * 32, 1, "relay-1", "/b", []) == 2


def test_a_neighbour_of_a_segment_that_was_pruned_before_the_migration_is_no_alarm(
    tmp_path: Path,
) -> None:
    inside, relay = pair(tmp_path)
    inside.append(1)
    inside.append(2)
    only = {"transactions": [Range(2, 2)]}
    relay.take(inside.export(relay, tmp_path, numbers=only, name="two.agb").path)
    relay.ledger.close()
    as_of(relay.spool / "ledger.db", "bundles")
    relay.lane(node="inside").segment(2).unlink()
    relay = Machine(relay.folder, relay.name, relay.seed, relay.trust)
    first = {"transactions": [Range(1, 1)]}
    states = (State.EXPORTED, State.PENDING)
    path = inside.export(relay, tmp_path, numbers=first, states=states, name="one.agb").path
    assert relay.take(path).new == 1
    assert relay.ledger.unlinked(relay.lane(node="inside")) == []


@pytest.mark.parametrize("pruned", [True, False])
def test_a_segment_that_was_pruned_before_the_migration_vouches_for_nothing(
    tmp_path: Path, *, pruned: bool
) -> None:
    inside, relay = pair(tmp_path)
    old, new = inside.key, SigningKey(bytes([9]) * 32)
    inside.append(1)
    inside.key = new
    inside.append(2)
    relay.trust = relay.trust.with_key("node", "inside", new.public, new.public.id, inside.age)
    only = {"transactions": [Range(2, 2)]}
    relay.take(inside.export(relay, tmp_path, numbers=only, name="two.agb").path)
    relay.ledger.close()
    as_of(relay.spool / "ledger.db", "bundles")
    if pruned:
        relay.lane(node="inside").segment(2).unlink()
    relay = Machine(relay.folder, relay.name, relay.seed, relay.trust)
    relay.trust = relay.trust.revoke(old.public.id, {"inside/transactions": 2})
    first = {"transactions": [Range(1, 1)]}
    outcome = relay.take(inside.export(relay, tmp_path, numbers=first, name="one.agb").path)
    assert [each.error.id for each in outcome.refused] == ["key.revoked"] * pruned
    assert outcome.new == (not pruned)


def imported(spool: Path) -> list[tuple[int, str, int]]:
    """Number, predecessor and whether it is another than the one here, as the ledger at rest has it."""
    with closing(sqlite3.connect(spool / "ledger.db")) as connection:
        return connection.execute(
            "SELECT seq, prev, unlinked FROM imported WHERE fork = 0 ORDER BY seq"
        ).fetchall()


def test_seals_behind_one_that_was_pruned_are_asked_all_the_same(tmp_path: Path) -> None:
    relay = crossed(tmp_path, "forks")
    before = imported(relay.spool)
    as_of(relay.spool / "ledger.db", "bundles")
    relay.lane(node="inside").segment(1).unlink()
    Ledger.open(relay.spool, clock=SYSTEM_CLOCK).close()
    assert imported(relay.spool) == [(1, "", 0), *before[1:]]


def test_what_does_not_follow_what_is_before_it_is_found_at_a_migration(tmp_path: Path) -> None:
    """Two machines made a 2; the relay got one of them, and the 3 of the other."""
    inside, relay = pair(tmp_path)
    twin = Machine(tmp_path / "twin", "inside", inside.seed)
    inside.append(1)
    shutil.copytree(inside.lane().folder, twin.lane().folder)
    head = read_head(twin.lane())
    assert head is not None
    write_head(twin.disk, twin.lane(), replace(head, folder=folder_mark(twin.lane())))
    inside.append(2)
    relay.take(inside.export(relay, tmp_path, name="one.agb").path)
    for number in (3, 4):
        twin.append(number)
    three = {"transactions": [Range(3, 3)]}
    relay.take(twin.export(relay, tmp_path, numbers=three, name="three.agb").path)
    relay.ledger.close()
    before = imported(relay.spool)
    assert [(seq, unlinked) for seq, _, unlinked in before] == [(1, 0), (2, 0), (3, 1)]
    as_of(relay.spool / "ledger.db", "bundles")
    Ledger.open(relay.spool, clock=SYSTEM_CLOCK).close()
    assert imported(relay.spool) == before


def test_what_a_node_gave_up_is_told_by_its_loss_records_after_a_migration(tmp_path: Path) -> None:
    inside, relay = pair(tmp_path)
    for number in range(3):
        inside.append(number, stream="logs")
    inside.drop("logs")
    relay.take(inside.export(relay, tmp_path).path)
    lane = relay.lane("logs", "inside")
    before = relay.ledger.given_up(lane)
    assert [(each.seq, each.numbers) for each in before] == [(4, Range(1, 1))]
    relay.ledger.close()
    as_of(relay.spool / "ledger.db", "version5")
    with Ledger.open(relay.spool, clock=SYSTEM_CLOCK) as ledger:
        assert ledger.given_up(lane) == before


def test_a_loss_record_that_was_damaged_before_a_migration_is_heard_when_it_comes_again(
    tmp_path: Path,
) -> None:
    inside, relay = pair(tmp_path)
    for number in range(3):
        inside.append(number, stream="logs")
    inside.drop("logs")
    whole = inside.export(relay, tmp_path).path
    relay.take(whole)
    lane = relay.lane("logs", "inside")
    (before,) = relay.ledger.given_up(lane)
    (last,) = (span for span in relay.ledger.spans(lane) if span.last == before.seq)
    relay.ledger.move(
        lane, before.seq, before.seq,
        source=State.PENDING, target=State.LOST, by=By.LOSS,
        before_first=last.after, after_last=last.after,
    )  # fmt: skip
    relay.ledger.close()
    lane.segment(before.seq).unlink()
    as_of(relay.spool / "ledger.db", "version5")
    relay = Machine(relay.folder, relay.name, relay.seed, relay.trust)
    assert relay.take(whole).gaps == {}
    assert relay.ledger.given_up(lane) == [before]


def older(tmp_path: Path) -> Path:
    with Ledger.open(tmp_path, clock=SYSTEM_CLOCK) as ledger:
        fill(ledger, lane(tmp_path), 1, 10)
    as_of(tmp_path / "ledger.db", "first")
    return tmp_path / "ledger.db"


def test_what_a_crash_left_of_a_migration_is_removed_and_the_migration_done(tmp_path: Path) -> None:
    path = older(tmp_path)
    for part in ("", "-journal", "-wal"):
        (tmp_path / f"ledger.db.new{part}").write_bytes(b"half")
    with Ledger.open(tmp_path, clock=SYSTEM_CLOCK) as ledger:
        assert ledger.counts()[0].records[State.PENDING] == 100
    assert list(tmp_path.glob("ledger.db*")) == [path]


def opened_and_killed(spool: Path, left: int) -> bool:
    """Open the ledger in a child that is killed when it has touched its files ``left`` times."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL

    def step(event: str, args: tuple[object, ...]) -> None:
        nonlocal left
        touches = event in ("open", "os.rename", "os.remove", "sqlite3.connect")
        if touches and "ledger.db" in str(args[0]):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    try:
        sys.addaudithook(step)
        Ledger.open(spool, clock=SYSTEM_CLOCK).close()
    finally:
        os._exit(0)


def test_a_kill_at_any_step_of_a_migration_leaves_a_ledger_that_opens_with_all_in_it(
    tmp_path: Path,
) -> None:
    path = older(tmp_path)
    before = path.read_bytes()
    steps = 0
    while opened_and_killed(tmp_path, steps):
        with Ledger.open(tmp_path, clock=SYSTEM_CLOCK) as ledger:
            assert ledger.counts()[0].records[State.PENDING] == 100
        assert list(tmp_path.glob("ledger.db*")) == [path]
        path.write_bytes(before)
        steps += 1
    assert steps >= 5


def test_what_was_committed_and_stands_in_the_log_of_an_earlier_ledger_is_migrated(
    tmp_path: Path,
) -> None:
    path = older(tmp_path)
    code = (
        "import os, signal, sqlite3, sys\n"
        "db = sqlite3.connect(sys.argv[1])\n"
        "db.execute('UPDATE lane SET partial = 7')\n"
        "db.commit()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert path.with_name("ledger.db-wal").stat().st_size
    Ledger.open(tmp_path, clock=SYSTEM_CLOCK).close()
    assert rows(path)["lane"][0]["partial"] == 7


def test_an_earlier_ledger_that_another_program_has_open_is_left_as_it_is(tmp_path: Path) -> None:
    path = older(tmp_path)
    before = rows(path)
    with closing(sqlite3.connect(path)) as other:
        other.execute("SELECT * FROM lane").fetchall()
        with pytest.raises(SpoolError) as caught:
            Ledger.open(tmp_path, clock=SYSTEM_CLOCK)
    assert caught.value.id == "ledger.locked"
    assert rows(path) == before


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE lane SET node = NULL",
        "ALTER TABLE lane RENAME COLUMN node TO knot",
        "ALTER TABLE span DROP COLUMN chain",
    ],
)
def test_an_earlier_ledger_that_somebody_changed_is_refused_and_not_touched(
    tmp_path: Path, change: str
) -> None:
    path = older(tmp_path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_master SET sql = replace(sql, 'node TEXT NOT NULL', 'node TEXT')"
        )
        connection.commit()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(change)
        connection.commit()
    before = rows(path)
    with pytest.raises(ConfigError) as caught:
        Ledger.open(tmp_path, clock=SYSTEM_CLOCK)
    assert caught.value.id == "ledger.foreign"
    assert rows(path) == before
    assert not list(tmp_path.glob("ledger.db.*"))


def test_a_ledger_of_today_with_a_column_less_is_refused_in_words(tmp_path: Path) -> None:
    Ledger.open(tmp_path, clock=SYSTEM_CLOCK).close()
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        connection.execute("ALTER TABLE imported DROP COLUMN prev")
    with pytest.raises(ConfigError) as caught:
        Ledger.open(tmp_path, clock=SYSTEM_CLOCK)
    assert caught.value.id == "ledger.foreign"
