"""Work that nobody waits for any more ends at its next step, whatever it was given."""

import threading
from collections.abc import Callable

import pytest

from bridge.intake.otlpjson import to_json
from bridge.intake.taking import ROWS
from spool.abandoning import AbandonedError, checkpoint, while_wanted
from spool.jsonbytes import check_names, check_utf8
from spool.jsonparts import ELEMENTS_MAX, elements, members
from spool.lines import Lines
from spool.secrets import SecretGuard

GUARD = SecretGuard(["lcl_EXAMPLE_NOT_A_KEY"])
LOGS = "/v1/logs"
TRANSACTIONS = "/v1/beacon/ingest-traces"


class _After:
    """Nobody waits from the ``steps``-th look on; counts the looks."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self.looks = 0

    def __call__(self) -> bool:
        self.looks += 1
        return self.looks > self._steps


def _lines(path: str, body: bytes) -> Lines:
    return ROWS[path].take(body).to_lines(GUARD)


def _logs(records: bytes) -> bytes:
    return b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[' + records + b"]}]}]}"


def _records_with_secrets() -> bytes:
    return b",".join([b'{"body":{"stringValue":"lcl_EXAMPLE_NOT_A_KEY"}}'] * 2000)


LONG: dict[str, Callable[[], object]] = {
    "many transactions": lambda: _lines(
        TRANSACTIONS, b'{"trace_transactions":[' + b",".join([b'{"id":"a"}'] * 5000) + b"]}"
    ),
    "many log records": lambda: _lines(
        LOGS, _logs(b",".join([b'{"severityNumber":17,"x":"' + b"y" * 2000 + b'"}'] * 5000))
    ),
    "records to be filtered": lambda: _lines(
        LOGS, _logs(b",".join([b'{"severityNumber":9},{"severityNumber":17}'] * 2000))
    ),
    "records with secrets": lambda: _lines(LOGS, _logs(_records_with_secrets())),
    "escapes": lambda: GUARD.found_in(b'"' + rb"\/\b" * 50_000 + b'"'),
    "names": lambda: check_names(b"[" + b",".join([b'{"a":1}'] * 2000) + b"]"),
    "text beyond ASCII": lambda: check_utf8("ü".encode() * 2_000_000),
    "more elements than are taken": lambda: elements(b"[" + b"{}," * (ELEMENTS_MAX + 1) + b"{}]"),
    "more members than are taken": lambda: members(
        b"{" + b'"a":1,' * (ELEMENTS_MAX + 1) + b'"a":1}'
    ),
    "protobuf entries": lambda: to_json("logs", b"\x0a\x00" * 50_000),
    "protobuf entries of others": lambda: to_json("logs", b"\x10\x00" * 50_000),
    "attributes of one protobuf record": lambda: to_json(
        "logs", _of_one_record(b"\x32\x00" * 9000)
    ),
}


def _of_one_record(fields: bytes) -> bytes:
    for number in (2, 2, 1):
        size = len(fields)
        fields = (
            bytes([number << 3 | 2, size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14])
            + fields
        )
    return fields


@pytest.mark.parametrize("work", LONG.values(), ids=LONG)
def test_long_work_is_abandoned_at_its_next_step(work: Callable[[], object]) -> None:
    looks = _After(2)
    with pytest.raises(AbandonedError):
        while_wanted(looks, work)
    assert looks.looks == 3


def test_what_nobody_waits_for_is_not_begun() -> None:
    begun: list[int] = []
    with pytest.raises(AbandonedError):
        while_wanted(lambda: True, begun.append, 1)
    assert not begun


def test_work_elsewhere_and_afterwards_goes_on() -> None:
    done = []

    def elsewhere() -> None:
        checkpoint()
        done.append("elsewhere")

    def work() -> None:
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()

    while_wanted(_After(1), work)
    checkpoint()
    assert done == ["elsewhere"]
