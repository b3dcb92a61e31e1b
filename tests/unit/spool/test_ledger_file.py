"""The ledger's file: made, shared, left alone, put aside."""

import gc
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from keys.errors import ConfigError
from spool import locks
from spool.clock import SYSTEM_CLOCK
from spool.errors import SpoolError
from spool.ledger import By, Ledger, State
from spool.ledger_condition import Condition, examine
from spool.ledger_db import Database
from spool.ledger_errors import translated
from spool.ledger_file import NAME
from spool.ledger_schema import APPLICATION_ID, VERSION, columns
from tests.support.filesystems import fill_up, remount, small_quota, small_tmpfs
from tests.support.ledgers import fill, lane, move, totals

REPOSITORY = Path(__file__).parents[3]


class StoppedClock:
    """Noon, for ever."""

    def wall_ms(self) -> int:
        return 1_700_000_000_000

    def monotonic(self) -> float:
        return 0.0


NOON = "2023-11-14T22:13:20.000Z"
NEXT = "2023-11-14T22:13:20.001Z"


def reopen(spool: Path) -> Ledger:
    return Ledger.open(spool, clock=StoppedClock())


def filled(spool: Path) -> None:
    with reopen(spool) as ledger:
        fill(ledger, lane(spool), 1, 10)


def names(spool: Path) -> set[str]:
    return {path.name for path in spool.iterdir()}


def in_another_process(spool: Path, script: str) -> "subprocess.Popen[str]":
    """Run ``script`` with ``spool`` and an open ``ledger``; it prints a line when it is there."""
    begin = (
        "import os, signal, sys, time\n"
        "from pathlib import Path\n"
        "from spool.clock import SYSTEM_CLOCK\n"
        "from spool.errors import SpoolError\n"
        "from spool.ledger import By, Ledger, State\n"
        "from tests.support.ledgers import fill, lane, move, totals\n"
        "spool = Path(sys.argv[1])\n"
        "ledger = Ledger.open(spool, clock=SYSTEM_CLOCK)\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", begin + script, str(spool)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY,
    )  # fmt: skip


def test_a_new_ledger_is_fresh_once_private_and_says_whose_it_is(tmp_path: Path) -> None:
    with reopen(tmp_path) as ledger:
        assert ledger.fresh
    with reopen(tmp_path) as ledger:
        assert not ledger.fresh
    path = tmp_path / "ledger.db"
    assert path.stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_everything_is_kept_over_a_restart(tmp_path: Path) -> None:
    filled(tmp_path)
    with reopen(tmp_path) as ledger:
        assert ledger.counts()[0].records[State.PENDING] == 100


def test_an_empty_file_that_a_crash_left_is_filled(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").touch()
    with reopen(tmp_path) as ledger:
        assert ledger.fresh
    assert names(tmp_path) == {"ledger.db", "ledger.lock"}


HALF_DONE = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 1")  # what does not fit is written before the commit
connection.execute("BEGIN IMMEDIATE")
connection.execute("CREATE TABLE half (done)")
for _ in range(100):
    connection.execute("INSERT INTO half VALUES (zeroblob(4000))")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_change_of_the_file_that_a_kill_left_half_done_is_undone_without_anybody(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger.db"
    path.touch()
    killed = subprocess.run([sys.executable, "-c", HALF_DONE, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "ledger.db-journal").stat().st_size
    with reopen(tmp_path) as ledger:
        assert ledger.fresh
    assert not (tmp_path / "ledger.db-journal").exists()
    with reopen(tmp_path) as ledger:
        assert not ledger.fresh


def overwrite_start(path: Path) -> None:
    path.write_bytes(b"no database at all" * 500)


def fill_with_nul(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 4096 * 3)


def spoil_pages(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for page in range(4096, len(data), 4096):
        data[page : page + 64] = b"\xff" * 64
    path.write_bytes(data)


@pytest.mark.parametrize("spoil", [overwrite_start, fill_with_nul, cut_short, spoil_pages])
def test_a_damaged_ledger_is_put_aside_with_all_its_parts(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    filled(tmp_path)
    path = tmp_path / "ledger.db"
    spoil(path)
    spoiled = path.read_bytes()
    (tmp_path / "ledger.db-wal").write_bytes(b"w")
    (tmp_path / "ledger.db-shm").write_bytes(b"s")
    with reopen(tmp_path) as ledger:
        assert ledger.fresh
        assert ledger.counts() == []
        fill(ledger, lane(tmp_path), 1, 3)
    aside = tmp_path / f"ledger.db.{NOON}.bad"
    assert aside.read_bytes() == spoiled
    assert {f"{aside.name}{part}" for part in ("", "-wal", "-shm")} <= names(tmp_path)


def test_a_second_damaged_ledger_does_not_replace_the_first(tmp_path: Path) -> None:
    for _ in range(2):
        filled(tmp_path)
        overwrite_start(tmp_path / "ledger.db")
    reopen(tmp_path).close()
    assert {f"ledger.db.{NOON}.bad", f"ledger.db.{NEXT}.bad"} <= names(tmp_path)


def test_parts_of_a_ledger_that_is_gone_are_put_aside(tmp_path: Path) -> None:
    (tmp_path / "ledger.db-wal").write_bytes(b"old")
    with reopen(tmp_path) as ledger:
        assert ledger.fresh
    assert (tmp_path / f"ledger.db.{NOON}.bad-wal").read_bytes() == b"old"


@pytest.mark.slow
def test_a_damaged_ledger_that_others_use_is_not_put_aside(tmp_path: Path) -> None:
    filled(tmp_path)
    with reopen(tmp_path):
        overwrite_start(tmp_path / "ledger.db")
        with pytest.raises(SpoolError) as caught:
            reopen(tmp_path)
        assert caught.value.id == "ledger.locked"
        assert not [name for name in names(tmp_path) if name.endswith(".bad")]


def test_a_newer_ledger_is_refused_and_not_touched(tmp_path: Path) -> None:
    filled(tmp_path)
    path = tmp_path / "ledger.db"
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(ConfigError) as caught:
        reopen(tmp_path)
    assert (caught.value.id, caught.value.exit_code) == ("ledger.newer", 78)
    assert path.read_bytes() == before
    assert not [name for name in names(tmp_path) if name.endswith(".bad")]


@pytest.mark.parametrize(
    "statement",
    [
        "PRAGMA application_id = 7",
        "PRAGMA user_version = 0",
        "DROP TABLE span",
        "CREATE TABLE x (y)",
    ],
)
def test_a_database_of_another_kind_is_refused_and_not_touched(
    tmp_path: Path, statement: str
) -> None:
    filled(tmp_path)
    path = tmp_path / "ledger.db"
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()
    before = path.read_bytes()
    with pytest.raises(ConfigError) as caught:
        reopen(tmp_path)
    assert caught.value.id == "ledger.foreign"
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["ledger.db", "ledger.db-wal", "ledger.lock"])
def test_a_link_or_fifo_in_its_place_is_not_opened(tmp_path: Path, name: str) -> None:
    spool, elsewhere = tmp_path / "spool", tmp_path / "elsewhere"
    spool.mkdir()
    (spool / name).symlink_to(elsewhere)
    with pytest.raises(SpoolError) as caught:
        reopen(spool)
    assert caught.value.id in {"ledger.kind", "lock.kind"}
    assert not elsewhere.exists()
    (spool / name).unlink()
    os.mkfifo(spool / name)
    if name != "ledger.lock":
        with pytest.raises(SpoolError) as caught:
            reopen(spool)
        assert caught.value.id == "ledger.kind"


def test_a_ledger_with_a_second_name_is_not_opened(tmp_path: Path) -> None:
    filled(tmp_path)
    (tmp_path / "other").hardlink_to(tmp_path / "ledger.db")
    with pytest.raises(SpoolError) as caught:
        reopen(tmp_path)
    assert caught.value.id == "ledger.kind"


@pytest.mark.parametrize("is_file", [False, True])
def test_a_spool_that_is_not_there_is_said_to_be_missing(tmp_path: Path, *, is_file: bool) -> None:
    if is_file:
        (tmp_path / "missing").write_bytes(b"no folder")
    with pytest.raises(ConfigError) as caught:
        reopen(tmp_path / "missing")
    assert caught.value.id == "spool.missing"
    assert str(tmp_path / "missing") in caught.value.message


def test_sigkill_amid_a_transaction_leaves_all_of_it_or_nothing(tmp_path: Path) -> None:
    script = (
        "fill(ledger, lane(spool), 1, 10)\n"
        "move(ledger, lane(spool), (1, 4), (State.PENDING, State.EXPORTED), By.EXPORT)\n"
        "with ledger._database.write() as tx:\n"
        "    tx.execute('DELETE FROM span')\n"
        "    tx.execute('PRAGMA cache_spill = 1')\n"
        "    print('there', flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    process = in_another_process(tmp_path, script)
    output, _ = process.communicate(timeout=60)
    assert (process.returncode, output) == (-signal.SIGKILL, "there\n")
    with reopen(tmp_path) as ledger:
        assert not ledger.fresh
        found = [(span.first, span.last, span.state) for span in ledger.spans(lane(tmp_path))]
        assert found == [(1, 4, State.EXPORTED), (5, 10, State.PENDING)]
        move(ledger, lane(tmp_path), (5, 10), (State.PENDING, State.DELIVERED), By.ANSWER)


def test_sigkill_at_any_moment_keeps_every_number_that_was_reported(tmp_path: Path) -> None:
    script = (
        "for seq in range(1, 100_000):\n"
        "    fill(ledger, lane(spool), seq, seq)\n"
        "    print(seq, flush=True)\n"
    )
    with in_another_process(tmp_path, script) as process:
        assert process.stdout is not None
        reported = [process.stdout.readline() for _ in range(20)][-1]
        process.kill()
        # Not by communicate(), which leaves out the lines that were read ahead.
        last = int((process.stdout.readlines() or [reported])[-1])
    with reopen(tmp_path) as ledger:
        found = ledger.last(lane(tmp_path))
        assert found is not None
        assert found.seq in {last, last + 1}
        assert found.totals_after == totals(found.seq)


def test_readers_do_not_wait_for_a_writer_in_another_process(tmp_path: Path) -> None:
    filled(tmp_path)
    script = (
        "with ledger._database.write() as tx:\n"
        "    tx.execute('DELETE FROM span')\n"
        "    print('writing', flush=True)\n"
        "    sys.stdin.readline()\n"
        "    raise SystemExit\n"
    )
    process = in_another_process(tmp_path, script)
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    with reopen(tmp_path) as ledger:
        assert ledger.counts()[0].head == 10
    process.communicate("\n", timeout=60)


def test_a_disk_that_fails_is_no_damage(tmp_path: Path) -> None:
    script = (
        "import resource\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "try:\n"
        "    for seq in range(1, 100_000, 2):\n"
        "        fill(ledger, lane(spool), seq, seq)\n"
        "except SpoolError as error:\n"
        "    print(error.id, flush=True)\n"
        "os._exit(0)\n"
    )
    output, _ = in_another_process(tmp_path, script).communicate(timeout=60)
    assert output.strip() in {"ledger.io", "ledger.full"}
    with reopen(tmp_path) as ledger:
        assert not ledger.fresh
        assert ledger.counts()[0].segments[State.PENDING] > 10


def full(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA max_page_count = 2")
    connection.execute("CREATE TABLE a (b)")
    connection.execute("INSERT INTO a VALUES (zeroblob(100000))")


def read_only(path: Path) -> None:
    sqlite3.connect(path).execute("CREATE TABLE a (b)")
    sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True).execute("CREATE TABLE c (d)")


def busy(path: Path) -> None:
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    sqlite3.connect(path, timeout=0, isolation_level=None).execute("BEGIN IMMEDIATE")


def unopenable(path: Path) -> None:
    sqlite3.connect(path / "not" / "there")


def corrupt(path: Path) -> None:
    path.write_bytes(b"x" * 5000)
    sqlite3.connect(path).execute("CREATE TABLE a (b)")


@pytest.mark.parametrize(
    ("cause", "id_"),
    [
        (full, "ledger.full"),
        (read_only, "ledger.readonly"),
        (busy, "ledger.busy"),
        (unopenable, "ledger.io"),
        (corrupt, "ledger.corrupt"),
    ],
)
def test_what_sqlite_says_becomes_an_error_of_its_own(
    tmp_path: Path, cause: Callable[[Path], None], id_: str
) -> None:
    path = tmp_path / "a.db"
    with pytest.raises(SpoolError) as caught, translated(path):
        cause(path)
    assert caught.value.id == id_
    assert {each.name for each in tmp_path.iterdir()} <= {path.name, f"{path.name}-journal"}


def test_a_damaged_ledger_leaves_no_descriptor_to_be_collected(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(b"x" * 5000)
    gc.collect()
    gc.disable()
    try:
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a folder of the kernel
        for _ in range(5):
            assert examine(path) is Condition.DAMAGED
            with pytest.raises(SpoolError, match="damaged"):
                Database(path)
        assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - the same
    finally:
        gc.enable()


def test_a_quota_that_is_full_is_a_full_disk_and_no_failing_one(tmp_path: Path) -> None:
    with small_quota(tmp_path / "quota", 2 * 1024 * 1024) as spool:
        with reopen(spool) as ledger:
            fill(ledger, lane(spool), 1, 10)
        fill_up(spool)
        with pytest.raises(SpoolError) as caught, reopen(spool) as ledger:
            fill(ledger, lane(spool), 11, 20)
        assert caught.value.id == "ledger.full"


def test_a_disk_that_became_read_only_is_told_from_one_that_fails(tmp_path: Path) -> None:
    with small_tmpfs(tmp_path / "small", "4m") as spool:
        with reopen(spool) as ledger:
            fill(ledger, lane(spool), 1, 10)
        remount(spool, "ro")
        with pytest.raises(SpoolError) as caught, reopen(spool) as ledger:
            fill(ledger, lane(spool), 11, 20)
        assert caught.value.id in ("ledger.readonly", "disk.read_only")


def test_processes_that_start_together_share_one_ledger(tmp_path: Path) -> None:
    # Each keeps it open until all have it: the first must not keep the others out.
    script = (
        "print(ledger.fresh, flush=True)\n"
        "sys.stdin.readline()\n"
        "fill(ledger, lane(spool), 1, 10)\n"
        "ledger.close()\n"
    )
    processes = [in_another_process(tmp_path, script) for _ in range(4)]
    said = [process.stdout.readline() for process in processes if process.stdout]
    assert sorted(said) == ["False\n"] * 3 + ["True\n"]
    for process in processes:
        process.communicate("\n", timeout=60)
    with reopen(tmp_path) as ledger:
        assert ledger.counts()[0].segments[State.PENDING] == 10


def test_a_clock_of_the_machine_will_do(tmp_path: Path) -> None:
    with Ledger.open(tmp_path, clock=SYSTEM_CLOCK) as ledger:
        fill(ledger, lane(tmp_path), 1, 2)
        move(ledger, lane(tmp_path), (1, 2), (State.PENDING, State.LOST), By.LOSS)


def test_a_child_forked_after_a_ledger_was_closed_keeps_every_descriptor_that_is_its_own(
    tmp_path: Path,
) -> None:
    reopen(tmp_path).close()
    # Whatever number the ledger's files had is one of these now.
    mine = [os.open(os.devnull, os.O_RDONLY) for _ in range(16)]
    pid = os.fork()
    if pid == 0:
        try:
            for fd in mine:
                os.fstat(fd)
            os._exit(0)
        finally:
            os._exit(1)
    for fd in mine:
        os.close(fd)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_living_child_does_not_hold_the_ledger_that_its_parent_closed(tmp_path: Path) -> None:
    ledger = reopen(tmp_path)
    wait, end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(end)
            os.read(wait, 1)
        finally:
            os._exit(0)
    os.close(wait)
    try:
        assert locks.take(tmp_path / "ledger.lock", wait=False) is None
        ledger.close()
        alone = locks.take(tmp_path / "ledger.lock", wait=False)
        assert alone is not None
        locks.let_go(alone)
    finally:
        os.close(end)
        os.waitpid(pid, 0)


def test_a_row_in_every_table_is_damage_in_none(tmp_path: Path) -> None:
    path = tmp_path / NAME
    Ledger.open(tmp_path, clock=SYSTEM_CLOCK).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for table, names in columns(connection).items():
            kinds = [row[2] for row in connection.execute(f"PRAGMA table_info({table})")]
            values = [n if kind == "INTEGER" else "pending" for n, kind in enumerate(kinds, 1)]
            marks = ", ".join("?" * len(names))
            connection.execute(f"INSERT INTO {table} VALUES ({marks})", values)  # noqa: S608
    assert examine(path) is Condition.GOOD
