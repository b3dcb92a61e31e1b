"""A line that is too large for the beacon goes in parts: resources, scopes, records."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from spool.ledger import State
from tests.support.faultserver import FaultServer, Step, answer, fault_server, reset, say
from tests.support.judging import Asked, judging
from tests.support.sending import Sending, append, sending

pytestmark = pytest.mark.enable_socket

SIGNALS = {
    "logs": ("resourceLogs", "scopeLogs", "logRecords"),
    "metrics": ("resourceMetrics", "scopeMetrics", "metrics"),
    "traces": ("resourceSpans", "scopeSpans", "spans"),
}
TOO_LARGE = say(answer(413, b'{"error":"too large"}'))
TAKEN = say(answer(200, b"{}"))


def line_of(stream: str, sizes: list[list[list[int]]]) -> bytes:
    """A line of resources of scopes of records, each record with so many bytes of text."""
    resources, scopes, records = SIGNALS[stream]
    number = iter(range(10_000))
    found = [
        {
            "resource": {"attributes": [{"key": "r", "value": {"intValue": r}}]},
            scopes: [
                {
                    "scope": {"name": f"s{r}.{s}"},
                    records: [
                        {"name": f"x{next(number)}", "severityNumber": 13, "t": "y" * size}
                        for size in sizes_
                    ],
                }
                for s, sizes_ in enumerate(each)
            ],
        }
        for r, each in enumerate(sizes)
    ]
    return json.dumps({resources: found}, separators=(",", ":")).encode()


def records_in(stream: str, body: bytes) -> list[tuple[int, str, str]]:
    """Resource, scope and name of each record in a body."""
    resources, scopes, records = SIGNALS[stream]
    document: Any = json.loads(body)
    return [
        (
            resource["resource"]["attributes"][0]["value"]["intValue"],
            scope["scope"]["name"],
            each["name"],
        )
        for resource in document[resources]
        for scope in resource[scopes]
        for each in scope[records]
    ]


@contextmanager
def limited(most: int) -> Iterator[tuple[str, list[Asked]]]:
    """A beacon that takes bodies of at most so many bytes."""

    def judge(asked: Asked) -> tuple[int, bytes]:
        return (413, b'{"error":"too large"}') if len(asked.body) > most else (200, b"{}")

    with judging(judge) as running:
        yield running


def run(out: Sending) -> int:
    """Step until nothing is left; how many steps it took."""
    for number in range(500):
        if out.sender.step().idle:
            return number
    raise AssertionError


def taken_of(stream: str, server: FaultServer, first: int) -> list[tuple[int, str, str]]:
    return [each for r in server.requests[first:] for each in records_in(stream, r.body)]


@pytest.mark.parametrize("stream", SIGNALS)
def test_a_line_is_split_by_resource_scope_and_record(tmp_path: Path, stream: str) -> None:
    line = line_of(stream, [[[10, 10], [10]], [[10]], [[10, 10, 10, 10]]])
    lane = append(tmp_path, stream, [line])
    with fault_server([TOO_LARGE], [TAKEN]) as server, sending(lane, server.url) as out:
        run(out)
        assert out.records() == {State.DELIVERED: 1}
        assert len(server.requests) > 2
        assert taken_of(stream, server, 1) == records_in(stream, line)
    keys = [request.headers["idempotency-key"] for request in server.requests]
    assert len(set(keys)) == len(keys)


def test_what_is_too_large_alone_is_the_exception_and_the_rest_is_delivered(
    tmp_path: Path,
) -> None:
    line = line_of("logs", [[[10, 10, 3000, 10], [10]], [[10]]])
    lane = append(tmp_path, "logs", [line_of("logs", [[[1]]]), line])
    with limited(1000) as (url, taken), sending(lane, url) as out:
        run(out)
        (refused,) = out.ledger.exceptions(lane)
        assert (refused.line, refused.status, refused.verdict) == (1, 413, "split")
        assert refused.text.startswith("1 of 6 records in it: part ")
        assert out.records() == {State.DELIVERED: 1, State.QUARANTINED: 1}
    names = [name for asked in taken for _, _, name in records_in("logs", asked.body)]
    assert names == ["x0", "x0", "x1", "x3", "x4", "x5"]


def test_a_document_that_is_too_large_alone_is_the_exception(tmp_path: Path) -> None:
    large = b'{"from_timestamp":"a","to_timestamp":"b","measures":{},"x":"%b"}' % (b"y" * 2000)
    small = b'{"from_timestamp":"a","to_timestamp":"b","measures":{}}'
    lane = append(tmp_path, "langgraph", [small, large, small])
    with limited(1000) as (url, taken), sending(lane, url) as out:
        run(out)
        (refused,) = out.ledger.exceptions(lane)
        assert (refused.line, refused.status) == (1, 413)
        assert out.records() == {State.DELIVERED: 2, State.QUARANTINED: 1}
    assert len(taken) == 2


def test_a_part_that_is_not_answered_goes_again_with_its_key_and_the_line_is_in_doubt(
    tmp_path: Path,
) -> None:
    line = line_of("logs", [[[10]] * 4])
    lane = append(tmp_path, "logs", [line])
    script: list[list[Step]] = [[TOO_LARGE], [TAKEN], [reset], [say(answer(503))], [TAKEN]]
    with fault_server(*script) as server, sending(lane, server.url) as out:
        run(out)
        assert out.records() == {State.DELIVERED: 1}
        assert out.ledger.counts()[0].in_doubt == 1
    keys = [request.headers["idempotency-key"] for request in server.requests]
    assert keys[2] == keys[3] == keys[4]
    assert len({request.body for request in server.requests[2:5]}) == 1
    taken = [server.requests[1], *server.requests[4:]]
    assert [n for r in taken for n in records_in("logs", r.body)] == records_in("logs", line)


def test_after_a_restart_the_same_parts_go_with_the_same_keys(tmp_path: Path) -> None:
    line = line_of("logs", [[[300], [300], [300], [300]]])
    lane = append(tmp_path, "logs", [line])
    with limited(800) as (url, taken):
        with sending(lane, url) as out:
            for _ in range(3):
                out.sender.step()
            assert out.records() == {State.PENDING: 1}
        before = list(taken)
        assert before
        with sending(lane, url) as out:
            run(out)
            assert out.records() == {State.DELIVERED: 1}
    again = taken[len(before) :]
    assert [(asked.key, asked.body) for asked in before] == [
        (asked.key, asked.body) for asked in again[: len(before)]
    ]
    assert [n for asked in again for n in records_in("logs", asked.body)] == records_in(
        "logs", line
    )


def test_every_part_stands_in_the_audit_and_the_line_counts_once(tmp_path: Path) -> None:
    lane = append(tmp_path, "logs", [line_of("logs", [[[10]], [[10]]])])
    with fault_server([TOO_LARGE], [TAKEN]) as server, sending(lane, server.url) as out:
        run(out)
        rows = list(out.ledger.audit())
        assert [row.answer.status for row in rows] == [413, 200, 200]
        assert [row.answer.sent.records for row in rows] == [1, 0, 1]
        assert [row.answer.text for row in rows[1:]] == ["part 1: {}", "part 2: {}"]
    assert len(server.requests) == len(rows)


def test_a_part_that_the_beacon_took_in_part_makes_the_line_partial(tmp_path: Path) -> None:
    lane = append(tmp_path, "logs", [line_of("logs", [[[10]], [[10]]])])
    partly = say(answer(200, b'{"partialSuccess":{"rejectedLogRecords":"1"}}'))
    with fault_server([TOO_LARGE], [partly], [TAKEN]) as server, sending(lane, server.url) as out:
        run(out)
        assert out.records() == {State.DELIVERED: 1}
        assert out.ledger.counts()[0].partial == 1
