"""A node that takes nothing for a day says so, with the reason that its key's form tells."""

from pathlib import Path

from bridge.daemon.silent import LOOK_EVERY_S, SilenceWatch
from bridge.egress.event import Event
from bridge.operate.silence import SILENT_MS, silence, silent_since
from spool.chain import begin_lane
from spool.clock import SYSTEM_CLOCK
from spool.intakefile import IntakeSaid, IntakeSums
from tests.support.spools import (
    FAST,
    HandClock,
    leave_open,
    new_lane,
    open_tail,
    records,
    seal_one,
    sealer,
)

NOW = SYSTEM_CLOCK.wall_ms()
LATER = NOW + 2 * SILENT_MS


def test_a_day_without_a_record_is_silence_since_the_last_one(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    said = seal_one(lane, records(3))
    assert silent_since(tmp_path, "n", 0, LATER) == said.last_at
    assert silent_since(tmp_path, "n", 0, NOW + SILENT_MS // 2) is None


def test_a_daemon_that_runs_for_less_than_a_day_is_not_judged(tmp_path: Path) -> None:
    new_lane(tmp_path)
    assert silent_since(tmp_path, "n", LATER - SILENT_MS + 1, LATER) is None
    assert silent_since(tmp_path, "n", LATER - SILENT_MS, LATER) == LATER - SILENT_MS


def test_heartbeats_and_other_nodes_records_are_no_sound(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    sealer(lane).heartbeat()
    begin_lane(FAST, new_lane(tmp_path, stream="langgraph"))
    assert silent_since(tmp_path, "n", 5, LATER) == 5
    assert silent_since(tmp_path, "other", 5, LATER) == 5


def test_a_relay_that_never_took_a_record_of_its_own_is_not_silent(tmp_path: Path) -> None:
    begin_lane(FAST, new_lane(tmp_path, stream="langgraph"))
    assert silent_since(tmp_path, "n", 5, LATER, relays=False) == 5
    assert silent_since(tmp_path, "n", 5, LATER, relays=True) is None
    said = seal_one(new_lane(tmp_path), records(3))
    assert silent_since(tmp_path, "n", 5, LATER, relays=True) == said.last_at


def test_what_is_not_sealed_yet_is_a_sound(tmp_path: Path) -> None:
    leave_open(new_lane(tmp_path), records(1))
    assert silent_since(tmp_path, "n", 0, LATER) is None


def test_the_likely_reason_follows_from_the_keys_form_and_from_what_came() -> None:
    offline = silence(NOW, LATER, None, online_key=False)
    assert offline.id == "intake.silent"
    assert "sends nothing by itself" in offline.message
    assert "bridge backfill" in offline.hint
    assert "bridge export" in offline.hint
    online = silence(NOW, LATER, None, online_key=True)
    assert "48 hours" in online.message
    assert "BEACON_ENDPOINT" in online.hint
    came = IntakeSaid("a", "b", IntakeSums(requests={"/v1/logs": 7}))
    assert "7 requests came" in silence(NOW, LATER, came, online_key=False).message


def test_the_daemon_says_it_once_for_each_silence(tmp_path: Path) -> None:
    said: list[Event] = []
    clock = HandClock()
    lane = new_lane(tmp_path)
    watch = SilenceWatch(
        tmp_path, "n", online_key=False, relays=lambda: False, clock=clock, tell=said.append
    )
    for hour in range(60):
        clock.wall += 3_600_000
        clock.seconds += 3600
        watch.look()
        assert len(said) == (hour >= 23), hour
    assert said[0].name == "intake.silent"
    tail = open_tail(lane, [records(1)])
    clock.seconds += LOOK_EVERY_S
    watch.look()
    FAST.close(tail.fd)
    tail.path.unlink()
    clock.seconds += LOOK_EVERY_S
    watch.look()
    assert [event.name for event in said] == ["intake.silent", "intake.silent"]
