"""The writer: durable before acknowledged, by any number of threads and processes."""

import asyncio
import multiprocessing
import multiprocessing.process
import os
import shutil
import signal
import subprocess
import sys
import threading
import traceback
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from spool.durable import Disk
from spool.errors import RecordError, SpoolError
from spool.frames import MIB
from spool.lane import Lane
from spool.openfile import open_files
from spool.safefile import read_whole
from spool.secrets import SecretGuard
from spool.writer import Writer
from tests.support import producers
from tests.support.books import lines, statements
from tests.support.disks import FlakyDisk, GateDisk, broken, no_room
from tests.support.simdisk import Keep, SimDisk
from tests.support.spools import FAST, KEY, HandClock, records, recover, wait_until

ROOT = Path(__file__).parents[3]


def _lane(spool: Path) -> Lane:
    return Lane(spool, "n", "transactions")


def _writer(spool: Path, disk: Disk = FAST, *, seal_size: int = MIB) -> Writer:
    return Writer(spool, "transactions", node="n", signer=KEY, disk=disk, seal_size=seal_size)


def _reasons(spool: Path) -> list[str]:
    return [said.reason for said, _ in statements(_lane(spool), KEY)]


def test_append_returns_only_when_its_records_would_survive_a_power_cut(tmp_path: Path) -> None:
    made = records(3)
    disk = SimDisk(tmp_path)
    writer = Writer(tmp_path, "transactions", node="n", disk=disk)
    assert writer.append(made) == 3
    disk.settle(Keep.NOTHING, Random(0))
    writer.close()
    recover(_lane(tmp_path))
    assert lines(_lane(tmp_path), KEY) == made


def test_what_a_large_append_compressed_itself_would_survive_too(tmp_path: Path) -> None:
    made = records(300, filler=10_000)
    disk = SimDisk(tmp_path)
    writer = Writer(tmp_path, "transactions", node="n", disk=disk)
    writer.append(made)
    disk.settle(Keep.NOTHING, Random(0))
    writer.close()
    recover(_lane(tmp_path))
    assert lines(_lane(tmp_path), KEY) == made


def test_a_large_append_stores_what_its_records_become_not_what_they_were(tmp_path: Path) -> None:
    made = records(3000, filler=700)
    odd = list(made)
    odd[10] = b"\n" + made[10] + b" "
    odd[2999] = made[2999].replace(b'":', b'":\r\n', 1)
    with _writer(tmp_path) as writer:
        assert writer.append(made) == 3000
        assert writer.submit(odd).lines == 3000
    expected = [*made, *made]
    expected[-1] = odd[2999].replace(b"\r\n", b" ")
    assert lines(_lane(tmp_path), KEY) == expected


def test_a_large_append_with_one_bad_record_stores_none_and_the_next_is_stored(
    tmp_path: Path,
) -> None:
    made = records(3000, filler=700)
    guard = SecretGuard(["EXAMPLE-NOT-A-KEY"])
    with Writer(tmp_path, "transactions", node="n", signer=KEY, disk=FAST, guard=guard) as writer:
        for bad in (b'{"id":"1","id":"2"}', b'{"id":"EXAMPLE-NOT-A-KEY"}', b'{"id":""}'):
            with pytest.raises(RecordError):
                writer.append([*made, bad])
        assert writer.append(made[:200]) == 200
    assert lines(_lane(tmp_path), KEY) == made[:200]


def test_several_large_appends_at_once_are_stored_whole(tmp_path: Path) -> None:
    async def all_at_once(writer: Writer, groups: list[list[bytes]]) -> list[int]:
        return await asyncio.gather(*(writer.append_async(group) for group in groups))

    groups = [records(500, f"g{number}", filler=700) for number in range(6)]
    with _writer(tmp_path) as writer:
        tickets = [writer.submit(group) for group in groups]
        for ticket in tickets:
            ticket.wait()
        assert asyncio.run(all_at_once(writer, groups)) == [500] * 6
    found = lines(_lane(tmp_path), KEY)
    assert found[:3000] == [line for group in groups for line in group]
    assert sorted(found[3000:]) == sorted(found[:3000])


def test_eight_threads_store_every_record_once_and_in_each_threads_order(tmp_path: Path) -> None:
    def produce(name: str) -> None:
        for record in records(150, name):
            writer.append([record])

    names = [f"t{n}" for n in range(8)]
    with _writer(tmp_path, seal_size=5000) as writer:
        threads = [threading.Thread(target=produce, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    found = lines(_lane(tmp_path), KEY)
    assert len(found) == 8 * 150
    for name in names:
        assert [line for line in found if name.encode() in line] == records(150, name)


def test_64_coroutines_store_every_record_once_and_in_each_ones_order(tmp_path: Path) -> None:
    async def produce(writer: Writer, name: str) -> None:
        for record in records(10, name):
            assert await writer.append_async([record]) == 1
        assert await writer.append_async([]) == 0
        await writer.append_async(records(2, name + "-large", filler=40_000))

    async def run(writer: Writer) -> None:
        await asyncio.gather(*(produce(writer, f"c{n:02d}") for n in range(64)))

    with _writer(tmp_path) as writer:
        asyncio.run(run(writer))
    found = lines(_lane(tmp_path), KEY)
    assert len(found) == len(set(found)) == 64 * 12
    for n in range(64):
        mine = [line for line in found if b"c%02d" % n in line]
        assert mine == records(10, f"c{n:02d}") + records(2, f"c{n:02d}-large", filler=40_000)


def test_a_coroutine_that_was_cancelled_leaves_the_others_of_its_group_alone(
    tmp_path: Path,
) -> None:
    disk = GateDisk(lambda thread: thread.name == "committer")

    async def run(writer: Writer) -> None:
        first = asyncio.create_task(writer.append_async(records(1, "first")))
        await asyncio.to_thread(disk.arrived.wait)
        gone = asyncio.create_task(writer.append_async(records(1, "gone")))
        stays = asyncio.create_task(writer.append_async(records(1, "stays")))
        await asyncio.sleep(0)
        gone.cancel()
        disk.gate.set()
        assert await first == await stays == 1

    with _writer(tmp_path, disk) as writer:
        asyncio.run(run(writer))
    assert set(records(1, "first") + records(1, "stays")) <= set(lines(_lane(tmp_path), KEY))


def test_several_processes_make_one_chain_with_every_record(tmp_path: Path) -> None:
    spawn, fork = multiprocessing.get_context("spawn"), multiprocessing.get_context("fork")
    children: list[multiprocessing.process.BaseProcess] = []
    for n in range(2):
        for make, method in ((spawn.Process, "spawn"), (fork.Process, "fork")):
            arguments = (tmp_path, f"{method}{n}", 60)
            children.append(make(target=producers.append_some, args=arguments))
    for child in children:
        child.start()
    for child in children:
        child.join()
    # A child's own words, as far as they got anywhere: what it raised, and what is left unsealed.
    said = {path.name: path.read_text() for path in tmp_path.glob("*.raised")}
    assert ([child.exitcode for child in children], said) == ([0] * 4, {})
    found = lines(_lane(tmp_path), KEY)
    assert len(found) == 240
    for name in ("spawn0", "spawn1", "fork0", "fork1"):
        assert [line for line in found if name.encode() in line] == records(60, name)
    chains = {said.chain for said, _ in statements(_lane(tmp_path), KEY)}
    assert len(chains) == 1


def _fork(work: Callable[[], None]) -> tuple[int, int]:
    """A child that does its work, says so, and lives until it is killed: its pid, and a pipe."""
    done, say = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os.write(say, b".")
            signal.pause()
        except BaseException:
            traceback.print_exc()  # else nobody would hear of it
            raise
        finally:
            os._exit(1)
    os.close(say)
    return pid, done


def _kill(pid: int, pipe: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(pipe)


def test_a_forked_child_writes_a_file_of_its_own_and_holds_none_of_its_parents(
    tmp_path: Path,
) -> None:
    lane = _lane(tmp_path)
    writer = Writer(tmp_path, "transactions", node="n", disk=FAST)
    writer.append(records(2, "parent"))
    pid, pipe = _fork(lambda: _append(writer, records(2, "child")))
    try:
        assert os.read(pipe, 1) == b"."
        assert len(open_files(lane)) == 2
        writer.append(records(1, "later"))
        writer.close()
        recover(lane)
        # The child lives: its file is its own, the parent's is nobody's.
        assert lines(lane, KEY) == records(2, "parent") + records(1, "later")
        assert len(open_files(lane)) == 1
    finally:
        _kill(pid, pipe)
    (left,) = recover(lane)
    assert left.sealed is not None
    assert left.sealed.reason == "handover"
    assert lines(lane, KEY)[3:] == records(2, "child")


def _append(writer: Writer, made: list[bytes]) -> None:
    writer.append(made)


def test_a_child_forked_in_the_middle_of_appends_can_append(tmp_path: Path) -> None:
    stop = threading.Event()

    def produce() -> None:
        while not stop.is_set():
            writer.append(records(1, "parent"))

    with _writer(tmp_path) as writer:
        threads = [threading.Thread(target=produce) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for n in range(5):
                pid, pipe = _fork(lambda n=n: _append(writer, records(1, f"child{n}")))  # type: ignore[misc]
                assert os.read(pipe, 1) == b"."
                _kill(pid, pipe)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    recover(_lane(tmp_path))
    found = lines(_lane(tmp_path), KEY)
    assert {line for line in found if b"child" in line} == {
        records(1, f"child{n}")[0] for n in range(5)
    }


def test_without_a_signer_the_file_is_closed_for_recovery_to_seal(tmp_path: Path) -> None:
    with Writer(tmp_path, "transactions", node="n", disk=FAST) as writer:
        writer.append(records(2))
    assert not (tmp_path / "n/transactions/head").exists()
    recover(_lane(tmp_path))
    assert _reasons(tmp_path) == ["handover"]
    assert lines(_lane(tmp_path), KEY) == records(2)


def test_a_killed_process_leaves_every_record_that_it_acknowledged(tmp_path: Path) -> None:
    acknowledged = []
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.producers", "append_and_say", tmp_path],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            acknowledged.append(line.rstrip(b"\n"))
            if len(acknowledged) == 150:
                child.kill()
    recover(_lane(tmp_path))
    found = lines(_lane(tmp_path), KEY)
    assert len(acknowledged) >= 150
    assert found[: len(acknowledged)] == acknowledged
    assert len(found) - len(acknowledged) <= 1
    assert not open_files(_lane(tmp_path))


@pytest.mark.parametrize("operation", ["write", "sync"])
def test_after_a_failed_operation_the_group_goes_to_a_new_file(
    tmp_path: Path, operation: str
) -> None:
    disk = FlakyDisk()
    made = records(6)
    with _writer(tmp_path, disk) as writer:
        writer.append(made[:2])
        disk.failures = [(operation, broken())]
        writer.append(made[2:4])
        writer.append(made[4:])
    # The old file counts up to what was acknowledged: no record of the failed group is in it.
    assert [held for _, held in statements(_lane(tmp_path), KEY)] == [made[:2], made[2:]]
    assert _reasons(tmp_path) == ["recovered", "shutdown"]
    assert not open_files(_lane(tmp_path))


def test_a_disk_that_is_full_for_a_while_costs_no_record_and_doubles_none(tmp_path: Path) -> None:
    disk = FlakyDisk()
    made = records(8)
    acknowledged = []
    with _writer(tmp_path, disk) as writer:
        for n, record in enumerate(made):
            disk.failures = [("write", no_room())] * 2 if n in (0, 3, 4) else []
            try:
                writer.append([record])
                acknowledged.append(record)
            except SpoolError as error:
                assert error.id == "disk.full"  # noqa: PT017 - most of them succeed
    assert acknowledged == made[1:3] + made[5:]
    assert lines(_lane(tmp_path), KEY) == acknowledged
    assert not open_files(_lane(tmp_path))


def test_a_new_file_that_cannot_even_be_made_is_an_error_and_no_end(tmp_path: Path) -> None:
    disk = FlakyDisk()
    with _writer(tmp_path, disk) as writer:
        disk.failures = [("create", broken())] * 2
        with pytest.raises(SpoolError) as caught:
            writer.append(records(1))
        assert caught.value.id == "disk.failed"
        assert writer.append(records(1, "later")) == 1
    assert lines(_lane(tmp_path), KEY) == records(1, "later")


def test_an_interrupted_write_spoils_nothing_that_is_written_later(tmp_path: Path) -> None:
    disk = FlakyDisk()
    with _writer(tmp_path, disk) as writer:
        writer.append(records(1, "before"))
        disk.failures = [("write", KeyboardInterrupt())]
        with pytest.raises(KeyboardInterrupt):
            writer.append(records(1, "during"))
        writer.append(records(1, "after"))
    assert lines(_lane(tmp_path), KEY) == records(1, "before") + records(1, "after")


def test_an_unexpected_error_reaches_its_callers_and_the_committer_goes_on(tmp_path: Path) -> None:
    disk = FlakyDisk()
    with _writer(tmp_path, disk) as writer:
        disk.failures = [("write", MemoryError())]
        with pytest.raises(MemoryError):
            asyncio.run(writer.append_async(records(1, "lost")))
        assert asyncio.run(writer.append_async(records(1, "after"))) == 1
    assert lines(_lane(tmp_path), KEY) == records(1, "after")


def test_a_limit_on_the_size_of_files_costs_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.producers", "append_under_a_size_limit", tmp_path],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    acknowledged = done.stdout.splitlines()
    recover(_lane(tmp_path))
    assert lines(_lane(tmp_path), KEY) == acknowledged == records(100, filler=300)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> "Path":
    mounted = tmp_path / "tiny"
    mounted.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(mounted)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this user may not mount a file system")
    return mounted


def test_a_disk_that_really_fills_up_keeps_what_it_acknowledged(tiny_disk: Path) -> None:
    try:
        writer = _writer(tiny_disk, seal_size=20_000)
        acknowledged = []
        refused = 0
        random = Random(1)
        for n in range(40):
            record = b'{"id":"%d","x":"%b"}' % (n, random.randbytes(4000).hex().encode())
            try:
                writer.append([record])
                acknowledged.append(record)
            except SpoolError as error:
                refused += 1
                assert error.id == "disk.full"  # noqa: PT017 - not every append fails
        assert refused
        assert acknowledged
        try:
            writer.close()
        except SpoolError as error:
            assert error.id == "disk.full"  # noqa: PT017 - it may have found room
        subprocess.run(["mount", "-o", "remount,size=2m", tiny_disk], check=True)
        recover(_lane(tiny_disk))
        # What could not be sealed at the time comes later, with what was refused at most.
        assert sorted(lines(_lane(tiny_disk), KEY)) == sorted(acknowledged)
    finally:
        subprocess.run(["umount", "-l", tiny_disk], check=True)


def test_a_file_is_sealed_when_it_has_the_size(tmp_path: Path) -> None:
    with _writer(tmp_path, seal_size=100) as writer:
        writer.append(records(2))
        writer.append(records(4))
        wait_until(_lane(tmp_path).head.exists)
        writer.append(records(1))
    assert _reasons(tmp_path) == ["size", "shutdown"]


def test_a_file_is_sealed_when_it_has_the_age_and_not_before(tmp_path: Path) -> None:
    clock = HandClock()
    looked = threading.Event()
    with Writer(
        tmp_path, "transactions", node="n", signer=KEY, seal_age_ms=5000, disk=FAST, clock=clock
    ) as writer:
        writer.append(records(1))
        clock.seconds += 4.9
        looked.wait(1.2)
        assert len(open_files(_lane(tmp_path))) == 1
        clock.seconds += 0.1
        wait_until(_lane(tmp_path).head.exists)
        assert not open_files(_lane(tmp_path))
    assert _reasons(tmp_path) == ["age"]


def test_an_idle_writer_seals_when_somebody_asks_for_it(tmp_path: Path) -> None:
    with Writer(
        tmp_path, "transactions", node="n", signer=KEY, disk=FAST, clock=HandClock()
    ) as writer:
        writer.append(records(1))
        request = tmp_path / "n/transactions/seal-request"
        request.touch()
        wait_until(_lane(tmp_path).head.exists)
        assert lines(_lane(tmp_path), KEY) == records(1)
        # Asked once, it does so once: the next file stays open. Nor is it meant by who asked before it.
        request.touch()
        writer.append(records(1))
        threading.Event().wait(1.2)
        assert len(open_files(_lane(tmp_path))) == 1
        request.touch()
        wait_until(lambda: not open_files(_lane(tmp_path)))


def test_a_refused_record_stores_nothing_of_its_call(tmp_path: Path) -> None:
    with _writer(tmp_path) as writer:
        with pytest.raises(RecordError):
            writer.append([*records(2), b"no json"])
        assert not open_files(_lane(tmp_path))
        assert writer.append(records(1)) == 1
    assert lines(_lane(tmp_path), KEY) == records(1)


def test_closing_twice_is_closing_once(tmp_path: Path) -> None:
    writer = _writer(tmp_path)
    writer.append(records(1))
    writer.close()
    writer.close()
    assert _reasons(tmp_path) == ["shutdown"]


def test_a_writer_that_never_wrote_leaves_no_segment(tmp_path: Path) -> None:
    _writer(tmp_path).close()
    assert not list(_lane(tmp_path).sealed_numbers())
    assert not open_files(_lane(tmp_path))


def test_appending_after_close_is_refused(tmp_path: Path) -> None:
    writer = _writer(tmp_path)
    writer.close()
    with pytest.raises(SpoolError) as caught:
        writer.append(records(1))
    assert caught.value.id == "writer.closed"


def test_close_commits_what_only_has_a_ticket(tmp_path: Path) -> None:
    writer = _writer(tmp_path)
    tickets = [writer.submit_lines([record]) for record in records(50)]
    writer.close()
    for ticket in tickets:
        ticket.wait()
    assert lines(_lane(tmp_path), KEY) == records(50)


def test_a_sealing_that_waits_for_the_disk_holds_up_no_append(tmp_path: Path) -> None:
    disk = GateDisk(lambda thread: thread.name == "keeper")
    with _writer(tmp_path, disk, seal_size=100) as writer:
        writer.append(records(10, "sealed"))
        assert disk.arrived.wait(30)
        assert writer.append(records(10, "during")) == 10
        assert len(open_files(_lane(tmp_path))) == 2
        disk.gate.set()
    assert lines(_lane(tmp_path), KEY) == records(10, "sealed") + records(10, "during")


def test_what_keeps_a_file_from_being_sealed_is_told_and_ends_nothing(tmp_path: Path) -> None:
    lane = _lane(tmp_path)
    writer = _writer(tmp_path, seal_size=100)
    lane.chain_lock.symlink_to(tmp_path / "elsewhere")
    writer.append(records(10, "first"))
    wait_until(lambda: writer.problem is not None)
    assert writer.problem is not None
    assert writer.problem.id == "lock.kind"
    lane.chain_lock.unlink()
    writer.append(records(10, "second"))
    wait_until(lane.head.exists)
    with pytest.raises(SpoolError):
        writer.close()
    recover(lane)
    assert lines(lane, KEY) == records(10, "second") + records(10, "first")


def test_what_recovery_has_sealed_meanwhile_is_no_problem_of_the_writer_any_more(
    tmp_path: Path,
) -> None:
    lane = _lane(tmp_path)
    writer = _writer(tmp_path, seal_size=100)
    lane.chain_lock.symlink_to(tmp_path / "elsewhere")
    writer.append(records(10))
    wait_until(lambda: writer.problem is not None)
    lane.chain_lock.unlink()
    recover(lane)
    assert writer.problem is None
    writer.close()
    assert lines(lane, KEY) == records(10)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_committer_that_has_ended_leaves_nobody_waiting(tmp_path: Path) -> None:
    disk = FlakyDisk()
    with _writer(tmp_path, disk) as writer:
        writer.append(records(1))
        disk.failures = [("sync", SystemExit())]
        with pytest.raises(SpoolError, match="told to stop"):
            writer.submit(records(2)).wait()
        later = threading.Thread(target=lambda: writer.submit(records(3)).wait(), daemon=True)
        later.start()
        later.join(30)
        assert not later.is_alive()


def _moved(open_file: Path) -> None:
    open_file.rename(open_file.with_suffix(".elsewhere"))


def _replaced(open_file: Path) -> None:
    open_file.unlink()
    open_file.write_bytes(b"")


@pytest.mark.parametrize("happens", [_moved, Path.unlink, _replaced])
def test_nothing_is_acknowledged_in_a_file_that_is_not_in_the_spool_any_more(
    tmp_path: Path, happens: Callable[[Path], object]
) -> None:
    writer = _writer(tmp_path)
    writer.append(records(2, "before"))
    (open_file,) = open_files(_lane(tmp_path))
    happens(open_file)
    assert writer.append(records(3, "after")) == 3
    with pytest.raises(SpoolError, match=r"acknowledged were 2,") as told:
        writer.close()
    assert told.value.id == "writer.file_gone"
    assert writer.problem is told.value
    assert lines(_lane(tmp_path), KEY) == records(3, "after")


@pytest.mark.parametrize("happens", [shutil.rmtree, lambda spool: spool.rename(f"{spool}.old")])
def test_nothing_is_acknowledged_where_the_spool_was_moved_or_removed(
    tmp_path: Path, happens: Callable[[Path], object]
) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    writer = _writer(spool)
    writer.append(records(2, "before"))
    happens(spool)
    for _ in range(2):
        with pytest.raises(SpoolError) as told:
            writer.append(records(1, "after"))
        assert told.value.id == "disk.path"
    with pytest.raises(SpoolError) as gone:
        writer.close()
    assert gone.value.id == "writer.file_gone"
    assert not spool.exists()


def test_a_file_that_was_moved_away_and_back_is_sealed_by_recovery(tmp_path: Path) -> None:
    writer = _writer(tmp_path)
    writer.append(records(2, "before"))
    (open_file,) = open_files(_lane(tmp_path))
    away = open_file.rename(tmp_path / "away")
    with pytest.raises(SpoolError):
        writer.close()
    away.rename(open_file)
    recover(_lane(tmp_path))
    assert lines(_lane(tmp_path), KEY) == records(2, "before")


def test_a_writers_memory_does_not_grow_with_what_it_writes(tmp_path: Path) -> None:
    made = records(100, filler=10_000)
    with _writer(tmp_path, seal_size=2 * MIB) as writer:
        writer.append(made)
        tracemalloc.start()
        try:
            for _ in range(60):
                writer.append(made)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 24 * MIB  # of 60: a file in use, and one that is being sealed


def test_a_spool_that_cannot_be_written_is_an_error_for_people(tmp_path: Path) -> None:
    (tmp_path / "n").write_bytes(b"a file where a folder belongs")
    with pytest.raises(SpoolError) as caught:
        _writer(tmp_path)
    assert caught.value.id == "disk.path"
    assert str(tmp_path / "n") in caught.value.message


def test_two_writers_of_one_process_write_two_files(tmp_path: Path) -> None:
    with _writer(tmp_path) as one, _writer(tmp_path) as other:
        one.append(records(1, "one"))
        other.append(records(1, "other"))
        names = open_files(_lane(tmp_path))
        assert len(names) == 2
        assert all(read_whole(name, MIB, own=True) for name in names)
    assert sorted(lines(_lane(tmp_path), KEY)) == records(1, "one") + records(1, "other")


def test_attack_068_an_otlp_record_with_a_secret_is_refused_and_never_left_out_in_silence(
    tmp_path: Path,
) -> None:
    guard = SecretGuard(["lcl_SECRET_KEY"])
    with Writer(tmp_path, "logs", node="n", signer=KEY, guard=guard) as writer:
        body = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"a":"lcl_SECRET_KEY"},{"a":1}]}]}]}'
        with pytest.raises(RecordError) as caught:
            writer.append([body])
        assert caught.value.id == "record.secret"
    assert lines(Lane(tmp_path, "n", "logs"), KEY) == []
