"""What becomes of a group of records is told with all that was left out of it."""

from spool.judging import AT_ONCE, judged_until
from spool.secrets import NO_SECRETS, SecretGuard
from spool.streams import STREAMS

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
