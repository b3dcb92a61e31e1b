"""Whatever lies in the cache, by any rules and clocks: a state, and no token served wrongly."""

import json

from hypothesis import given
from hypothesis import strategies as st

from bridge.license.clockguard import Now
from bridge.license.entry import SOURCES, Entry, mark_of
from bridge.license.judgement import Kept, Licensed, Rules, judge_kept
from bridge.license.states import State
from keys.jwks import PinnedKey
from tests.support.licensed import DAY_MS, KEY, NODE
from tests.support.tokens import DAY_S, EC, ED, ISSUER, NOW_S, OTHER, claims

MS = 1000
KEYS = st.sampled_from([(), ED.pinned(), EC.pinned(), ED.pinned() + EC.pinned()])
TIMES = st.integers(NOW_S - 500 * DAY_S, NOW_S + 500 * DAY_S)
HEADS = st.sampled_from(
    [None, {"alg": "EdDSA"}, {"alg": "EdDSA", "kid": "unknown"}, {"alg": "ES256", "kid": ED.kid}]
)
CLAIMS = st.fixed_dictionaries(
    {},
    optional={
        "iat": TIMES | st.none(),
        "exp": TIMES | st.none() | st.just("9999999999"),
        "nbf": TIMES | st.just(1.5),
        "iss": st.sampled_from([ISSUER, "another", None]),
        "sub": st.sampled_from(["customer 7", "0" * 64, *Licensed.by([KEY]).bindings]),
    },
)
TOKENS = st.one_of(
    st.just(""),
    st.sampled_from(["e30.e30.c2ln", "x", "..", "\u00e9"]),
    st.builds(
        lambda vendor, head, more: vendor.sign(head, json.dumps({**claims(), **more})),
        st.sampled_from([ED, OTHER, EC]),
        HEADS,
        CLAIMS,
    ),
)


ENTRIES = st.builds(
    Entry,
    node=st.just(NODE),
    token=TOKENS,
    source=st.sampled_from(SOURCES),
    got_at=TIMES.map(lambda at: at * MS),
    mark=st.sampled_from(["", mark_of(KEY), mark_of("lcl_another")]),
    refused=st.sampled_from([0, 401, 403]),
)
NOWS = st.builds(Now, TIMES.map(lambda at: at * MS), st.booleans())


@given(ENTRIES, KEYS, NOWS, st.sampled_from([0, NOW_S * MS]), st.booleans())
def test_there_is_a_state_for_everything_and_only_what_the_vendor_still_allows_is_served(
    entry: Entry,
    keys: tuple[PinnedKey, ...],
    now: Now,
    denied_at: int,
    refresh_failed: bool,  # noqa: FBT001 - drawn
) -> None:
    rules = Rules(keys, ISSUER, None, 300_000, 14 * DAY_MS, 400 * DAY_MS)
    found = judge_kept(
        Kept(entry),
        now,
        rules,
        Licensed.by([KEY]),
        denied_at=denied_at,
        refresh_failed=refresh_failed,
    )
    assert found.word
    assert found.served == (found.token is not None)
    if not found.served:
        assert found.exit_code in (4, 7, 8)
        return
    assert (found.exit_code, found.token) == (0, entry.token)
    assert found.expires_at is not None
    assert now.at < found.expires_at
    assert not now.rolled_back
    assert entry.mark != mark_of("lcl_another")
    assert entry.got_at >= denied_at
    if keys:
        assert found.state in (State.VALID, State.EXPIRING)
    else:
        assert (found.state, entry.source) == (State.UNVERIFIABLE, "beacon")
