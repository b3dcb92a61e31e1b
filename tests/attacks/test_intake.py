"""Content of records (61 to 68), by HTTP: judged before it is signed, and a bad body refused whole."""

from collections.abc import Iterator

import orjson
import pytest

from tests.attacks.test_records import FORMS, LOG
from tests.support.attacks import CPU_MAX_S, MEMORY_MAX, measured
from tests.support.commands import SECRET
from tests.support.intakes import RunningIntake, intake_with

pytestmark = pytest.mark.enable_socket
KEY = SECRET.encode()
GOOD = b'{"id":"x"}'
DEEP = b'{"id":"x","a":%b%b}'
BAD: dict[str, tuple[bytes, str]] = {
    "061-nul": (b'{"id":"x"}\0', "record.json"),
    "061-bom": (b'\xef\xbb\xbf{"id":"x"}', "record.json"),
    "061-nothing": (b"", "record.json"),
    "063-depth-65": (DEEP % (b"[" * 64, b"]" * 64), "record.depth"),
    "063-depth-1025": (DEEP % (b"[" * 1024, b"]" * 1024), "record.depth"),
    "063-depth-100000": (DEEP % (b"[" * 10**5, b"]" * 10**5), "record.depth"),
    "064-a-key-twice": (b'{"id":"x","id":"y"}', "record.repeated_key"),
    "064-a-key-twice-by-escape": (b'{"id":"x","\\u0069d":"y"}', "record.repeated_key"),
    "066-nan": (b'{"id":"x","n":NaN}', "record.json"),
    "066-infinity": (b'{"id":"x","n":-Infinity}', "record.json"),
    "066-1e999": (b'{"id":"x","n":1e999}', "record.json"),
    "066-half-a-surrogate": (b'{"id":"x","n":"\\ud800"}', "record.json"),
    "066-no-utf-8": (b'{"id":"x","n":"\xff"}', "record.json"),
    "066-utf-16-halves-in-utf-8": (b'{"id":"x","n":"\xed\xa0\x80"}', "record.json"),
    "067-array": (b"[1]", "record.form"),
    "067-text": (b'"x"', "record.form"),
    "068-license": (b'{"id":"x","license":"y"}', "record.secret"),
    "068-license_key": (b'{"id":"x","license_key":null}', "record.secret"),
    **{
        f"068-the-key-{name}": (b'{"id":"x","a":{"b":["-%b-"]}}' % form, "record.secret")
        for name, form in FORMS.items()
    },
}


def transactions(record: bytes) -> bytes:
    """A request with this record between two that are good."""
    rows = b",".join([b'{"id":"before"}', record, b'{"id":"after"}'])
    return b'{"license":"%b","trace_transactions":[%b]}' % (KEY, rows)


@pytest.fixture(scope="module")
def intake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningIntake]:
    folder = tmp_path_factory.mktemp("intake")
    (folder / "key").write_bytes(KEY)
    with intake_with(folder, "license_key_file: key\n") as running:
        yield running


@pytest.mark.parametrize("attack", list(BAD))
def test_attack(intake: RunningIntake, attack: str) -> None:
    record, error = BAD[attack]
    path = "/v1/beacon/ingest-traces"
    assert intake.send(path, transactions(GOOD))[0] == 200
    before = intake.stored("transactions")
    with measured() as cost:
        status, said = intake.send(path, transactions(record))
    assert (status, orjson.loads(said)["error"]) == (400, error)
    assert intake.stored("transactions") == before
    assert KEY not in said
    assert cost().memory < MEMORY_MAX
    assert cost().cpu_s < CPU_MAX_S


@pytest.mark.parametrize("form", list(FORMS))
def test_attack_068_a_log_record_with_the_key_is_left_out_and_counted_and_the_rest_is_kept(
    intake: RunningIntake, form: str
) -> None:
    one = LOG % FORMS[form]
    bad, good = (
        one[len(b'{"resourceLogs":[') : -2],
        (LOG % form.encode())[len(b'{"resourceLogs":[') : -2],
    )
    status, said = intake.send("/v1/logs", b'{"resourceLogs":[%b,%b]}' % (bad, good))
    assert status == 200
    assert orjson.loads(said)["partialSuccess"]["rejectedLogRecords"] == "1"
    stored = b"".join(intake.stored("logs"))
    assert b'"stringValue":"%b"' % form.encode() in stored
    assert FORMS[form] not in stored
