"""What an answer means: one pure function, one table.

Success is a 2xx with the shape that the route's success has; anything else with a 2xx or 3xx is not
the beacon (a captive portal, a proxy), and the data stays. Nothing is ever dropped by a verdict.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum
from types import MappingProxyType

import orjson

from bridge.egress.answers import Answer, Failure
from bridge.egress.routes import Route

RETRY_AFTER_MAX_S = 3600.0
"""Seconds: a server that asks for more is asked again after an hour all the same."""
EXCERPT_MAX = 200
"""Characters of an answer that are kept for people."""
REDACTED = "[license]"
"""What stands in an excerpt for a license key."""
_HTTP_DATE = (
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-9]{2} "
    r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [0-9]{4} "
    r"[0-9]{2}:[0-9]{2}:[0-9]{2} GMT"
)


class Kind(StrEnum):
    """What follows."""

    DELIVERED = "delivered"
    NOT_BEACON = "not_beacon"
    """Something else answered: keep, back off, say what."""
    BISECT = "bisect"
    """Some record is refused: halve until it stands alone."""
    SPLIT = "split"
    """The request is too large: halve."""
    PAUSE_LICENSE = "pause_license"
    PAUSE_ROUTE = "pause_route"
    PAUSE_ALL = "pause_all"
    RETRY = "retry"


_BY_STATUS: Mapping[int, Kind] = MappingProxyType(
    {
        400: Kind.BISECT,
        422: Kind.BISECT,
        413: Kind.SPLIT,
        401: Kind.PAUSE_LICENSE,
        403: Kind.PAUSE_LICENSE,
        407: Kind.PAUSE_ALL,
        404: Kind.PAUSE_ROUTE,
        405: Kind.PAUSE_ROUTE,
        501: Kind.PAUSE_ROUTE,
        408: Kind.RETRY,
        429: Kind.RETRY,
    }
)
"""The statuses that have a row of their own; the others go by their hundred."""
_BY_HUNDRED: Mapping[int, Kind] = MappingProxyType(
    {
        1: Kind.NOT_BEACON,
        2: Kind.NOT_BEACON,  # for a success has been told apart before
        3: Kind.NOT_BEACON,
        4: Kind.PAUSE_ROUTE,  # a refusal that no page tells of: a person has to look
        5: Kind.RETRY,
    }
)
_LOOP_DETECTED = 508
"""RFC 5842, section 7.2."""
LOOP = "upstream.loop: the beacon's name leads back to this bridge"
PROXY_LOGIN = "the proxy wants a login: status 407"
_STORED_PERHAPS = frozenset({408, *range(500, 600)} - {501, 503})
"""Answers after which the beacon may have the records all the same."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows from an answer.

    ``accepted`` is the beacon's own count, if it gave one. ``retry_after_s`` is a floor under the
    back-off. ``reason`` says in a few words what answered, of a success nothing. ``outcome_unknown``:
    the beacon may have the records although it did not say so. ``excerpt`` is what of the answer is
    kept, printable.
    """

    kind: Kind
    reason: str = ""
    accepted: int | None = None
    retry_after_s: float | None = None
    outcome_unknown: bool = False
    excerpt: str = ""


def judge(route: Route, sent: int, reply: Answer | Failure, *, now_ms: int, secret: str) -> Verdict:
    """What ``reply`` to a request with ``sent`` records means; never raises.

    ``secret`` is the license key that it was sent with, empty without one: an answer may repeat it,
    the excerpt never.
    """
    if isinstance(reply, Failure):
        if reply.is_loop:
            return Verdict(Kind.PAUSE_ALL, LOOP)
        return Verdict(Kind.RETRY, reply.reason, outcome_unknown=reply.outcome_unknown)
    excerpt = _excerpt(reply.body, secret)
    if came_back(reply):
        return Verdict(Kind.PAUSE_ALL, LOOP, excerpt=excerpt)
    if 200 <= reply.status < 300:  # noqa: PLR2004 - a success, RFC 9110 section 15.3
        taken = route.taken(reply, sent)
        if taken is not None:
            return Verdict(Kind.DELIVERED, accepted=taken.accepted, excerpt=excerpt)
    kind = _BY_STATUS.get(reply.status) or _BY_HUNDRED.get(reply.status // 100, Kind.NOT_BEACON)
    return Verdict(
        kind,
        _reason(kind, reply),
        retry_after_s=_retry_after(reply.retry_after, now_ms),
        outcome_unknown=reply.status in _STORED_PERHAPS,
        excerpt=excerpt,
    )


def came_back(answer: Answer) -> bool:
    """Whether a bridge answered that the request was its own, or one that had passed it before."""
    return answer.status == _LOOP_DETECTED and b"upstream.loop" in answer.body


def _reason(kind: Kind, answer: Answer) -> str:
    if kind is Kind.NOT_BEACON:
        form = answer.content_type.partition(";")[0].strip().lower() or "no content type"
        form = form if re.fullmatch(r"[a-z0-9/+. -]{1,64}", form) else "an odd content type"
        return f"not the beacon: status {answer.status} with {form}"
    return PROXY_LOGIN if kind is Kind.PAUSE_ALL else f"status {answer.status}"


def _retry_after(text: str | None, now_ms: int) -> float | None:
    """Seconds to wait, from whole seconds or an HTTP date (RFC 9110, section 10.2.3)."""
    if text is None:
        return None
    if re.fullmatch(r"[0-9]+", text):
        return min(float(text), RETRY_AFTER_MAX_S)
    # The form that all senders must use; the library's parser guesses at anything.
    if not re.fullmatch(_HTTP_DATE, text):
        return None
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    wait = when.timestamp() - now_ms / 1000
    return min(wait, RETRY_AFTER_MAX_S) if wait > 0 else None


def _excerpt(body: bytes, secret: str) -> str:
    text = body.decode("utf-8", "replace")
    if secret:
        for form in (secret, orjson.dumps(secret).decode()[1:-1]):
            text = text.replace(form, REDACTED)
    plain = "".join(mark if " " <= mark <= "~" else " " for mark in text[: EXCERPT_MAX * 4])
    return " ".join(plain.split())[:EXCERPT_MAX]
