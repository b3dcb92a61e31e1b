"""What is kept of a license, and what becomes of it: files, refusals, clocks."""

import shutil
from pathlib import Path
from random import Random

import pytest

from bridge.license.entry import Entry, write_entry
from bridge.license.judgement import Licensed
from bridge.license.keeping import LicenseKeeper
from bridge.license.refreshing import Refresh, read_refreshes, wait_ms, write_refreshes
from bridge.license.states import State, Word
from keys.ed25519 import SigningKey
from tests.support.disks import FastDisk
from tests.support.licensed import DAY_MS, HOUR_MS, KEY, LICENSED, MS, NODE, SIGNER, Cache
from tests.support.tokens import EC, OTHER, claims


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "spool")


@pytest.fixture
def unpinned(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "spool", keys=())


def test_nothing_is_kept_at_first(cache: Cache) -> None:
    found = cache.now()
    assert (found.state, found.served, found.word) == (State.NONE, False, Word.NOT_SERVED)


def test_a_token_is_served_as_it_came_until_its_own_end_to_the_second(cache: Cache) -> None:
    token = cache.token(days=1)
    assert cache.took(token).kept
    cache.clock.pass_ms(DAY_MS - 1)
    assert (cache.now().state, cache.now().token) == (State.VALID, token)
    cache.clock.pass_ms(1)
    assert (cache.now().state, cache.now().token) == (State.GRACE, None)
    cache.clock.pass_ms(14 * DAY_MS)
    assert cache.now().state is State.EXPIRED


def test_it_ends_soon_in_the_last_tenth_if_no_new_one_could_be_had(cache: Cache) -> None:
    cache.took(cache.token(days=30))
    cache.clock.pass_ms(27 * DAY_MS - 1)
    assert cache.now(failed=True).state is State.VALID
    cache.clock.pass_ms(2)
    assert cache.now(failed=True).state is State.EXPIRING
    assert cache.now(failed=True).served
    assert cache.now().state is State.VALID


def test_a_worse_token_takes_no_place(cache: Cache) -> None:
    best = cache.token(days=30)
    cache.took(best)
    for worse in (
        cache.token(days=29),
        best,
        OTHER.sign(None, claims(exp=2_000_000_000)),
        EC.sign(None, claims()),
        cache.token(days=500),
        cache.token(days=31, ago_s=-DAY_MS),
        cache.token(sub=next(iter(Licensed.by(["lcl_of_somebody_else"]).bindings))),
        "e30.e30.c2ln",
        "",
    ):
        assert not cache.took(worse).kept
        assert cache.now().token == best
    better = cache.token(days=31)
    assert cache.took(better, "import").kept
    assert (cache.now().token, cache.now().source) == (better, "import")


def test_when_it_has_ended_any_good_one_takes_its_place(cache: Cache) -> None:
    cache.took(cache.token(days=30))
    cache.clock.pass_ms(31 * DAY_MS)
    assert cache.took(cache.token(days=1)).kept
    assert cache.now().state is State.VALID


def test_a_refusal_ends_it_and_the_beacon_may_take_it_back(cache: Cache) -> None:
    old = cache.token()
    cache.took(old)
    cache.clock.pass_ms(HOUR_MS)
    cache.keeper.refused(NODE, 403, KEY)
    found = cache.now()
    assert (found.state, found.served, found.refused) == (State.DENIED, False, 403)
    assert not cache.took(old, "import").kept
    assert not cache.took(cache.token(ago_s=10), "import").kept
    cache.clock.pass_ms(HOUR_MS)
    assert cache.took(cache.token(days=1), "import").kept
    cache.keeper.refused(NODE, 401, KEY)
    assert cache.took(cache.token(days=1)).kept
    assert cache.now().state is State.VALID


def test_a_token_file_from_before_a_refusal_does_not_undo_it(cache: Cache) -> None:
    cache.took(cache.token())
    before = cache.file.read_bytes()
    cache.clock.pass_ms(1)
    cache.keeper.refused(NODE, 403, KEY)
    cache.file.write_bytes(before)
    assert cache.now().state is State.DENIED


def test_without_a_pinned_key_what_the_beacon_gave_is_served_until_its_end(
    unpinned: Cache,
) -> None:
    token = unpinned.token(days=1, iat=None)
    assert unpinned.took(token).kept
    found = unpinned.now()
    assert (found.state, found.token, found.word) == (State.UNVERIFIABLE, token, Word.SERVED)
    unpinned.clock.pass_ms(DAY_MS)
    assert unpinned.now().token is None


def test_without_a_pinned_key_one_from_a_file_is_not_served(unpinned: Cache) -> None:
    assert unpinned.took(unpinned.token(), "import").kept
    found = unpinned.now()
    assert (found.state, found.served, found.word) == (State.UNVERIFIABLE, False, Word.NOT_SERVED)
    assert found.exit_code == 8
    assert unpinned.took(unpinned.token(days=1)).kept  # the beacon's is better
    assert unpinned.now().served


def test_without_a_pinned_key_one_without_an_end_is_never_kept(unpinned: Cache) -> None:
    assert not unpinned.took(unpinned.token(exp=None)).kept
    assert not unpinned.file.exists()


def test_a_key_that_is_pinned_later_judges_what_is_kept(unpinned: Cache) -> None:
    unpinned.took(OTHER.sign(None, claims()))
    assert unpinned.now().served
    pinned = Cache(unpinned.spool, clock=unpinned.clock)
    assert pinned.now().state is State.TAMPERED


def test_a_kept_token_by_a_key_that_is_not_pinned_later_is_not_served_and_the_next_good_one_is(
    unpinned: Cache,
) -> None:
    unpinned.took(EC.sign(None, claims()))
    pinned = Cache(unpinned.spool, clock=unpinned.clock)
    assert pinned.keeper.note([NODE]).in_order
    found = pinned.now()
    assert (found.state, found.served, found.word) == (
        State.UNVERIFIABLE, False, Word.NOT_SERVED,
    )  # fmt: skip
    assert found.exit_code == 8
    assert found.expires_at is not None
    assert pinned.took(pinned.token(days=0.5)).kept
    assert pinned.now().state is State.VALID


def test_a_file_that_was_changed_is_seen_also_without_a_pinned_key(unpinned: Cache) -> None:
    unpinned.took(unpinned.token())
    good = unpinned.file.read_bytes()
    for at in range(0, len(good), 97):
        unpinned.file.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        assert unpinned.now().state is State.TAMPERED
    for junk in (b"", b"{}", good[:-1], good + b"\n", good * 2, bytes(len(good)), b"x" * 100_000):
        unpinned.file.write_bytes(junk)
        assert unpinned.now().state is State.TAMPERED
        assert not unpinned.now().served
    assert unpinned.took(unpinned.token()).kept  # the next good one heals it
    assert unpinned.now().served


def test_a_link_or_another_nodes_file_is_not_believed(cache: Cache, tmp_path: Path) -> None:
    cache.took(cache.token())
    shutil.copy(cache.file, cache.file.with_name("other.json"))
    assert cache.keeper.reader.judgement("other", LICENSED).state is State.TAMPERED
    kept = cache.file.rename(tmp_path / "elsewhere")
    cache.file.symlink_to(kept)
    assert cache.now().state is State.TAMPERED
    assert not cache.now().reason.endswith(".")  # the end of a sentence is set where it is shown


def test_what_another_key_sealed_is_not_believed(cache: Cache) -> None:
    entry = Entry(NODE, cache.token(), "beacon", cache.clock.wall)
    cache.took(cache.token())
    write_entry(FastDisk(), cache.spool, entry, SigningKey.generate())
    assert cache.now().state is State.TAMPERED


def test_what_an_earlier_key_of_this_node_sealed_is_believed_after_a_rotation(
    unpinned: Cache,
) -> None:
    token = unpinned.token(days=30)
    unpinned.took(token)
    unpinned.clock.pass_ms(DAY_MS)
    unpinned.keeper.note([NODE])
    rotated = SigningKey.generate()
    rotated.took_over_from = (SIGNER.public,)
    rules = unpinned.keeper.reader.rules
    keeper = LicenseKeeper(FastDisk(), unpinned.spool, NODE, rotated, rules, unpinned.clock)
    found = keeper.reader.judgement(NODE, LICENSED)
    assert (found.token, found.anchors_lost) == (token, False)
    unpinned.clock.wall -= HOUR_MS
    assert keeper.reader.judgement(NODE, LICENSED).state is State.CLOCK_ROLLBACK
    unpinned.clock.wall += HOUR_MS
    assert keeper.note([NODE]).in_order
    assert keeper.took(NODE, unpinned.token(days=40), "beacon", KEY, LICENSED).kept
    # Sealed anew by the new key, and so not believed by the old one alone.
    assert unpinned.restarted().reader.judgement(NODE, LICENSED).state is State.TAMPERED


def test_attack_142_the_token_of_another_license_key_is_not_served(cache: Cache) -> None:
    cache.took(cache.token())
    others = Licensed.by(["lcl_EXAMPLE_another"])
    found = cache.keeper.reader.judgement(NODE, others)
    assert (found.state, found.served) == (State.NONE, False)
    both = Licensed.by(["lcl_EXAMPLE_another", KEY])  # exchanged, and the old one still accepted
    assert cache.keeper.reader.judgement(NODE, both).served


def test_no_file_holds_the_license_key(cache: Cache) -> None:
    cache.took(cache.token())
    cache.keeper.refused(NODE, 403, KEY)
    for path in (cache.spool / "license").iterdir():
        assert KEY.encode() not in path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0


def test_attack_145_a_clock_set_back_neither_lengthens_nor_goes_unseen(cache: Cache) -> None:
    cache.took(cache.token(days=30))
    ends_at = cache.now().expires_at
    cache.clock.pass_ms(20 * DAY_MS)
    cache.keeper.note([NODE])
    cache.clock.wall -= 15 * DAY_MS
    for reboot in (False, True):
        if reboot:
            cache.clock.reboot()
        cache.restarted()
        found = cache.now()
        assert (found.state, found.served) == (State.CLOCK_ROLLBACK, False)
        assert found.expires_at == ends_at
    cache.clock.wall += 15 * DAY_MS
    assert cache.now().state is State.VALID


def test_attack_145_in_one_boot_the_end_comes_when_it_comes_whatever_the_wall_says(
    cache: Cache,
) -> None:
    cache.took(cache.token(days=1))
    cache.clock.pass_ms(DAY_MS)
    cache.clock.wall -= 200_000  # within the leeway, and no alarm
    assert cache.now().state is State.GRACE


def test_one_boot_in_2036_is_healed_by_the_next_token(cache: Cache) -> None:
    cache.took(cache.token(days=30))
    far = 10 * 365 * DAY_MS
    cache.clock.wall += far
    cache.keeper.note([NODE])
    assert cache.now().state is State.EXPIRED
    cache.clock.wall -= far
    cache.clock.pass_ms(DAY_MS)
    assert cache.now().state is State.CLOCK_ROLLBACK
    cache.restarted()
    taken = cache.took(cache.token(days=30))
    assert taken.kept
    assert cache.now().state is State.VALID
    for _ in range(3):
        cache.clock.pass_ms(DAY_MS)
        cache.keeper.note([NODE])
        cache.clock.reboot()
        cache.restarted()
        assert cache.now().state is State.VALID


def test_a_token_that_was_kept_before_heals_no_clock(cache: Cache) -> None:
    first = cache.token(days=300)
    cache.took(first)
    cache.clock.pass_ms(100 * DAY_MS)
    cache.keeper.note([NODE])
    cache.clock.wall -= 99 * DAY_MS
    assert not cache.took(first).kept
    assert cache.now().state is State.CLOCK_ROLLBACK


def test_the_time_of_a_receipt_is_one_that_the_clock_does_not_go_behind(cache: Cache) -> None:
    cache.took(cache.token(days=30))
    for name in ("anchors", "anchors.twin"):
        (cache.spool / "license" / name).unlink()
    cache.clock.pass_ms(10 * DAY_MS)
    cache.restarted().heard(NODE, cache.clock.wall)
    cache.keeper.heard(NODE, cache.clock.wall + DAY_MS)  # from a relay whose clock is ahead
    assert cache.now().state is State.VALID
    cache.clock.reboot()
    cache.clock.wall -= DAY_MS
    assert cache.now().state is State.CLOCK_ROLLBACK


@pytest.mark.parametrize("damage", ["one-gone", "one-empty", "one-older", "one-a-folder"])
def test_attack_147_one_damaged_copy_of_the_anchors_changes_nothing(
    cache: Cache, damage: str
) -> None:
    cache.took(cache.token(days=30))
    folder = cache.spool / "license"
    older = (folder / "anchors").read_bytes()
    cache.clock.pass_ms(10 * DAY_MS)
    cache.keeper.note([NODE])
    for name in ("anchors", "anchors.twin"):
        good = (folder / name).read_bytes()
        (folder / name).unlink()
        if damage == "one-empty":
            (folder / name).write_bytes(b"")
        if damage == "one-older":
            (folder / name).write_bytes(older)
        if damage == "one-a-folder":
            (folder / name).mkdir()
        cache.restarted()
        cache.clock.wall -= 5 * DAY_MS
        assert cache.now().state is State.CLOCK_ROLLBACK
        cache.clock.wall += 5 * DAY_MS
        assert cache.now().state is State.VALID
        if damage == "one-a-folder":
            (folder / name).rmdir()
        (folder / name).unlink(missing_ok=True)
        (folder / name).write_bytes(good)


@pytest.mark.parametrize("damage", ["gone", "empty"])
def test_attack_147_lost_anchors_are_told_and_begin_at_what_is_still_known(
    cache: Cache, damage: str
) -> None:
    cache.took(cache.token(days=30))
    for name in ("anchors", "anchors.twin"):
        path = cache.spool / "license" / name
        path.unlink()
        if damage == "empty":
            path.write_bytes(b"")
    cache.restarted()
    assert cache.now().anchors_lost
    cache.clock.wall -= DAY_MS  # before the token was kept
    assert cache.now().state is State.CLOCK_ROLLBACK
    cache.clock.wall += DAY_MS
    assert not cache.keeper.note([NODE]).in_order
    assert cache.keeper.note([NODE]).in_order
    assert not cache.now().anchors_lost


def test_attack_148_sleep_and_time_zones_are_no_alarm(cache: Cache) -> None:
    cache.took(cache.token(days=30))
    cache.clock.wall += 8 * HOUR_MS
    cache.clock.since_boot += 8 * HOUR_MS  # asleep: only the monotonic clock stood still
    assert cache.now().state is State.VALID


def test_a_month_of_hourly_restarts_without_egress_ends_at_the_end_and_never_later(
    cache: Cache,
) -> None:
    cache.took(cache.token(days=30))
    end = (cache.now().expires_at or 0) - cache.clock.wall
    random = Random(7)
    for _ in range(24 * 31):
        before = cache.now(failed=True).state
        cache.clock.pass_ms(HOUR_MS)
        if random.random() < 0.2:
            cache.clock.reboot()
        cache.restarted().note([NODE])
        end -= HOUR_MS
        found = cache.now(failed=True)
        if end > 3 * DAY_MS:
            assert found.state is State.VALID
        elif end > 0:
            assert found.state is (State.VALID if end >= 3 * DAY_MS else State.EXPIRING)
        else:
            assert found.state is State.GRACE
            assert before in (State.EXPIRING, State.GRACE)
        assert found.served == (end > 0)


def test_a_refresh_is_due_after_a_quarter_of_what_is_left_a_little_earlier_by_chance() -> None:
    waits = [wait_ms(40 * HOUR_MS, 0, Random(n)) for n in range(200)]
    assert 8 * HOUR_MS <= min(waits) < max(waits) <= 10 * HOUR_MS
    assert wait_ms(3650 * DAY_MS, 0, Random(1)) <= DAY_MS
    assert wait_ms(1, 0, Random(1)) >= 48_000
    assert wait_ms(None, 1, Random(1)) <= 30_000
    assert max(wait_ms(HOUR_MS, n, Random(n)) for n in range(1, 90)) <= 900_000


def test_what_the_daemon_tells_of_a_refresh_is_read_back_and_junk_is_not(tmp_path: Path) -> None:
    said = {"n": Refresh(1 * MS, "the beacon answered 400", 5 * MS), "m": Refresh(1, "", 2)}
    write_refreshes(FastDisk(), tmp_path, said)
    assert read_refreshes(tmp_path) == said
    for junk in (b"", b"[]", b'{"nodes":{"n":{}}}', b'{"nodes":7}'):
        (tmp_path / "license" / "refresh").write_bytes(junk)
        assert read_refreshes(tmp_path) == {}
    assert read_refreshes(tmp_path / "nowhere") == {}
