"""What becomes of a group of records is told with all that was left out of it."""

from collections.abc import Sequence
from itertools import combinations
from random import Random

import pytest

from spool.errors import RecordError
from spool.judging import AT_ONCE, judged, judged_apart, judged_until
from spool.secrets import NO_SECRETS, SecretGuard
from spool.streams import STREAMS, Stream

LOG = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[%b]}]}]}'
LOW, HIGH = b'{"severityNumber":9}', b'{"severityNumber":17}'


def log(*records: bytes) -> bytes:
    return LOG % b",".join(records)


def test_what_is_filtered_out_of_several_records_is_counted_together() -> None:
    records = [log(LOW), log(HIGH), log(LOW, HIGH, LOW), log(LOW)]
    found = judged_until(STREAMS["logs"], records, NO_SECRETS)
    assert found == ([log(HIGH), log(HIGH)], 4, None)
    many = judged_until(STREAMS["logs"], records * AT_ONCE, NO_SECRETS)
    assert (len(many.lines), many.filtered) == (2 * AT_ONCE, 4 * AT_ONCE)


def test_what_is_filtered_out_before_a_record_that_is_refused_is_counted_too() -> None:
    found = judged_until(STREAMS["logs"], [log(LOW), log(HIGH), log(LOW), b"{"], NO_SECRETS)
    assert (found.lines, found.filtered) == ([log(HIGH)], 2)
    assert found.refused is not None
    assert (found.refused.at, found.refused.error.id) == (3, "record.json")


def test_a_secret_is_found_in_whichever_of_many_records_it_stands() -> None:
    guard = SecretGuard(["lcl_EXAMPLE_NOT_A_KEY"])
    good, bad = b'{"id":"1","a":"b"}', b'{"id":"1","a":"lcl_EXAMPLE_NOT_A_KEY"}'
    odd = b'{"id":"1", "a":"b"}'
    for at in (0, 1, AT_ONCE - 1, AT_ONCE, 2 * AT_ONCE - 1):
        for before in (good, odd):
            records = [good] * (2 * AT_ONCE)
            records[at // 2] = before
            records[at] = bad
            found = judged_until(STREAMS["transactions"], records, guard)
            assert found.refused is not None
            assert (found.refused.at, found.refused.error.id) == (at, "record.secret")
            assert len(found.lines) == at


SECRET = "lcl_EXAMPLE_NOT_A_KEY"
TRANSACTIONS = (
    *(b'{"id":"%d","a":"b"}' % n for n in range(8)),
    b'{"id":"1", "a":"b"}',
    b'{"id":"1",\n"a":"b"}',
    b'{"id":"1","a":"%b"}' % SECRET.encode(),
    b'{"id":""}',
    b"{",
)
LOGS = (
    *(log(HIGH) for _ in range(8)),
    log(LOW),
    log(LOW, HIGH),
    log(HIGH) + b"\n",
    log(b'{"severityNumber":\n17}'),
    log(b'{"severityNumber":\r17}'),
    log(b'{"severityNumber":17,"body":{"stringValue":"%b"}}' % SECRET.encode()),
    b"[]",
    b"{}",
)
REPORTS = (
    b'{"from_timestamp":1,"to_timestamp":2,"measures":{}}',
    b'{"from_timestamp":1,"to_timestamp":2}',
)


def _each(row: Stream, calls: Sequence[Sequence[bytes]], guard: SecretGuard) -> list[object]:
    found: list[object] = []
    for call in calls:
        try:
            found.append(list(judged(row, call, guard)))
        except RecordError as error:
            found.append((error.id, str(error)))
    return found


@pytest.mark.parametrize(
    ("stream", "records"),
    [("transactions", TRANSACTIONS), ("logs", LOGS), ("snapshots", REPORTS)],
)
@pytest.mark.parametrize("odd", [0, 1, 20, 100], ids="odd {}%".format)
def test_calls_judged_together_become_what_each_becomes_by_itself(
    stream: str, records: Sequence[bytes], odd: int
) -> None:
    row, random = STREAMS[stream], Random(odd)
    for guard in (NO_SECRETS, SecretGuard([SECRET])):
        for count in (1, 3, AT_ONCE, AT_ONCE + 1, 3 * AT_ONCE):
            calls = [
                random.choices(
                    records if random.randrange(100) < odd else records[:1],
                    k=random.choice((0, 1, 1, 1, 1, 2, 5)),
                )
                for _ in range(count)
            ]
            found = [
                (each.id, str(each)) if isinstance(each, RecordError) else list(each)
                for each in judged_apart(row, calls, guard)
                if not isinstance(each, Exception) or isinstance(each, RecordError)
            ]
            assert found == _each(row, calls, guard)


@pytest.mark.parametrize(
    ("stream", "records"),
    [("transactions", TRANSACTIONS), ("logs", LOGS), ("snapshots", REPORTS)],
)
def test_an_odd_record_is_judged_alike_at_each_place_beside_good_ones(
    stream: str, records: Sequence[bytes]
) -> None:
    # Beside a single one the others are judged quickly; where several kinds come together, seldom.
    row, good = STREAMS[stream], records[0]
    for guard in (NO_SECRETS, SecretGuard([SECRET])):
        for odd in dict.fromkeys(records):
            for places in combinations(range(6), 2):
                some = [odd if at in places else good for at in range(6)]
                calls = [[], some[:1], some[1:3], some[3:4], [], some[4:5], some[5:]]
                found = [
                    (each.id, str(each)) if isinstance(each, RecordError) else each
                    for each in judged_apart(row, calls, guard)
                ]
                assert found == _each(row, calls, guard)


def test_a_record_of_too_many_values_is_refused_beside_calls_that_are_not() -> None:
    body = b'{"resourceMetrics":[{"scopeMetrics":[{"metrics":[%b]}]}]}'
    good, many = body % b"{}", body % b",".join([b"{}"] * 300_000)
    first, refused, last = judged_apart(
        STREAMS["metrics"], [[good], [many], [good]], SecretGuard([SECRET])
    )
    assert (first, last) == ([good], [good])
    assert isinstance(refused, RecordError)
    assert refused.id == "record.too_large"


def test_a_secret_that_two_calls_make_between_them_is_none() -> None:
    guard = SecretGuard(["12345678{"])
    row = STREAMS["transactions"]
    calls = [[b'{"id":"1","n":12345678'], [b'{"id":"2"}']]
    broken, good = judged_apart(row, calls, guard)
    assert isinstance(broken, RecordError)
    assert good == [b'{"id":"2"}']


def test_calls_too_large_to_be_judged_together_are_judged_one_by_one() -> None:
    calls = [[b'{"id":"%d","a":"%b"}' % (n, b"x" * 60_000)] for n in range(AT_ONCE)]
    assert judged_apart(STREAMS["transactions"], [*calls, [b"{"]], NO_SECRETS)[:-1] == calls
