"""What the operator switched off, and what is below a warning, is answered as taken, and counted."""

from pathlib import Path

import orjson
import pytest

from spool.streams import STREAMS
from tests.support.commands import bridge, make_node
from tests.support.intakes import LICENSE, RunningIntake, intake_with

pytestmark = pytest.mark.enable_socket
KEYED = "license_key_file: license_key\n"
SPAN = b'"from_timestamp":"a","to_timestamp":"b","measures":{"n":1}'
PATHS = {
    "transactions": "/v1/beacon/ingest-traces",
    "langgraph": "/v1/beacon/metadata/submit",
    "snapshots": "/v1/beacon/usage-snapshot",
    "logs": "/v1/beacon/v1/logs",
    "metrics": "/v1/beacon/v1/metrics",
    "traces": "/v1/traces",
}
KEY = LICENSE.encode()
BODIES = {
    "transactions": b'{"license":"%b","trace_transactions":[{"id":"a"}]}' % KEY,
    "langgraph": b'{"license_key":"%b",%b}' % (KEY, SPAN),
    "snapshots": b'{"license_key":"%b",%b}' % (KEY, SPAN),
    "logs": b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityNumber":13}]}]}]}',
    "metrics": b'{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{}]}]}]}',
    "traces": b'{"resourceSpans":[{"scopeSpans":[{"spans":[{}]}]}]}',
}
ANSWERS = dict.fromkeys(PATHS, (200, b"{}")) | {
    "transactions": (200, b'{"inserted_count":1}'),
    "snapshots": (204, b""),
}


def stored_of_all(intake: RunningIntake) -> set[str]:
    """Send one request for each stream, each answered as ever; the streams that were stored."""
    for stream, path in PATHS.items():
        assert intake.send(path, BODIES[stream]) == ANSWERS[stream]
    return {stream for stream in STREAMS if intake.stored(stream)}


@pytest.mark.parametrize(
    ("more", "environment", "off"),
    [
        ("", {}, set()),
        ("", {"PHONE_HOME_USAGE_REPORTING_ENABLED": "false"}, {"snapshots"}),
        ("snapshots: {enabled: false}\n", {}, {"snapshots"}),
        ("config: {telemetry: {logs: false}}\n", {}, {"logs"}),
        ("", {"BEACON_METRICS_ENABLED": "false", "BEACON_LOGGING_ENABLED": "true"}, {"metrics"}),
        (
            "config: {telemetry: {logs: false, metrics: false}}\nsnapshots: {enabled: false}\n",
            {"BEACON_TRACING_ENABLED": "false", "BEACON_LOGGING_ENABLED": "true"},
            {"logs", "metrics", "traces", "snapshots"},
        ),
    ],
    ids=["nothing", "phone home", "snapshots", "logs", "metrics", "all that has a switch"],
)
def test_what_is_off_is_answered_as_ever_stored_nowhere_and_counted(
    tmp_path: Path, more: str, environment: dict[str, str], off: set[str]
) -> None:
    with intake_with(tmp_path, KEYED + more, environment) as intake:
        assert stored_of_all(intake) == set(STREAMS) - off
        assert intake.counts.switched_off == dict.fromkeys(off, 1)
        assert set(intake.counts.records) == set(STREAMS) - off


def test_phone_home_switches_snapshots_off_and_never_langgraph_or_transactions(
    tmp_path: Path,
) -> None:
    environment = {"PHONE_HOME_USAGE_REPORTING_ENABLED": "false"}
    with intake_with(tmp_path, KEYED, environment) as intake:
        stored_of_all(intake)
        assert intake.stored("snapshots") == []
        assert intake.stored("langgraph") == [b"{%b}" % SPAN]
        assert intake.stored("transactions") == [b'{"id":"a"}']


def test_a_wrong_license_key_is_refused_for_what_is_off_too(tmp_path: Path) -> None:
    with intake_with(tmp_path, KEYED + "snapshots: {enabled: false}\n") as intake:
        wrong = BODIES["snapshots"].replace(KEY, b"lcl_WRONG_KEY_0000")
        assert intake.send(PATHS["snapshots"], wrong)[0] == 403
        assert intake.counts.switched_off == {}


def test_what_is_filtered_is_accepted_counted_and_not_stored(tmp_path: Path) -> None:
    record = b'{"severityNumber":%d,"body":{"stringValue":"%b"}}'
    some = b",".join([record % (9, b"low"), record % (17, b"high"), record % (1, b"low")])
    with intake_with(tmp_path, KEYED) as intake:
        for records in (some, record % (5, b"low")):
            body = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[%b]}]}]}' % records
            # Accepted: the vendor's own promise is no fault of the sender's.
            assert intake.send("/v1/logs", body) == (200, b"{}")
        (line,) = intake.stored("logs")
        assert line.count(b"severityNumber") == 1
        assert b"high" in line
        assert (intake.counts.records["logs"], intake.counts.filtered["logs"]) == (1, 3)


def test_a_transaction_that_comes_twice_is_kept_twice_and_counted(tmp_path: Path) -> None:
    body = b'{"license":"%b","trace_transactions":[{"id":"a"},{"id":"b"},{"id":"a","n":2}]}' % KEY
    with intake_with(tmp_path, KEYED) as intake:
        assert intake.send(PATHS["transactions"], body)[0] == 200
        assert intake.counts.repeated == 1
        assert intake.send(PATHS["transactions"], body)[0] == 200
        assert intake.counts.repeated == 4
        assert len(intake.stored("transactions")) == 6


EXAMPLES = Path(__file__).parents[1] / "captures" / "vendor-examples"


@pytest.mark.parametrize("name", ["ingest-traces", "usage-snapshot", "logs", "metrics", "traces"])
def test_the_vendors_examples_are_stored_in_their_own_bytes(tmp_path: Path, name: str) -> None:
    sent = (EXAMPLES / f"{name}-request.json").read_bytes()
    sent = sent.replace(b"<YOUR_LICENSE_KEY>", KEY)
    stream = {"ingest-traces": "transactions", "usage-snapshot": "snapshots"}.get(name, name)
    path = f"/v1/beacon/{name}" if stream != name else f"/v1/beacon/v1/{name}"
    with intake_with(tmp_path, KEYED) as intake:
        status, said = intake.send(path, sent)
        (line,) = intake.stored(stream)
    flat = sent.replace(b"\n", b" ")
    if stream == "snapshots":
        assert (status, said) == (204, b"")
        before, measures = flat.split(b'"measures":')
        assert measures[: measures.index(b"}") + 1].strip() in line
        assert orjson.loads(line).keys() == orjson.loads(sent).keys() - {"license_key"}
        assert before.index(b"from_timestamp") < before.index(b"to_timestamp")
    elif stream == "transactions":
        answer = (EXAMPLES / "ingest-traces-response.json").read_bytes()
        assert (status, orjson.loads(said)) == (200, orjson.loads(answer))
        assert line == flat[flat.index(b"[") + 1 : flat.rindex(b"]")].strip()
    else:
        assert (status, said) == (200, b"{}")
        assert flat[flat.index(b"[") : flat.rindex(b"]") + 1] in line
    assert KEY not in line


def test_the_vendors_verify_example_is_never_stored(tmp_path: Path) -> None:
    sent = (EXAMPLES / "verify-request.json").read_bytes().replace(b"<YOUR_LICENSE_KEY>", KEY)
    with intake_with(tmp_path, KEYED) as intake:
        status, said = intake.send("/v1/beacon/verify", sent)
        # Without a beacon there is no token: nothing is made up, least of all the example's.
        assert status == 503
        example = orjson.loads((EXAMPLES / "verify-response.json").read_bytes())
        assert example["token"].encode() not in said
        assert not any(intake.stored(stream) for stream in STREAMS)


def test_append_refuses_a_stream_that_is_off_because_success_would_mean_durable(
    tmp_path: Path,
) -> None:
    config = make_node(tmp_path / "node")
    config.write_text(config.read_text() + "config: {telemetry: {logs: false}}\n")
    told = bridge("--config", config, "append", "logs", "--json", stdin=BODIES["logs"])
    assert (told.code, told.answer["error"]["id"]) == (1, "stream.off")
    assert "config.telemetry.logs" in told.answer["error"]["message"]
    assert bridge("--config", config, "append", "traces", stdin=BODIES["traces"]).code == 0


def test_append_says_how_many_log_records_it_left_out(tmp_path: Path) -> None:
    config = make_node(tmp_path / "node")
    low = BODIES["logs"].replace(b"13", b"9")
    given = b"\n".join([BODIES["logs"], low, low])
    told = bridge("--config", config, "append", "logs", "--json", stdin=given)
    assert told.code == 0
    assert told.answer["records"] == 1
    assert told.answer["filtered"] == 2
    path = tmp_path / "low.ndjson"
    path.write_bytes(low)
    said = bridge("--config", config, "append", "logs", path)
    assert said.out == b"0 records (1 log records below WARN left out) are durable.\n"
