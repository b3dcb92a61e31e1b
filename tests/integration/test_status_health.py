"""The status tells the truth about health: what stands still is red, an outage with room is not."""

import json
import os
import pty
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from bridge.config import load
from bridge.config.licensekeys import load_license_keys
from bridge.daemon.looking import look_at
from keys.keyfile import read_public_key
from spool.clock import SYSTEM_CLOCK
from spool.durable import OS_DISK
from spool.egressfile import write_egress_state
from spool.ledger import Ledger
from spool.sender_lock import SenderLock
from spool.tail import Tail
from spool.usage import SETTLED_NS, Usage
from spool.writer import Writer
from tests.support.beacon import running_beacon
from tests.support.bridges import Node, node_for
from tests.support.commands import COMMAND, environment
from tests.support.filesystems import small_tmpfs
from tests.support.sending import ONE
from tests.support.spools import FAST, HandClock, new_lane, records, sealer, unit, wait_until

pytestmark = pytest.mark.enable_socket
HOUR = 3_600_000
NOBODY = "http://127.0.0.1:9"
NOT_COUNTED = "What was sealed last is not counted here."


def seal_long_ago(node: Node, hours: int) -> None:
    """Ten records that were accepted so many hours ago."""
    clock = HandClock(wall=SYSTEM_CLOCK.wall_ms() - hours * HOUR)
    lane = new_lane(node.spool)
    tail = Tail.begin(FAST, lane, clock)
    tail.commit([unit(records(10))], 10)
    sealer(lane).seal(tail.filled(), "size")


def serving(node: Node, hours: int) -> SenderLock:
    """The place of a daemon that has been running for so many hours."""
    since = SYSTEM_CLOCK.wall_ms() - hours * HOUR
    return SenderLock(node.spool, version="1", config="bridge.yaml", now_ms=since)


def status_of(node: Node) -> tuple[int, Any]:
    told = node.bridge("status", "--json")
    return told.returncode, json.loads(told.stdout)


def test_backlog_without_progress_is_red_although_egress_says_up(tmp_path: Path) -> None:
    with node_for(tmp_path, NOBODY) as node:
        seal_long_ago(node, 5)
        write_egress_state(OS_DISK, node.spool, "up", SYSTEM_CLOCK.wall_ms() - 4 * HOUR)
        lock = serving(node, 5)
        code, said = status_of(node)
        assert code == 6
        assert said["healthy"] is False
        assert [each["id"] for each in said["problems"]] == ["egress.no_progress"]
        assert "nothing moves" in node.bridge("status").stdout.splitlines()[0]
        # The same in a daemon that has just begun is none yet.
        lock.release()
        lock = serving(node, 0)
        assert status_of(node)[0] == 0
        lock.release()


def test_the_silence_that_a_low_rate_asks_for_after_a_large_record_is_progress(
    tmp_path: Path,
) -> None:
    with (
        running_beacon(tmp_path / "beacon") as beacon,
        node_for(tmp_path, beacon.url) as node,
    ):
        large = ONE["traces"].replace(b'"name":"', b'"name":"' + b"x" * 3_000_000) % 1
        assert node.bridge("append", "traces", stdin=large).returncode == 0
        assert node.bridge("run", "--once").returncode == 0
        # It went at once, 40 minutes ago; at a KiB a second nothing else may go for 48.
        ago = SYSTEM_CLOCK.wall_ms() - 40 * 60_000
        with closing(sqlite3.connect(node.spool / "ledger.db")) as connection, connection:
            changed = connection.execute("UPDATE audit SET at = ? WHERE records > 0", (ago,))
            assert changed.rowcount == 1
        seal_long_ago(node, 5)
        write_egress_state(OS_DISK, node.spool, "up", SYSTEM_CLOCK.wall_ms() - 4 * HOUR)
        lock = serving(node, 5)
        text = node.config.read_text()
        for rate, code in (("1KiB/s", 0), ("2KiB/s", 6), ("null", 6)):
            node.config.write_text(text + f"egress: {{rate: {rate}}}\n")
            assert status_of(node)[0] == code
        lock.release()


def test_without_a_daemon_the_next_step_is_to_start_one_whatever_the_last_one_said(
    tmp_path: Path,
) -> None:
    with node_for(tmp_path, NOBODY) as node:
        seal_long_ago(node, 0)
        reason = "status 401"
        write_egress_state(OS_DISK, node.spool, "paused", SYSTEM_CLOCK.wall_ms(), reason)
        code, said = status_of(node)
        assert (code, said["daemon"]["running"]) == (3, False)
        (problem,) = said["problems"]
        assert problem["message"].startswith("The beacon refused, when it was last asked, ")
        assert problem["hint"].endswith(f"again by the next bridge --config {node.config} run.")
        first = node.bridge("status").stdout.splitlines()[0]
        start = f"Start it: bridge --config {node.config} run."
        assert first.startswith("Nothing is lost; the daemon is not running, 10 records wait, ")
        assert first.endswith(f". {start} And one problem needs you (egress.paused, below).")
        lock = serving(node, 0)
        (problem,) = status_of(node)[1]["problems"]
        assert problem["hint"].endswith("it is tried again.")
        lock.release()


def test_one_is_no_plural_and_nothing_is_no_number(tmp_path: Path) -> None:
    with node_for(tmp_path, NOBODY) as node:
        first = node.bridge("status").stdout.splitlines()[0]
        assert first.startswith("Nothing is lost; the daemon is not running, nothing waits. ")
        with Writer(node.spool, "transactions", node=node.name) as writer:
            writer.append(records(1))
            first = node.bridge("status").stdout.splitlines()[0]
            assert "not running, nothing sealed waits. " in first
        assert node.bridge("run", "--once").returncode == 6
        first = node.bridge("status").stdout.splitlines()[0]
        assert "not running, 1 record waits, the oldest since " in first


def test_an_outage_with_room_is_healthy_and_says_since_when(tmp_path: Path) -> None:
    with node_for(tmp_path, NOBODY) as node:
        node.daemon.start()
        with Writer(node.spool, "transactions", node=node.name) as writer:
            writer.append(records(10))
        end = time.monotonic() + 30
        while "egress is down since" not in (text := node.bridge("status").stdout):
            assert time.monotonic() < end, text
        first = text.splitlines()[0]
        assert first.startswith("Nothing is lost; 10 records wait, the oldest since ")
        assert first.endswith("Z (connection refused). Nothing is to be done.")
        assert status_of(node)[0] == 0


def test_a_spool_that_fills_says_when_it_is_full(tmp_path: Path) -> None:
    with node_for(tmp_path, NOBODY, more="egress: {mode: offline}\n") as node:
        small = "spool: {path: spool, max_size: 64MiB}"
        node.config.write_text(node.config.read_text().replace("spool: {path: spool}", small))
        seal_long_ago(node, 3)
        seal_long_ago(node, 0)
        clock = HandClock(wall=SYSTEM_CLOCK.wall_ms() - HOUR // 2)
        lane = new_lane(node.spool)
        tail = Tail.begin(FAST, lane, clock)
        tail.commit([unit(records(50_000, filler=50))], 50_000)
        sealer(lane).seal(tail.filled(), "size")
        _, said = status_of(node)
        assert said["rates"]["taken"] > 0
        assert said["rates"]["sent"] is None
        assert said["forecast"]["spool_full_at"] > said["at"]
        assert said["forecast"]["first_drop_at"] is None  # it is billing alone
        assert said["forecast"]["drained_at"] is None
        assert "At the present rates the spool is full at" in node.bridge("status").stdout
        # What lies beside the lanes leaves less room for them.
        (node.spool / "others").write_bytes(bytes(32 << 20))
        _, later = status_of(node)
        left, left_before = (
            datetime.fromisoformat(each["forecast"]["spool_full_at"])
            - datetime.fromisoformat(each["at"])
            for each in (later, said)
        )
        assert left_before * 0.4 < left < left_before * 0.6


def test_a_disk_without_room_is_a_problem_and_not_only_a_forecast(tmp_path: Path) -> None:
    with node_for(tmp_path, NOBODY) as node:
        lock = serving(node, 0)
        assert status_of(node)[0] == 0
        full = "spool: {path: spool, min_free: 1000000GiB}"
        node.config.write_text(node.config.read_text().replace("spool: {path: spool}", full))
        code, said = status_of(node)
        assert (code, [each["id"] for each in said["problems"]]) == (3, ["spool.full"])
        lock.release()


def test_a_budget_that_is_smaller_than_the_ballast_takes_billing_all_the_same(
    tmp_path: Path,
) -> None:
    with node_for(tmp_path, NOBODY) as node:
        small = "spool: {path: spool, max_size: 4MiB, min_free: 0B}"
        node.config.write_text(node.config.read_text().replace("spool: {path: spool}", small))
        node.daemon.start()
        ballast = node.spool / "ballast"
        wait_until(ballast.exists, 30)
        assert ballast.stat().st_size > 4 << 20
        taken = node.bridge("append", "transactions", stdin=b'{"id":"a"}\n')
        assert taken.returncode == 0, taken.stderr
        assert status_of(node)[1]["problems"] == []


def test_what_the_intake_refuses_for_want_of_room_is_a_problem_of_the_status(
    tmp_path: Path,
) -> None:
    with node_for(tmp_path, NOBODY) as node:
        lock = serving(node, 0)
        small = "spool: {path: spool, max_size: 10MiB, min_free: 0B}"
        node.config.write_text(node.config.read_text().replace("spool: {path: spool}", small))
        assert status_of(node)[1]["problems"] == []
        # What lies beside the lanes takes room as they do: so the intake counts.
        filling = node.spool / "filling"
        for size, problem in ((93, "spool.filling"), (100, "spool.full")):
            filling.write_bytes(bytes((10 << 20) * size // 100))
            code, said = status_of(node)
            assert (code, [each["id"] for each in said["problems"]]) == (3, [problem])
        lock.release()


def test_who_looks_again_and_again_reads_full_folders_of_segments_once(tmp_path: Path) -> None:
    with node_for(tmp_path, NOBODY) as node:
        seal_long_ago(node, 1)
        (segment,) = node.spool.glob("*/transactions/sealed/00000000/*.zst")
        then = time.time_ns() - 2 * SETTLED_NS
        os.utime(segment.parent, ns=(then, then))
        config, usage = load(node.config, {}), Usage()
        licenses = load_license_keys(config, {})
        with Ledger.open(node.spool, clock=SYSTEM_CLOCK) as ledger:
            first = look_at(config, licenses, ledger, usage)
            with segment.open("ab") as file:  # as nothing of ours does
                file.write(bytes(10 << 20))
            assert look_at(config, licenses, ledger, usage).bytes_used < first.bytes_used + (
                1 << 20
            )
            assert look_at(config, licenses, ledger, Usage()).bytes_used > first.bytes_used + (
                9 << 20
            )


def test_a_disk_filled_to_the_last_byte_is_told_of_and_not_an_error_of_the_status(
    tmp_path: Path,
) -> None:
    with small_tmpfs(tmp_path / "disk", "4m") as disk, node_for(disk, NOBODY) as node:
        lock = serving(node, 0)
        with Ledger.open(node.spool, clock=SYSTEM_CLOCK):  # as the daemon has it
            seal_long_ago(node, 1)
            with pytest.raises(OSError, match="No space left"):
                (disk / "filler").write_bytes(b"x" * (8 << 20))
            code, said = status_of(node)
            assert (code, [each["id"] for each in said["problems"]]) == (3, ["spool.full"])
            assert said["problems"][0]["message"].endswith(NOT_COUNTED)
            (disk / "filler").unlink()
            code, said = status_of(node)
            assert not any(each["message"].endswith(NOT_COUNTED) for each in said["problems"])
            assert sum(lane["records"]["pending"] for lane in said["lanes"]) == 10
        lock.release()


def test_a_daemon_that_takes_nothing_for_a_day_says_so_and_why(tmp_path: Path) -> None:
    with node_for(tmp_path, NOBODY) as node:
        (node.folder / "license_key").write_text("an-offline-license-of-the-vendor")
        lock = serving(node, 25)
        code, said = status_of(node)
        (problem,) = said["problems"]
        assert (code, problem["id"]) == (3, "intake.silent")
        assert "25 hours" in problem["message"]
        assert f"bridge --config {node.config} backfill" in problem["hint"]
        lock.release()


def test_a_relay_is_not_silent_for_want_of_records_of_its_own(tmp_path: Path) -> None:
    with node_for(tmp_path, NOBODY) as node, node_for(tmp_path, NOBODY, name="inside") as other:
        lock = serving(node, 25)
        assert [each["id"] for each in status_of(node)[1]["problems"]] == ["intake.silent"]
        key = other.folder / "keys" / "node.pub.pem"
        trust = ("--role", "node", "--name", "inside", "--fingerprint", read_public_key(key).id)
        assert node.bridge("keys", "trust", str(key), *trust).returncode == 0
        assert status_of(node)[1]["problems"] == []
        lock.release()


def test_waiting_ends_with_zero_when_it_is_so_and_with_one_when_time_is_up(tmp_path: Path) -> None:
    with running_beacon(tmp_path / "beacon") as beacon, node_for(tmp_path, beacon.url) as node:
        with Writer(node.spool, "transactions", node=node.name) as writer:
            writer.append(records(10))
        begun = time.monotonic()
        told = node.bridge("status", "--wait", "drained", "--timeout", "1s")
        assert told.returncode == 1
        assert "Not drained after 1s." in told.stderr
        assert time.monotonic() - begun >= 1
        assert node.bridge("run", "--once").returncode == 0
        for wanted in ("drained", "delivered"):
            assert node.bridge("status", "--wait", wanted, "--timeout", "1s").returncode == 0
        assert node.bridge("status", "--timeout", "1s").returncode == 2
        assert node.bridge("status", "--watch", "--json").returncode == 2


def test_watching_writes_plain_lines_and_ends_well_with_ctrl_c(tmp_path: Path) -> None:
    with node_for(tmp_path, NOBODY, more="egress: {mode: offline}\n") as node:
        seal_long_ago(node, 1)
        with subprocess.Popen(
            [*COMMAND, "--config", str(node.config), "status", "--watch"],
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        ) as watching:
            assert watching.stdout is not None
            first = watching.stdout.readline()
            second = watching.stdout.readline()
            watching.send_signal(signal.SIGINT)
            assert watching.wait(20) == 0
        assert first == "10 records pending, 0 delivered\n"
        assert second == "10 records pending, 0 delivered, 0 a second\n"


def test_watching_redraws_on_a_terminal(tmp_path: Path) -> None:
    with node_for(tmp_path, NOBODY, more="egress: {mode: offline}\n") as node:
        seal_long_ago(node, 1)
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            [*COMMAND, "--config", str(node.config), "status", "--watch"],
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=subprocess.DEVNULL,
            env={**environment(), "TERM": "xterm"},
        ) as watching:
            os.close(theirs)
            shown = b""
            while shown.count(b"\x1b[2J") < 2:
                shown += os.read(ours, 65536)
            watching.send_signal(signal.SIGINT)
            assert watching.wait(20) == 0
        os.close(ours)
        assert b"10 records pending" in shown
        assert b"n/transactions" in shown


@pytest.mark.parametrize("terminal", ["dumb", None])
def test_a_terminal_that_cannot_be_cleared_gets_plain_lines(
    tmp_path: Path, terminal: str | None
) -> None:
    named = {} if terminal is None else {"TERM": terminal}
    with node_for(tmp_path, NOBODY, more="egress: {mode: offline}\n") as node:
        seal_long_ago(node, 1)
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            [*COMMAND, "--config", str(node.config), "status", "--watch"],
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=subprocess.DEVNULL,
            env={name: text for name, text in environment().items() if name != "TERM"} | named,
        ) as watching:
            os.close(theirs)
            shown = b""
            while shown.count(b"\n") < 2:
                shown += os.read(ours, 65536)
            watching.send_signal(signal.SIGINT)
            assert watching.wait(20) == 0
        os.close(ours)
        assert b"\x1b" not in shown
        assert shown.startswith(b"10 records pending")
