"""How things stand with a node's license: a pure function of what is kept, the time, and the rules."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Self

from bridge.license.clockguard import Now
from bridge.license.entry import Entry, Source, binding_of, mark_of
from bridge.license.states import TABLE, Answer, State, Word, serves
from keys.jwks import PinnedKey
from keys.tokens import Expected, Reason, Standing, Verdict, judge
from spool.clock import MS

REFRESH_MIN_MS = 60_000
"""Between two requests for a token while all goes well."""
_LAST_PART = 10
"""A token in the last tenth of its life ends soon."""
_INTERVALS = 3
"""So does one for which there is time for three more requests."""

_REASONS: Mapping[Reason, str] = MappingProxyType(
    {
        "": "",
        "size": "the token is too large to be one",
        "form": "the token has not the compact form of a JWT",
        "header": "the token's header is not in order",
        "algorithm": "the token is signed by another algorithm than its key is for",
        "kid": "the token names a key that license.jwks_file does not hold",
        "signature": "the token was not signed by the vendor's key",
        "claims": "the token's claims are not in order",
        "exp": "the token's end (exp) is missing, or no time",
        "iat": "the token's time of issue (iat) is missing, or no time",
        "nbf": "the token's begin (nbf) is no time",
        "life": "the token's life is longer than license.max_life, or none",
        "issuer": "the token is not from license.issuer",
        "audience": "the token is not for license.audience",
        "binding": "the token is of another license",
        "unpinned": "no key of the vendor's is pinned",
    }
)


def why(verdict: Verdict) -> str:
    """What decided, in words; empty where nothing is wrong."""
    match verdict.standing:
        case Standing.EXPIRED:
            return "the token has ended"
        case Standing.NOT_YET_VALID:
            return "the token begins later than the clock shows"
        case _:
            return _REASONS[verdict.reason]


@dataclass(frozen=True, slots=True)
class Rules:
    """What tokens are judged by; durations in ms. ``keys`` are the vendor's, none: unverifiable."""

    keys: tuple[PinnedKey, ...]
    issuer: str | None
    audience: str | None
    leeway: int
    grace: int
    max_life: int

    def verdict(self, token: str, bindings: frozenset[str], at: int) -> Verdict:
        """What ``token`` is worth at ``at``, ms since 1970 UTC."""
        expected = Expected(
            self.keys,
            self.issuer,
            self.audience,
            bindings,
            self.leeway // MS,
            self.max_life // MS,
        )
        return judge(token.encode(), expected, at // MS)


@dataclass(frozen=True, slots=True)
class Licensed:
    """The license keys of a node as digests; both empty where nobody knows one."""

    marks: frozenset[str] = frozenset()
    bindings: frozenset[str] = frozenset()

    @classmethod
    def by(cls, license_keys: Iterable[str]) -> Self:
        """Of these keys."""
        keys = list(license_keys)
        return cls(frozenset(map(mark_of, keys)), frozenset(map(binding_of, keys)))


@dataclass(frozen=True, slots=True)
class Kept:
    """What lies in the cache: an entry, or none; ``damage`` says why none can be read."""

    entry: Entry | None
    damage: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A state at ``at``, and why; times in ms since 1970 UTC, None where nothing tells them.

    ``token`` is what the intake hands out, None in all states in which it does not.
    """

    state: State
    reason: str
    at: int
    issued_at: int | None = None
    expires_at: int | None = None
    got_at: int | None = None
    source: Source | None = None
    refused: int = 0
    anchors_lost: bool = False
    token: str | None = field(default=None, repr=False)

    @property
    def served(self) -> bool:
        """Whether the intake hands the token out."""
        return self.token is not None

    @property
    def word(self) -> Word:
        """What people are shown first."""
        row = TABLE[self.state]
        if row.answer is Answer.SERVED_IF_GOT_HERE and not self.served:
            return Word.NOT_SERVED
        return row.word

    @property
    def exit_code(self) -> int:
        """That of ``bridge license status``."""
        row = TABLE[self.state]
        if row.answer is Answer.SERVED_IF_GOT_HERE and not self.served:
            return TABLE[State.NONE].exit_code
        return row.exit_code


def judge_kept(
    kept: Kept,
    now: Now,
    rules: Rules,
    licensed: Licensed,
    *,
    denied_at: int = 0,
    refresh_failed: bool = False,
    anchors_lost: bool = False,
) -> Judgement:
    """The state of ``kept`` at ``now``; the first row of the table that applies.

    ``denied_at`` is when the beacon last refused: what was kept before counts no more.
    ``refresh_failed`` says that no new token could be had when one was last asked for, or that
    nobody can be asked.
    """
    entry = kept.entry
    if kept.damage:
        return Judgement(State.TAMPERED, kept.damage, now.at, anchors_lost=anchors_lost)
    if entry is None:
        return Judgement(State.NONE, "", now.at, anchors_lost=anchors_lost)
    if entry.mark and licensed.marks and entry.mark not in licensed.marks:
        why = "what is kept is of another license key than the configured one"
        return Judgement(State.NONE, why, now.at, anchors_lost=anchors_lost)
    verdict = rules.verdict(entry.token, licensed.bindings, now.at) if entry.token else None
    state, reason = _state(entry, verdict, now, rules, denied_at, refresh_failed=refresh_failed)
    expires_at = None if verdict is None or verdict.expires_at is None else verdict.expires_at * MS
    issued_at = None if verdict is None or verdict.issued_at is None else verdict.issued_at * MS
    got_here = entry.source == "beacon" and not rules.keys
    return Judgement(
        state,
        reason,
        now.at,
        issued_at,
        expires_at,
        entry.got_at,
        entry.source,
        entry.refused,
        anchors_lost,
        entry.token if serves(state, got_here=got_here) else None,
    )


def _state(
    entry: Entry,
    verdict: Verdict | None,
    now: Now,
    rules: Rules,
    denied_at: int,
    *,
    refresh_failed: bool,
) -> tuple[State, str]:
    if verdict is not None and verdict.standing is Standing.TAMPERED:
        return State.TAMPERED, why(verdict)
    if verdict is None:
        return State.DENIED, f"the beacon answered {entry.refused}"
    if entry.got_at < denied_at:
        return State.DENIED, "the beacon refused it later than this token was kept"
    if now.rolled_back:
        return State.CLOCK_ROLLBACK, ""
    return _timed(verdict, now, rules, refresh_failed=refresh_failed)


def _timed(verdict: Verdict, now: Now, rules: Rules, *, refresh_failed: bool) -> tuple[State, str]:
    if verdict.standing is Standing.NOT_YET_VALID:
        return State.NOT_YET_VALID, ""
    assert verdict.expires_at is not None  # noqa: S101 - every other standing has an end
    end = verdict.expires_at * MS
    if now.at >= end:
        return (State.GRACE if now.at < end + rules.grace else State.EXPIRED), ""
    if verdict.standing is Standing.UNVERIFIABLE:
        return State.UNVERIFIABLE, why(verdict)
    assert verdict.issued_at is not None  # noqa: S101 - what the vendor's key vouches for has one
    if refresh_failed and end - now.at < ends_soon_within(end - verdict.issued_at * MS):
        return State.EXPIRING, ""
    return State.VALID, ""


def ends_soon_within(life: int) -> int:
    """How long before its end a token with this ``life`` ends soon, ms."""
    return max(life // _LAST_PART, _INTERVALS * REFRESH_MIN_MS)


def is_better(
    new: Verdict, old: Judgement, old_verdict: Verdict | None, *, got_here: bool, denied_at: int
) -> bool:
    """Whether a token takes the place of the kept one: never a worse one.

    ``got_here``: the beacon itself answered with it, to this bridge. A refusal (``denied_at``) is only
    undone by the beacon, or by a token that the vendor signed after it.
    """
    if not new.usable:
        return False
    if old.state is State.DENIED and not got_here:
        refused_at = max(denied_at, old.got_at or 0 if old.refused else 0)
        return new.standing is Standing.VALID and (new.issued_at or 0) * MS > refused_at
    if old_verdict is None or not old_verdict.usable or old.state in (State.NONE, State.DENIED):
        return True
    old_rank = _rank(old_verdict, got_here=old.source == "beacon")
    return _rank(new, got_here=got_here) > old_rank


def _rank(verdict: Verdict, *, got_here: bool) -> tuple[int, int, int]:
    by_standing = {Standing.VALID: 3, Standing.UNVERIFIABLE: 2 if got_here else 1}
    standing = by_standing.get(verdict.standing, 0)
    return standing, verdict.expires_at or 0, verdict.issued_at or 0
