"""The state of what is kept, at each of its bounds, and which of two tokens is the better one."""

from dataclasses import replace
from typing import get_args

import pytest

from bridge.license.clockguard import Now
from bridge.license.entry import Entry, Source, binding_of, mark_of
from bridge.license.judgement import (
    REFRESH_MIN_MS,
    Judgement,
    Kept,
    Licensed,
    Rules,
    ends_soon_within,
    is_better,
    judge_kept,
    why,
)
from bridge.license.states import TABLE, State, Word
from keys.tokens import Reason, Standing, Verdict
from tests.support.licensed import DAY_MS, HOUR_MS, KEY, LICENSED, MS, NODE, rules
from tests.support.tokens import AUDIENCE, DAY_S, ED, ISSUER, NOW_S, OTHER, claims

NOW = NOW_S * MS
RULES = rules()
UNPINNED = rules(())
TOKEN = ED.sign(None, claims(iat=NOW_S, exp=NOW_S + 30 * DAY_S))
END = NOW + 30 * DAY_MS
ENTRY = Entry(NODE, TOKEN, "beacon", NOW + 7, mark_of(KEY))
REFUSED = Entry(NODE, "", "beacon", NOW, mark_of(KEY), 403)


def judged(
    entry: Entry | None = ENTRY,
    at: int = NOW,
    by: Rules = RULES,
    licensed: Licensed = LICENSED,
    *,
    rolled_back: bool = False,
    denied_at: int = 0,
    failed: bool = False,
) -> Judgement:
    return judge_kept(
        Kept(entry),
        Now(at, rolled_back),
        by,
        licensed,
        denied_at=denied_at,
        refresh_failed=failed,
    )


def test_a_judgement_says_all_that_is_known_of_the_token() -> None:
    found = judged(at=NOW + 9)
    assert found == Judgement(State.VALID, "", NOW + 9, NOW, END, NOW + 7, "beacon", 0, token=TOKEN)
    assert TOKEN not in repr(found)


def test_a_token_that_is_not_signed_by_its_key_has_times_that_are_not_told() -> None:
    forged = OTHER.sign(None, claims(iat=NOW_S, exp=NOW_S + DAY_S))
    found = judged(replace(ENTRY, token=forged))
    assert (found.state, found.reason, found.token) == (
        State.TAMPERED, "the token was not signed by the vendor's key", None,
    )  # fmt: skip
    assert (found.issued_at, found.expires_at, found.got_at) == (None, None, NOW + 7)


def test_damage_comes_before_everything_and_lost_anchors_are_told_beside_it() -> None:
    for kept, state, reason in [
        (Kept(ENTRY, "it is no file"), State.TAMPERED, "it is no file"),
        (Kept(None, "it is no file"), State.TAMPERED, "it is no file"),
        (Kept(None), State.NONE, ""),
        (Kept(replace(ENTRY, mark="0" * 64)), State.NONE, "what is kept is of another license key"),
        (Kept(ENTRY), State.VALID, ""),
    ]:
        for lost in (False, True):
            found = judge_kept(
                kept, Now(NOW, rolled_back=False), RULES, LICENSED, anchors_lost=lost
            )
            assert (found.state, found.at, found.anchors_lost) == (state, NOW, lost)
            assert found.reason.startswith(reason)
            assert found.served == (state is State.VALID)


def test_a_key_that_nobody_knows_and_an_entry_of_no_key_are_taken_for_the_same() -> None:
    assert judged(licensed=Licensed()).state is State.VALID
    assert judged(replace(ENTRY, mark="")).state is State.VALID
    assert judged(licensed=Licensed.by(["another"])).state is State.NONE
    assert judged(licensed=Licensed.by(["another", KEY])).state is State.VALID


def test_a_token_of_another_license_is_none_of_this_node() -> None:
    token = ED.sign(None, claims(iat=NOW_S, exp=NOW_S + DAY_S, sub=binding_of("another")))
    found = judged(replace(ENTRY, token=token))
    assert (found.state, found.reason) == (State.TAMPERED, "the token is of another license")
    known = Licensed.by([KEY, "another"])
    assert judged(replace(ENTRY, token=token), licensed=known).state is State.VALID


def test_a_license_is_known_by_two_digests_of_each_of_its_keys() -> None:
    assert Licensed.by(["a", "b"]) == Licensed(
        frozenset({mark_of("a"), mark_of("b")}), frozenset({binding_of("a"), binding_of("b")})
    )


@pytest.mark.parametrize(
    ("at", "state"),
    [
        (END - 1, State.VALID),
        (END, State.GRACE),
        (END + RULES.grace - 1, State.GRACE),
        (END + RULES.grace, State.EXPIRED),
    ],
)
def test_a_token_ends_to_the_millisecond_and_so_does_its_grace(at: int, state: State) -> None:
    found = judged(at=at)
    assert (found.state, found.served, found.expires_at) == (state, state is State.VALID, END)
    assert found.reason == ""


@pytest.mark.parametrize(
    ("left", "state"), [(3 * DAY_MS, State.VALID), (3 * DAY_MS - 1, State.EXPIRING)]
)
def test_it_ends_soon_in_less_than_the_last_tenth_and_only_where_no_new_one_comes(
    left: int, state: State
) -> None:
    found = judged(at=END - left, failed=True)
    assert (found.state, found.reason) == (state, "")
    # Unless somebody says so, a new one can be had.
    now = Now(END - left, rolled_back=False)
    assert judge_kept(Kept(ENTRY), now, RULES, LICENSED).state is State.VALID


def test_a_short_token_ends_soon_while_there_is_time_for_less_than_three_requests() -> None:
    assert ends_soon_within(10 * HOUR_MS) == HOUR_MS
    assert ends_soon_within(MS) == 3 * REFRESH_MIN_MS
    assert ends_soon_within(30 * REFRESH_MIN_MS) == 3 * REFRESH_MIN_MS
    assert ends_soon_within(30 * REFRESH_MIN_MS + 10) == 3 * REFRESH_MIN_MS + 1
    short = replace(ENTRY, token=ED.sign(None, claims(iat=NOW_S, exp=NOW_S + 600)))
    assert judged(short, NOW + 420_000, failed=True).state is State.VALID
    assert judged(short, NOW + 420_001, failed=True).state is State.EXPIRING


def test_a_token_that_nobody_can_verify_may_lack_its_issue_time_and_never_ends_soon() -> None:
    token = ED.sign(None, claims(iat=None, exp=NOW_S + 30 * DAY_S))
    found = judged(replace(ENTRY, token=token), END - DAY_MS, UNPINNED, failed=True)
    assert (found.state, found.issued_at) == (State.UNVERIFIABLE, None)


def test_a_refusal_counts_until_something_newer_was_kept() -> None:
    found = judged(REFUSED)
    assert (found.state, found.reason, found.refused) == (
        State.DENIED, "the beacon answered 403", 403,
    )  # fmt: skip
    assert judged(denied_at=ENTRY.got_at).state is State.VALID
    later = judged(denied_at=ENTRY.got_at + 1)
    assert (later.state, later.served) == (State.DENIED, False)


def test_the_first_row_of_the_table_that_applies_is_the_state() -> None:
    early = replace(ENTRY, token=ED.sign(None, claims(nbf=NOW_S + 600)))
    forged = replace(ENTRY, token=OTHER.sign(None, claims()))
    denied_at = ENTRY.got_at + 1
    assert judged(forged, rolled_back=True, denied_at=denied_at).state is State.TAMPERED
    assert judged(rolled_back=True, denied_at=denied_at).state is State.DENIED
    assert judged(REFUSED, rolled_back=True).state is State.DENIED
    for found, state in [
        (judged(early, rolled_back=True), State.CLOCK_ROLLBACK),
        (judged(early), State.NOT_YET_VALID),
        (judged(None), State.NONE),
    ]:
        assert (found.state, found.reason, found.served) == (state, "", False)


def test_where_no_key_is_pinned_only_what_the_beacon_answered_is_served() -> None:
    for source in get_args(Source):
        found = judged(replace(ENTRY, source=source), by=UNPINNED)
        assert (found.state, found.source) == (State.UNVERIFIABLE, source)
        assert found.reason == "no key of the vendor's is pinned"
        assert found.served == (source == "beacon")
        assert found.word is (Word.SERVED if source == "beacon" else Word.NOT_SERVED)
        assert found.exit_code == (0 if source == "beacon" else TABLE[State.NONE].exit_code)
    assert judged(at=END, by=UNPINNED).state is State.GRACE


def test_the_rules_are_those_by_which_a_token_is_judged() -> None:
    def verdict(**more: object) -> Verdict:
        token = ED.sign(None, claims(iat=NOW_S, exp=NOW_S + DAY_S) | more)
        return RULES.verdict(token, LICENSED.bindings, NOW + MS - 1)

    assert verdict() == Verdict(Standing.VALID, "", NOW_S, NOW_S + DAY_S)
    assert verdict(iss="another").reason == "issuer"
    assert verdict(aud="another").reason == "audience"
    assert verdict(iss=ISSUER, aud=AUDIENCE, sub=binding_of(KEY)).reason == ""
    assert verdict(sub=binding_of("another")).reason == "binding"
    assert verdict(exp=NOW_S + 400 * DAY_S).reason == ""
    assert verdict(exp=NOW_S + 400 * DAY_S + 1).reason == "life"
    shorter = replace(RULES, max_life=DAY_MS).verdict(TOKEN, LICENSED.bindings, NOW)
    assert (shorter.standing, shorter.reason) == (Standing.TAMPERED, "life")
    assert verdict(exp=NOW_S + 1).standing is Standing.VALID
    assert verdict(exp=NOW_S).standing is not Standing.VALID
    assert verdict(nbf=NOW_S + 300).standing is Standing.VALID
    assert verdict(nbf=NOW_S + 301).standing is Standing.NOT_YET_VALID


def test_every_reason_has_words_and_what_ended_or_is_early_has_its_own() -> None:
    words = {why(Verdict(Standing.TAMPERED, reason)) for reason in get_args(Reason) if reason}
    words |= {why(Verdict(each, "claims")) for each in (Standing.EXPIRED, Standing.NOT_YET_VALID)}
    assert len(words) == len(get_args(Reason)) - 1 + 2
    assert all(words)
    assert why(Verdict(Standing.VALID)) == ""


GOOD = Verdict(Standing.VALID, "", NOW_S, NOW_S + DAY_S)
UNVERIFIABLE = Verdict(Standing.UNVERIFIABLE, "unpinned", NOW_S, NOW_S + DAY_S)
HELD = Judgement(State.VALID, "", NOW, source="beacon")


def better(
    new: Verdict,
    old: Judgement = HELD,
    old_verdict: Verdict | None = GOOD,
    *,
    got_here: bool = False,
    denied_at: int = 0,
) -> bool:
    return is_better(new, old, old_verdict, got_here=got_here, denied_at=denied_at)


@pytest.mark.parametrize(
    ("change", "wins"),
    [
        ({}, False),
        ({"expires_at": NOW_S + DAY_S + 1}, True),
        ({"expires_at": NOW_S + DAY_S - 1, "issued_at": NOW_S + 1}, False),
        ({"issued_at": NOW_S + 1}, True),
        ({"issued_at": NOW_S - 1}, False),
        ({"issued_at": None}, False),
        ({"expires_at": None}, False),
        ({"standing": Standing.NOT_YET_VALID, "expires_at": NOW_S + 9 * DAY_S}, False),
        ({"standing": Standing.UNVERIFIABLE, "expires_at": NOW_S + 9 * DAY_S}, False),
        ({"standing": Standing.EXPIRED, "expires_at": NOW_S + 9 * DAY_S}, False),
        ({"standing": Standing.TAMPERED}, False),
    ],
)
def test_of_two_tokens_the_one_that_ends_later_is_better_then_the_one_issued_later(
    change: dict[str, object], *, wins: bool
) -> None:
    new = replace(GOOD, **change)  # type: ignore[arg-type]
    assert better(new) == wins
    assert better(new, got_here=True) == wins


def test_of_two_that_nobody_can_verify_the_one_that_came_from_the_beacon_is_better() -> None:
    filed, asked = replace(HELD, source="import"), HELD
    longer = replace(UNVERIFIABLE, expires_at=NOW_S + 2 * DAY_S)
    assert better(UNVERIFIABLE, filed, longer, got_here=True)
    assert not better(longer, asked, UNVERIFIABLE)
    assert better(longer, asked, UNVERIFIABLE, got_here=True)
    assert better(longer, filed, UNVERIFIABLE)
    assert not better(UNVERIFIABLE, filed, UNVERIFIABLE)
    assert better(GOOD, asked, longer)
    early = replace(longer, standing=Standing.NOT_YET_VALID, expires_at=NOW_S + 9 * DAY_S)
    assert not better(early, filed, longer)


def test_what_nobody_could_use_is_not_taken_and_anything_usable_takes_its_place() -> None:
    unknown_key = replace(UNVERIFIABLE, reason="kid")
    ended = replace(GOOD, standing=Standing.EXPIRED)
    none = Judgement(State.NONE, "", NOW)
    shorter = replace(GOOD, expires_at=NOW_S + 1)
    for nothing in (unknown_key, ended):
        assert not better(nothing, none, None, got_here=True)
        assert better(shorter, HELD, nothing)
    assert better(shorter, none, GOOD)
    assert better(shorter, HELD, None)


def test_a_refusal_is_undone_by_the_beacon_or_by_what_the_vendor_signed_after_it() -> None:
    denied = Judgement(State.DENIED, "", NOW, got_at=NOW, source="beacon", refused=403)
    for verdict in (GOOD, UNVERIFIABLE, replace(GOOD, issued_at=None)):
        assert better(verdict, denied, None, got_here=True)
        assert not better(verdict, denied, None)
    after = replace(GOOD, issued_at=NOW_S + 1)
    assert better(after, denied, None)
    assert not better(replace(after, standing=Standing.UNVERIFIABLE), denied, None)
    assert not better(after, denied, None, denied_at=NOW + MS)
    assert better(after, denied, None, denied_at=NOW + MS - 1)
    # What is kept is older than the refusal that is noted beside it: its own time is none.
    kept = replace(denied, refused=0, got_at=NOW + 9 * MS)
    assert better(after, kept, GOOD, denied_at=NOW)
    assert not better(after, kept, GOOD, denied_at=NOW + MS)


def test_who_was_served_before_and_pins_keys_sees_what_is_kept_judged_anew() -> None:
    assert judged(by=replace(RULES, keys=OTHER.pinned())).state is State.TAMPERED
