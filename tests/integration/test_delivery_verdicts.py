"""What becomes of a request whatever answers it: every row of the table, against a faulty server."""

import gzip
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from bridge.egress.circuits import EVERYTHING, Scope
from bridge.egress.routes import ROUTES
from bridge.egress.verdict import PROXY_LOGIN
from spool.ledger import State
from tests.support.faultserver import (
    Step,
    answer,
    close,
    drip,
    fault_server,
    flood,
    reset,
    say,
    wait,
)
from tests.support.sending import NODE, fill, sending

pytestmark = pytest.mark.enable_socket

RECORDS = 3
PATH = ROUTES["transactions"].path
ROUTE: Scope = ("route", PATH)
LICENSE: Scope = ("license", NODE)
BOTH: Scope = (*ROUTE, *LICENSE)
GOOD = b'{"inserted_count":3}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
PORTAL = b"<!doctype html><title>Log in to the network</title>"
NOT_BEACON = "not the beacon: status "
BROKEN = "the answer was broken off, or is not HTTP"


@dataclass(frozen=True)
class Row:
    """What answers, which circuit it opens with which words, whether the outcome is unknown."""

    name: str
    script: Sequence[Step]
    scope: Scope
    reason: str
    in_doubt: bool = False
    floor_s: float | None = None
    deadline_s: float = 20.0


def _says(status: int, body: bytes = b"{}", *headers: str, kind: str = "application/json") -> Step:
    return say(answer(status, body, *headers, content_type=kind))


def _html(status: int, *headers: str) -> Row:
    step = _says(status, PORTAL, *headers, kind="text/html")
    return Row(f"page with {status}", [step], EVERYTHING, f"{NOT_BEACON}{status} with text/html")


def _shape(name: str, body: bytes) -> Row:
    reason = f"{NOT_BEACON}200 with application/json"
    return Row(name, [_says(200, body)], EVERYTHING, reason)


def _retry_after(name: str, text: str, floor_s: float | None) -> Row:
    step = _says(429, b"", f"Retry-After: {text}")
    return Row(f"Retry-After {name}", [step], BOTH, "status 429", floor_s=floor_s)


ROWS = [
    _html(200),
    _html(203),
    *(_html(status, "Location: http://127.0.0.1:1/login") for status in (301, 302, 303, 307, 308)),
    _shape("an object of another shape", b'{"ok":true}'),
    _shape("an array", b"[3]"),
    _shape("a count that is no integer", b'{"inserted_count":"3"}'),
    _shape("a count that is a flag", b'{"inserted_count":true}'),
    _shape("a count below zero", b'{"inserted_count":-3}'),
    _shape("half of an object", GOOD[:-2]),
    _shape("two objects", GOOD * 2),
    _shape("nested without end", b'{"a":' * 5000),
    Row(
        "no content",
        [_says(204, b"", kind="")],
        EVERYTHING,
        f"{NOT_BEACON}204 with no content type",
    ),
    Row(
        "another type",
        [_says(200, GOOD, kind="text/plain")],
        EVERYTHING,
        f"{NOT_BEACON}200 with text/plain",
    ),
    Row(
        "a bomb",
        [_says(200, gzip.compress(bytes(8 << 20)), "Content-Encoding: gzip")],
        EVERYTHING,
        f"{NOT_BEACON}200 with application/json",
    ),
    Row(
        "a body without end",
        [say(HEAD + b"Content-Length: 1000000000\r\n\r\n"), flood(b" " * 65536, 200, [0])],
        EVERYTHING,
        f"{NOT_BEACON}200 with application/json",
    ),
    Row(
        "headers of a hundred megabytes",
        [say(HEAD + b"X-A: "), flood(b"a" * 65536, 1600, [0])],
        EVERYTHING,
        BROKEN,
        in_doubt=True,
    ),
    Row(
        "more promised than sent",
        [say(HEAD + b"Content-Length: 900\r\n\r\n" + GOOD), close],
        EVERYTHING,
        BROKEN,
        in_doubt=True,
    ),
    Row(
        "less promised than sent",
        [say(HEAD + b"Content-Length: 5\r\n\r\n" + GOOD), close],
        EVERYTHING,
        f"{NOT_BEACON}200 with application/json",
    ),
    Row(
        "a length below zero",
        [say(HEAD + b"Content-Length: -1\r\n\r\n" + GOOD), close],
        EVERYTHING,
        BROKEN,
        in_doubt=True,
    ),
    Row(
        "a drip without end",
        [drip(HEAD * 99, 0.05)],
        EVERYTHING,
        "no answer in time",
        in_doubt=True,
        deadline_s=0.5,
    ),
    Row("nothing", [wait(60)], EVERYTHING, "no answer in time", in_doubt=True, deadline_s=0.5),
    Row(
        "cut after it was read",
        [reset],
        EVERYTHING,
        "the connection broke while reading",
        in_doubt=True,
    ),
    Row("no HTTP", [say(b"SSH-2.0-OpenSSH\r\n\r\n"), close], EVERYTHING, BROKEN, in_doubt=True),
    *(Row(f"{s}", [_says(s)], LICENSE, f"status {s}") for s in (401, 403)),
    Row("407", [_says(407)], EVERYTHING, PROXY_LOGIN),
    *(Row(f"{s}", [_says(s)], ROUTE, f"status {s}") for s in (402, 404, 405, 409, 410, 451, 501)),
    *(Row(f"{s}", [_says(s)], BOTH, f"status {s}") for s in (429, 503)),
    *(
        Row(f"{s}", [_says(s)], BOTH, f"status {s}", in_doubt=True)
        for s in (408, 500, 502, 504, 599)
    ),
    _retry_after("in seconds", "7", 7.0),
    _retry_after("of an eternity", "1000000000", 3600.0),
    _retry_after("below zero", "-5", None),
    _retry_after("as a far date", "Fri, 31 Dec 9999 23:59:59 GMT", 3600.0),
    _retry_after("as a past date", "Wed, 21 Oct 2015 07:28:00 GMT", None),
    _retry_after("of nonsense", "soon", None),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_an_answer_that_takes_nothing_loses_nothing_and_the_same_goes_again(
    tmp_path: Path, row: Row
) -> None:
    lane = fill(tmp_path, "transactions", 1, RECORDS)
    with (
        fault_server(row.script, [say(answer(200, GOOD))]) as server,
        sending(lane, server.url, deadline_s=row.deadline_s) as out,
    ):
        begin = time.monotonic()
        step = out.sender.step()
        assert time.monotonic() - begin < 10
        assert step.trip == (row.scope, row.reason, row.floor_s)
        assert not step.reached
        assert step.sent > 0
        assert out.records() == {State.PENDING: RECORDS}
        assert out.ledger.exceptions(lane) == []
        (batch,) = out.ledger.open_batches(lane)
        assert batch.in_doubt is row.in_doubt
        assert out.sender.step().reached
        assert out.records() == {State.DELIVERED: RECORDS}
        assert out.ledger.counts()[0].in_doubt == RECORDS * row.in_doubt
        assert out.sender.step().idle
    first, *_, last = server.requests
    assert (first.body, first.headers["idempotency-key"]) == (
        last.body,
        last.headers["idempotency-key"],
    )
    assert len(server.requests) == 2


OTHER_SHAPES = {
    "snapshots": [answer(200, b"{}"), answer(200, PORTAL, content_type="text/html"), answer(302)],
    "langgraph": [answer(200, PORTAL, content_type="text/html"), answer(200, PORTAL), answer(302)],
    "logs": [answer(204), answer(200, b"[]"), answer(200, b'{"partialSuccess":[]}')],
    "metrics": [answer(200, PORTAL, content_type="text/html"), answer(200, b""), answer(302)],
    "traces": [answer(200, PORTAL), answer(200, b'{"partialSuccess":{"rejectedSpans":"x"}}')],
}
"""What is no success of the other routes, though one of them would take some of it for one."""
SUCCESSES = {"snapshots": answer(204), "langgraph": answer(200, b"{}")}


@pytest.mark.parametrize("stream", list(OTHER_SHAPES))
def test_what_is_no_success_of_its_route_is_not_the_beacon_and_delivers_nothing(
    tmp_path: Path, stream: str
) -> None:
    lane = fill(tmp_path, stream, 1, 1)
    wrong = [[say(each)] for each in OTHER_SHAPES[stream]]
    right = [say(SUCCESSES.get(stream, answer(200, b"{}")))]
    with fault_server(*wrong, right) as server, sending(lane, server.url) as out:
        for _ in wrong:
            step = out.sender.step()
            assert step.trip is not None
            assert step.trip[0] == EVERYTHING
            assert step.trip[1].startswith(NOT_BEACON)
            assert out.records() == {State.PENDING: 1}
        assert out.sender.step().reached
        assert out.records() == {State.DELIVERED: 1}
    assert len({request.body for request in server.requests}) == 1


def test_a_connection_that_is_cut_before_all_was_sent_is_in_doubt_and_repeated(
    tmp_path: Path,
) -> None:
    lane = fill(tmp_path, "transactions", 1, RECORDS)
    with fault_server(at_once=[reset]) as server, sending(lane, server.url) as out:
        assert out.sender.step().trip is not None
        assert out.records() == {State.PENDING: RECORDS}
        assert server.requests == []


PARTIAL = [
    ("transactions", b'{"inserted_count":1}', 1, 2),
    ("transactions", b'{"inserted_count":0}', 0, 3),
    ("transactions", b'{"inserted_count":9}', 3, 0),
    ("logs", b'{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"no"}}', 1, 2),
    ("metrics", b'{"partialSuccess":{"rejectedDataPoints":2}}', 1, 2),
    ("traces", b'{"partialSuccess":{"rejectedSpans":"9"}}', 0, 3),
    ("logs", b'{"partialSuccess":{"errorMessage":"a warning"}}', None, 0),
]


@pytest.mark.parametrize(("stream", "body", "accepted", "lacking"), PARTIAL)
def test_a_partial_success_is_kept_and_shown_and_never_sent_again(
    tmp_path: Path, stream: str, body: bytes, accepted: int | None, lacking: int
) -> None:
    lane = fill(tmp_path, stream, 1, RECORDS)
    with (
        fault_server([say(answer(200, body))]) as server,
        sending(lane, server.url) as out,
    ):
        assert out.sender.step().reached
        assert out.sender.step().idle
        assert out.records() == {State.DELIVERED: RECORDS}
        assert out.ledger.counts()[0].partial == lacking
        (row,) = out.ledger.audit()
        assert row.answer.accepted == accepted
        assert row.answer.text == body.decode()
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [400, 422])
def test_a_refusal_is_halved_down_to_the_record_and_the_answer_is_kept(
    tmp_path: Path, status: int
) -> None:
    lane = fill(tmp_path, "transactions", 2, 4)
    no = say(answer(status, b'{"error":"no such tenant"}'))
    # 0-8, 0-4, 0-2 and 2-4, 4-8: the third record alone is refused.
    script = [[no], [no], [say(answer(200, b'{"inserted_count":2}'))], [no], [no]]
    rest = [[say(answer(200, b'{"inserted_count":%d}' % n))] for n in (1, 4)]
    with fault_server(*script, *rest) as server, sending(lane, server.url) as out:
        steps = []
        while not (step := out.sender.step()).idle:
            steps.append(step)
        assert all(step.trip is None for step in steps)
        assert out.records() == {State.DELIVERED: 7, State.QUARANTINED: 1}
        (refused,) = out.ledger.exceptions(lane)
        assert (refused.seq, refused.line, refused.status) == (1, 2, status)
        assert refused.text == '{"error":"no such tenant"}'
    taken = [r.body for r, s in zip(server.requests, steps, strict=True) if s.reached]
    ids = [n for body in taken for n in range(8) if b'"id":"%d"' % n in body]
    assert ids == [0, 1, 3, 4, 5, 6, 7]
    assert len({request.headers["idempotency-key"] for request in server.requests}) == 7
