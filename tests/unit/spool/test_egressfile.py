"""What the daemon tells the writers."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest

from keys.errors import VerificationError
from spool.egressfile import (
    AGE_FLOWING_MS,
    AGE_WAITING_MS,
    FAILED_MAX,
    STATES,
    WAITING_MAX,
    EgressState,
    LaneFailure,
    read_egress_state,
    seal_age_ms,
    write_egress_state,
)
from spool.lane import Lane
from spool.sender_lock import SenderLock
from tests.support.spools import FAST

AT = 1_795_424_400_000


@contextmanager
def serving(spool: Path) -> Iterator[None]:
    """A daemon has the spool."""
    lock = SenderLock(spool, version="1", config="bridge.yaml", now_ms=AT)
    try:
        yield
    finally:
        lock.release()


@pytest.mark.parametrize("state", STATES)
def test_what_was_written_is_read(tmp_path: Path, state: str) -> None:
    write_egress_state(FAST, tmp_path, "down", 0)
    write_egress_state(FAST, tmp_path, state, AT, "it rains" * 100)
    said = read_egress_state(tmp_path)
    assert said is not None
    assert (said.state, said.since) == (state, "2026-11-23T09:00:00.000Z")
    assert said.reason.startswith("it rains")


@pytest.mark.parametrize(
    ("state", "age"),
    [
        ("up", AGE_FLOWING_MS),
        ("idle", AGE_FLOWING_MS),
        ("down", AGE_WAITING_MS),
        ("paused", AGE_WAITING_MS),
        ("offline", AGE_WAITING_MS),
    ],
)
def test_what_leaves_at_once_is_sealed_soon_and_what_waits_late(
    tmp_path: Path, state: str, age: int
) -> None:
    write_egress_state(FAST, tmp_path, state, AT)
    lane = Lane(tmp_path, "n", "logs")
    with serving(tmp_path):
        assert seal_age_ms(lane, None) == age
        assert seal_age_ms(lane, 77) == 77


def test_a_lane_that_waits_alone_is_sealed_late_and_the_others_soon(tmp_path: Path) -> None:
    one, other = Lane(tmp_path, "n", "logs"), Lane(tmp_path, "n", "traces")
    with serving(tmp_path):
        for state in ("paused", "down", "up"):
            write_egress_state(FAST, tmp_path, state, AT, waiting=[one])
            assert seal_age_ms(one, None) == AGE_WAITING_MS
            assert seal_age_ms(other, None) == AGE_FLOWING_MS


def test_where_more_lanes_wait_than_are_named_the_state_decides(tmp_path: Path) -> None:
    lanes = [Lane(tmp_path, f"n{i}", "logs") for i in range(WAITING_MAX + 1)]
    with serving(tmp_path):
        write_egress_state(FAST, tmp_path, "down", AT, waiting=lanes)
        assert seal_age_ms(Lane(tmp_path, "other", "logs"), None) == AGE_WAITING_MS
        write_egress_state(FAST, tmp_path, "down", AT, waiting=lanes[1:])
        assert seal_age_ms(lanes[0], None) == AGE_FLOWING_MS


def test_without_a_daemon_what_waits_is_sealed_late(tmp_path: Path) -> None:
    lane = Lane(tmp_path, "n", "logs")
    assert seal_age_ms(lane, None) == AGE_WAITING_MS
    # One that was killed said last that everything leaves.
    write_egress_state(FAST, tmp_path, "up", AT, waiting=[])
    assert seal_age_ms(lane, None) == AGE_WAITING_MS


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(60),
        b"junk",
        b'"up"',
        orjson.dumps({"v": 1, "state": "up"}),
        orjson.dumps({"v": 2, "state": "up", "since": "2026-11-23T09:00:00.000Z"}),
        orjson.dumps({"v": 1, "state": "fine", "since": "2026-11-23T09:00:00.000Z"}),
        orjson.dumps({"v": 1, "state": "up", "since": "2026-11-23T09:00:00.000Z", "x": 1}),
        b" " * 2000,
    ],
)
def test_what_is_not_from_the_daemon_says_nothing(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "egress.json").write_bytes(data)
    assert read_egress_state(tmp_path) is None
    with serving(tmp_path):
        assert seal_age_ms(Lane(tmp_path, "n", "logs"), None) == AGE_WAITING_MS


def test_a_link_or_a_fifo_in_its_place_is_not_followed_or_waited_for(tmp_path: Path) -> None:
    write_egress_state(FAST, tmp_path, "up", AT)
    (tmp_path / "egress.json").rename(tmp_path / "elsewhere")
    (tmp_path / "egress.json").symlink_to(tmp_path / "elsewhere")
    assert read_egress_state(tmp_path) is None
    (tmp_path / "egress.json").unlink()
    os.mkfifo(tmp_path / "egress.json")
    assert read_egress_state(tmp_path) is None


def test_lanes_that_fail_are_told_with_their_reason_and_bounded(tmp_path: Path) -> None:
    error = VerificationError("key.untrusted", "It is\u2026 not \u00fcs." + "x" * 900, "Do.")
    failed = [LaneFailure.of(Lane(tmp_path, f"n{i}", "logs"), error) for i in range(200)]
    write_egress_state(FAST, tmp_path, "up", AT, failed=failed)
    said = read_egress_state(tmp_path)
    assert said is not None
    assert list(said.failed) == failed[:FAILED_MAX]
    assert said.failed[0].message.startswith("It is\u2026 not")
    write_egress_state(FAST, tmp_path, "up", AT)
    again = read_egress_state(tmp_path)
    assert again is not None
    assert list(again.failed) == []


def test_what_an_earlier_version_wrote_is_read(tmp_path: Path) -> None:
    said = {"v": 1, "state": "up", "since": "2026-11-23T09:00:00.000Z", "reason": ""}
    (tmp_path / "egress.json").write_bytes(orjson.dumps(said))
    assert read_egress_state(tmp_path) == EgressState("up", "2026-11-23T09:00:00.000Z", "")
