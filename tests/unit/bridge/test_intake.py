"""The intake as an ASGI application, without a network: answers, counts, and what is never stored."""

import asyncio
import errno
import gc
import gzip
import logging
import sys
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random

import orjson
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.types import Message

from bridge.intake.app import Intake
from bridge.intake.counts import OTHER, UNROUTED_MAX, IntakeCounts
from bridge.intake.gate import Gate, Pin, RequestGuard
from bridge.intake.taking import ROWS
from spool.durable import OS_DISK, OsDisk
from spool.secrets import NO_SECRETS, SecretGuard
from spool.streams import STREAMS, Kind
from spool.writer import Writer
from tests.support.stored import open_lines

KEY = "lcl_EXAMPLE_NOT_A_KEY"
JSON_TYPE = (b"content-type", b"application/json")
TRANSACTIONS = "/v1/beacon/ingest-traces"


class BrokenDisk(OsDisk):
    """Fails as no disk should, once ``error`` is set."""

    error: Exception | None = None

    def sync(self, fd: int) -> None:
        if self.error is not None:
            raise self.error
        super().sync(fd)


class Bench:
    """An intake on a spool of its own."""

    def __init__(self, spool: Path, held: ExitStack, *, configured: bool) -> None:
        self.spool = spool
        self.disk = BrokenDisk()
        self.ready: bool | OSError = True
        guard = SecretGuard([KEY]) if configured else NO_SECRETS
        accepts = (lambda key: key == KEY) if configured else Pin(OS_DISK, spool, b"secret")
        self.intake = Intake(
            {
                name: held.enter_context(Writer(spool, name, node="n", disk=self.disk))
                for name in STREAMS
            },
            Gate(accepts, open_otlp=True),
            guard,
            self._has_room,
            Random(1),
        )

    def _has_room(self, _: Kind) -> bool:
        if isinstance(self.ready, OSError):
            raise self.ready
        return self.ready

    def send(
        self,
        path: str,
        body: bytes = b"",
        headers: Sequence[tuple[bytes, bytes]] = (JSON_TYPE,),
        method: str = "POST",
    ) -> tuple[int, dict[bytes, bytes], bytes]:
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {"type": "http", "method": method, "path": path, "headers": list(headers)}
        asyncio.run(self.intake(scope, receive, send))
        start, content = sent
        return start["status"], dict(start["headers"]), content["body"]

    def stored(self, stream: str) -> list[bytes]:
        return open_lines(self.spool, stream)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with ExitStack() as held:
        yield Bench(tmp_path, held, configured=True)


@pytest.fixture
def unconfigured(tmp_path: Path) -> Iterator[Bench]:
    with ExitStack() as held:
        yield Bench(tmp_path, held, configured=False)


def transaction(key: str, more: str = "") -> bytes:
    record = {"id": "a", "more": more}
    return orjson.dumps({"license": key, "trace_transactions": [record]})


def test_attack_068_a_key_that_was_only_seen_is_kept_out_of_records_too(
    unconfigured: Bench,
) -> None:
    status, _, said = unconfigured.send(TRANSACTIONS, transaction(KEY, more=f"x{KEY}x"))
    assert (status, orjson.loads(said)["error"]) == (400, "record.secret")
    records = [{"severityNumber": 13, "body": body} for body in (KEY, "innocent")]
    logs = orjson.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]})
    status, _, said = unconfigured.send("/v1/logs", logs)
    assert (status, orjson.loads(said)["partialSuccess"]["rejectedLogRecords"]) == (200, "1")
    (line,) = unconfigured.stored("logs")
    assert b"innocent" in line
    assert KEY.encode() not in line
    assert unconfigured.stored("transactions") == []


def test_a_key_that_was_only_seen_is_found_in_the_first_record_that_holds_it() -> None:
    gate = Gate(lambda _: True, open_otlp=True)
    gate.seen = SecretGuard([KEY])
    guard = RequestGuard(NO_SECRETS, gate)
    records = [b"a", KEY.encode(), b"b", KEY.encode()]
    assert guard.first_in(records, 0, 4) == 1
    assert guard.first_in(records, 2, 4) == 3
    assert guard.first_in(records, 2, 3) == 3


def test_a_key_that_cannot_be_pinned_is_answered_503_and_nothing_is_acknowledged(
    unconfigured: Bench,
) -> None:
    (unconfigured.spool / "license").write_bytes(b"in the way")
    status, headers, said = unconfigured.send(TRANSACTIONS, transaction(KEY))
    assert status == 503
    assert headers[b"retry-after"] in {b"1", b"2", b"3"}
    assert orjson.loads(said)["error"].startswith("disk.")
    assert unconfigured.stored("transactions") == []
    (unconfigured.spool / "license").unlink()
    assert unconfigured.send(TRANSACTIONS, transaction("lcl_ANOTHER_KEY"))[0] == 200


def test_the_pin_outlives_the_process(tmp_path: Path) -> None:
    assert Pin(OS_DISK, tmp_path, b"secret").accepts(KEY)
    again = Pin(OS_DISK, tmp_path, b"secret")
    assert not again.accepts("lcl_ANOTHER_KEY")
    assert again.accepts(KEY)
    assert KEY.encode() not in (tmp_path / "license" / "pinned").read_bytes()


@pytest.mark.parametrize("key", ["", "short", "k" * 4097, "lcl_\nline_break", "schlüssel_x"])
def test_a_malformed_key_is_refused_and_not_pinned(unconfigured: Bench, key: str) -> None:
    assert unconfigured.send(TRANSACTIONS, transaction(key))[0] == 403
    assert not (unconfigured.spool / "license" / "pinned").exists()


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EROFS])
def test_a_disk_that_fails_is_answered_503_with_retry_after(bench: Bench, code: int) -> None:
    bench.disk.error = OSError(code, "no")
    for path, body in ((TRANSACTIONS, transaction(KEY)), ("/v1/logs", b'{"resourceLogs":[{}]}')):
        status, headers, said = bench.send(path, body)
        assert status == 503
        assert headers[b"retry-after"] in {b"1", b"2", b"3"}
        assert b"disk." in said
    bench.disk.error = None
    assert bench.send(TRANSACTIONS, transaction(KEY))[0] == 200


def test_what_fails_unforeseen_is_a_503_and_its_words_are_in_no_log(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.disk.error = RuntimeError(f"this says {KEY}")
    with caplog.at_level(logging.ERROR):
        status, headers, said = bench.send(TRANSACTIONS, transaction(KEY))
    assert (status, orjson.loads(said)["error"]) == (503, "intake.failed")
    assert b"retry-after" in headers
    assert "RuntimeError" in caplog.text
    assert KEY not in caplog.text
    bench.disk.error = None


def test_readiness_is_503_also_where_the_spool_cannot_be_looked_at(bench: Bench) -> None:
    assert bench.send("/readyz", method="GET")[0] == 200
    bench.ready = False
    assert bench.send("/readyz", method="GET")[0] == 503
    bench.ready = OSError(errno.EIO, "no")
    assert bench.send("/readyz", method="GET")[0] == 503
    assert bench.send("/livez", method="GET")[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", TRANSACTIONS, b"POST"),
        ("PUT", "/v1/logs", b"POST"),
        ("POST", "/livez", b"GET, HEAD"),
    ],
)
def test_another_method_is_405_and_told_which_are_taken(
    bench: Bench, method: str, path: str, allowed: bytes
) -> None:
    status, headers, _ = bench.send(path, method=method)
    assert (status, headers[b"allow"]) == (405, allowed)


def test_a_license_request_has_no_answer_yet_and_may_come_again(bench: Bench) -> None:
    status, headers, said = bench.send("/v1/beacon/verify", orjson.dumps({"license": KEY}))
    assert status == 503
    assert b"retry-after" in headers
    assert all(isinstance(value, str) for value in orjson.loads(said).values())


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/beacon/verify", b'{"license":[%b]}', 413),
        ("/v1/beacon/verify", b'{"license":"lcl_EXAMPLE_NOT_A_KEY","x":[%b]}', 413),
        (TRANSACTIONS, b'{"license":[%b],"trace_transactions":[]}', 403),
        ("/v1/beacon/metadata/submit", b'{"license_key":[%b],"measures":{}}', 403),
    ],
)
def test_what_stands_in_the_place_of_a_license_key_takes_no_memory_many_times_its_size(
    bench: Bench, path: str, body: bytes, status: int
) -> None:
    hostile = body % (b"[]," * 60_000 + b"1")
    tracemalloc.start()
    try:
        assert bench.send(path, hostile)[0] == status
        assert tracemalloc.get_traced_memory()[1] < 4 * len(hostile)
    finally:
        tracemalloc.stop()


def test_a_license_key_is_taken_however_its_json_is_written(bench: Bench) -> None:
    escaped = "".join(f"\\u{ord(char):04x}" for char in KEY)
    body = f'{{"license": "{escaped}" ,"trace_transactions":[]}}'.encode()
    assert bench.send(TRANSACTIONS, body)[0] == 200


def test_a_data_plane_is_told_why_its_requests_are_refused(bench: Bench) -> None:
    headers = (JSON_TYPE, (b"x-data-plane-auth", b"secret"))
    status, _, said = bench.send("/v1/beacon/v1/logs", b'{"resourceLogs":[{}]}', headers)
    assert status == 403
    assert b"cannot be sent later" in said
    assert b"X-Langchain-License-Key" in said
    assert bench.stored("logs") == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (TRANSACTIONS, b'{"license":"%b","trace_transactions":[{"id":"a"},{"no":"id"}]}'),
        ("/v1/beacon/metadata/submit", b'{"license_key":"%b","from_timestamp":"a"}'),
    ],
)
def test_a_body_with_a_bad_record_is_refused_whole(bench: Bench, path: str, body: bytes) -> None:
    assert bench.send(path, body % KEY.encode())[0] == 400
    assert bench.stored("transactions") == bench.stored("langgraph") == []


def test_a_record_above_the_line_limit_is_413(bench: Bench) -> None:
    status, _, said = bench.send(TRANSACTIONS, transaction(KEY, more="x" * 8 * 1024 * 1024))
    assert (status, orjson.loads(said)["error"]) == (413, "record.too_large")
    assert bench.stored("transactions") == []


BOMB = 100 * 1024 * 1024
ENCODED = GZIP, ZSTD = (b"content-encoding", b"gzip"), (b"content-encoding", b"zstd")
LARGE_AND_BAD = {
    "a gzip bomb": (GZIP, gzip.compress(bytes(BOMB), 1)),
    "a zstd bomb": (ZSTD, zstandard.compress(bytes(BOMB))),
    "cut": (ZSTD, zstandard.compress(bytes(BOMB // 4))[:-1]),
    "no JSON": ((b"accept", b"*/*"), b"[" + bytes(BOMB // 4)),
    "a secret": ((b"accept", b"*/*"), b'{"license":1,"x":"' + b"x" * (BOMB // 4) + b'"}'),
}


@pytest.mark.parametrize("what", LARGE_AND_BAD)
def test_of_a_large_body_that_is_refused_nothing_stays_in_memory(bench: Bench, what: str) -> None:
    header, body = LARGE_AND_BAD[what]
    gc.collect()
    gc.disable()  # nobody shall have to look for it
    try:
        assert bench.send("/v1/logs", body, (JSON_TYPE, header))[0] in {400, 413}
        known = sys.getrefcount(body)
        tracemalloc.start()
        assert bench.send("/v1/logs", body, (JSON_TYPE, header))[0] in {400, 413}
        held, peak = tracemalloc.get_traced_memory()
        assert sys.getrefcount(body) == known or header in ENCODED
    finally:
        tracemalloc.stop()
        gc.enable()
    assert peak > BOMB // 8 or header not in ENCODED
    assert held < BOMB // 50


def test_requests_records_and_refusals_are_counted(bench: Bench) -> None:
    bench.send(TRANSACTIONS, transaction(KEY))
    bench.send(TRANSACTIONS, transaction("lcl_WRONG_KEY"))
    bench.send("/runs/multipart", b"customer content")
    counts = bench.intake.counts
    assert dict(counts.requests) == {TRANSACTIONS: 2}
    assert dict(counts.records) == {"transactions": 1}
    assert dict(counts.refused) == {"license.wrong": 1, "intake.unrouted": 1}
    assert dict(counts.unrouted) == {"'/runs/multipart'": 1}
    assert "customer" not in repr(counts)


def test_unrouted_paths_are_counted_in_bounded_and_printable_names_without_a_key() -> None:
    counts = IntakeCounts()
    guard = SecretGuard([KEY])
    counts.count_unrouted(f"/x/{KEY}", guard)
    counts.count_unrouted("/\x1b[31m\u202e\n", guard)
    for number in range(500):
        counts.count_unrouted(f"/runs/{number}" + "y" * 10_000, guard)
    assert counts.unrouted.total() == 502
    assert len(counts.unrouted) <= UNROUTED_MAX + 1
    assert counts.unrouted[OTHER] > 400
    assert KEY not in repr(counts)
    assert all(name.isprintable() for name in counts.unrouted)


HEADER = st.sampled_from(
    [
        JSON_TYPE,
        (b"content-encoding", b"gzip"),
        (b"content-length", b"\xff"),
        (b"x-langchain-license-key", b"\xff\xfe"),
        (b"x-langchain-license-key", KEY.encode()),
        (b"host", b"["),
    ]
)
DOCUMENTED = {200, 204, 400, 403, 404, 405, 413, 415, 503}


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from([*ROWS, "/v1/beacon/verify", "/livez", "/readyz"]) | st.text(),
    method=st.sampled_from(["POST", "POST", "POST", "GET", "HEAD", "DELETE"]),
    headers=st.lists(HEADER, max_size=4).map(lambda more: [JSON_TYPE, *more]),
    body=st.binary(max_size=200)
    | st.recursive(
        st.none() | st.floats() | st.text(max_size=9) | st.just(KEY),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["license", "license_key", "trace_transactions", "id", "resourceLogs"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    ).map(orjson.dumps),
)
def test_whatever_comes_the_answer_is_a_documented_one(
    bench: Bench,
    path: str,
    method: str,
    headers: list[tuple[bytes, bytes]],
    body: bytes,
) -> None:
    status, _, said = bench.send(path, body, headers, method)
    assert status in DOCUMENTED
    assert b"intake.failed" not in said
    assert KEY.encode() not in said
