"""How things stand with the license token, in words and in JSON."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bridge.cli.session import Session
from spool.clock import SYSTEM_CLOCK, rfc3339

if TYPE_CHECKING:
    from bridge.daemon.licensestate import LicenseState

DAY_MS = 86_400_000
_GRAVEST_FIRST = (4, 7, 8, 0)
"""Exit codes of states, in the order of the command line's."""


def report(session: Session, states: "Sequence[LicenseState]") -> None:
    """Say it: this node's first. Ends with the gravest exit code of those that have a license key.

    This node's own counts where no other has one, too.
    """
    own, *others = states
    answer = _answer(own) | {"others": [_answer(each) for each in others]}

    def tell() -> None:
        for line in map(session.hint, _lines(own)):
            session.say(line)
        for each in others:
            session.say(f"{each.node}: {session.hint(next(_lines(each)))}")
            for line in _why_and_when(each):
                session.say(line)

    session.result(answer, tell)
    counted = [each for each in states if each.online_key is not None] or [own]
    codes = {each.judgement.exit_code for each in counted}
    session.finish(next(code for code in _GRAVEST_FIRST if code in codes))


def _answer(state: "LicenseState") -> dict[str, Any]:
    from bridge.license.states import TABLE

    found, last = state.judgement, state.refresh
    left = None if found.expires_at is None else found.expires_at - found.at
    return {
        "node": state.node,
        "state": str(found.state),
        "shown": str(found.word),
        "meaning": TABLE[found.state].meaning,
        "reason": found.reason or None,
        "served": found.served,
        "expires_at": _time(found.expires_at),
        "days_left": None if left is None else max(left, 0) // DAY_MS,
        "source": state.said().source,
        "got_at": _time(found.got_at),
        "refresh": None
        if last is None
        else {
            "tried_at": rfc3339(last.tried_at),
            "problem": last.problem or None,
            "next_at": None if state.offline else rfc3339(last.next_at),
        },
        "online_key": state.online_key,
        "anchors_lost": found.anchors_lost,
        "hint": TABLE[found.state].hint or None,
    }


def show_claims(session: Session, claims: Mapping[str, Any], token: str) -> None:
    """Say what a token claims; where ``token`` is given, the token and nothing else."""
    if token:
        session.say(token)
        return
    for name, value in claims.items():
        more = ""
        if name in ("exp", "iat", "nbf") and isinstance(value, int) and 0 < value < 10**11:
            more = f"  ({rfc3339(value * 1000)})"
        session.say(f"{name}: {value}{more}")
    session.note("What is shown was not verified; bridge license status says what it is worth.")


def _time(at: int | None) -> str | None:
    return None if at is None else rfc3339(at)


def _lines(state: "LicenseState") -> Iterator[str]:
    from bridge.license.states import TABLE

    found = state.judgement
    yield f"{found.word}: {TABLE[found.state].meaning} [{found.state}]"
    yield from _why_and_when(state)
    if found.anchors_lost:
        yield "  The clock guard's anchors are gone; how far the clock was moved cannot be told."
    if state.online_key is not False and (hint := TABLE[found.state].hint):
        yield f"  {hint}"
    if state.online_key is False:
        yield "  The license key is an offline one (it does not begin with lcl_): the installation"
        yield "  asks the beacon for no token by itself, and needs none from this bridge."
    yield "  Reporting usage is another duty, with or without a token: bridge status says what waits."


def _why_and_when(state: "LicenseState") -> Iterator[str]:
    from bridge.operate.sentence import duration

    found = state.judgement
    if found.reason:
        yield f"  Why: {found.reason}."
    if found.expires_at is not None:
        left = found.expires_at - found.at
        how_far = f"in {duration(left)}" if left > 0 else f"{duration(-left)} ago"
        yield f"  The token's end: {rfc3339(found.expires_at)}, {how_far}."
    if found.source is not None and found.got_at is not None and not found.refused:
        by = {"beacon": "from the beacon", "import": "by bridge license import"}
        yield f"  It came {by.get(found.source, 'in a return bundle')}, {rfc3339(found.got_at)}."
    yield f"  {_next_refresh(state)}"


def _next_refresh(state: "LicenseState") -> str:
    if state.offline:
        return "No refresh: egress is offline, tokens come by return bundle or as a file."
    if state.online_key is None:
        return "No refresh: no license key is configured; a producer's own requests are passed on."
    if state.online_key is False:
        return "No refresh: an offline license key has no token at the beacon."
    if state.refresh is None:
        return "The next refresh: soon after the daemon's start."
    last = state.refresh
    begin = f"The last refresh failed ({last.problem}); the next" if last.problem else "The next"
    late = " (is the daemon running?)" if last.next_at < SYSTEM_CLOCK.wall_ms() - 60_000 else ""
    return f"{begin} refresh: {rfc3339(last.next_at)}{late}."
