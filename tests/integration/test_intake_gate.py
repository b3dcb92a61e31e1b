"""Whose records are taken: license keys in bodies and headers, the pin, data planes."""

import http.client
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest

from bridge.intake.memory import BODY_MAX, MIB
from keys.ed25519 import SigningKey
from spool.streams import STREAMS
from tests.support.commands import bridge
from tests.support.intakes import DATA_PLANE, LICENSE, RunningIntake, intake_with

pytestmark = pytest.mark.enable_socket
KEYED = "license_key_file: license_key\n"
HEADER = "X-Langchain-License-Key"
AUTH = "X-Data-Plane-Auth"
WRONG = "lcl_WRONG_KEY_0000"
INGEST, SUBMIT, LOGS = "/v1/beacon/ingest-traces", "/v1/beacon/metadata/submit", "/v1/logs"
WARN = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityNumber":13}]}]}]}'


def transactions(**keys: str) -> bytes:
    return orjson.dumps({**keys, "trace_transactions": [{"id": "a"}]})


def report(**keys: str) -> bytes:
    return orjson.dumps({**keys, "from_timestamp": "a", "to_timestamp": "b", "measures": {}})


def error_of(said: bytes) -> str:
    found = orjson.loads(said)
    return str(found["error"] if "error" in found else found["message"].rpartition("[")[2][:-1])


@pytest.fixture
def intake(tmp_path: Path) -> Iterator[RunningIntake]:
    with intake_with(tmp_path, KEYED) as running:
        yield running


@pytest.mark.parametrize("name", ["license", "license_key"])
@pytest.mark.parametrize(("path", "body"), [(INGEST, transactions), (SUBMIT, report)])
def test_a_key_in_a_body_is_known_by_both_names_and_stored_under_neither(
    intake: RunningIntake, path: str, body: Callable[..., bytes], name: str
) -> None:
    assert intake.send(path, body(**{name: LICENSE}))[0] == 200
    assert error_of(intake.send(path, body(**{name: WRONG}))[1]) == "license.wrong"
    both = {"license": LICENSE, "license_key": LICENSE}
    assert intake.send(path, body(**both))[0] == 200
    assert intake.send(path, body(**(both | {name: WRONG})))[0] == 403
    stored = b"".join(line for stream in STREAMS for line in intake.stored(stream))
    assert b"license" not in stored
    assert LICENSE.encode() not in stored


@pytest.mark.parametrize(("path", "body"), [(INGEST, transactions), (SUBMIT, report)])
def test_a_header_is_as_good_as_a_body_and_both_must_be_right(
    intake: RunningIntake, path: str, body: Callable[..., bytes]
) -> None:
    assert intake.send(path, body(), {HEADER: LICENSE})[0] == 200
    assert intake.send(path, body(license=LICENSE), {HEADER: LICENSE})[0] == 200
    for given, headers, error in [
        (body(), {}, "license.missing"),
        (body(), {HEADER: WRONG}, "license.wrong"),
        (body(license=LICENSE), {HEADER: WRONG}, "license.wrong"),
        (body(license=WRONG), {HEADER: LICENSE}, "license.wrong"),
        (body(license=LICENSE), {HEADER: ""}, "license.wrong"),
    ]:
        status, said = intake.send(path, given, headers)
        assert (status, error_of(said)) == (403, error)


def test_otlp_without_a_key_is_taken_on_loopback_and_with_a_wrong_one_refused(
    intake: RunningIntake,
) -> None:
    assert intake.send(LOGS, WARN)[0] == 200
    assert intake.send(LOGS, WARN, {HEADER: LICENSE})[0] == 200
    assert intake.send(LOGS, WARN, {HEADER: WRONG})[0] == 403
    assert len(intake.stored("logs")) == 2


@pytest.mark.parametrize(
    ("listen", "required", "taken"),
    [
        ("127.0.0.1:0", "auto", True),
        ("127.0.0.1:0", "true", False),
        ("0.0.0.0:0", "auto", False),
        ("0.0.0.0:0", "false", True),
    ],
)
def test_otlp_without_a_key_is_refused_beyond_loopback_unless_it_is_asked_for(
    tmp_path: Path, listen: str, required: str, *, taken: bool
) -> None:
    more = f"intake: {{listen: '{listen}', require_license: {required}}}\n"
    with intake_with(tmp_path, KEYED + more) as intake:
        status, said = intake.send(LOGS, WARN)
        assert status == (200 if taken else 403)
        assert taken or error_of(said) == "license.missing"
        assert intake.send(LOGS, WARN, {HEADER: LICENSE})[0] == 200


def test_a_pin_is_made_by_a_request_that_is_taken_alone(tmp_path: Path) -> None:
    with intake_with(tmp_path) as intake:
        told = intake.send(INGEST, transactions(license="lcl_FIRST_KEY"), {HEADER: WRONG})
        assert (told[0], error_of(told[1])) == (403, "license.changed")
        assert not (intake.spool / "license" / "pinned").exists()
        assert intake.send(LOGS, WARN)[0] == 200
        assert intake.send(LOGS, WARN, {HEADER: "lcl_FIRST_KEY"})[0] == 200
        assert error_of(intake.send(INGEST, transactions(license=WRONG))[1]) == "license.changed"


def test_license_accept_forgets_the_pin_and_a_running_intake_notices(tmp_path: Path) -> None:
    signer = SigningKey.generate()
    config = tmp_path / "bridge.yaml"
    with intake_with(tmp_path, signer=signer) as intake:
        first, second = (
            transactions(license="lcl_FIRST_KEY"),
            transactions(license="lcl_SECOND_KEY"),
        )
        told = bridge("--config", config, "license", "accept", "--json")
        assert (told.code, told.answer["pinned_at"]) == (0, None)
        assert intake.send(INGEST, first)[0] == 200
        status, said = intake.send(INGEST, second)
        assert status == 403
        assert b"bridge license accept" in said
        told = bridge("--config", config, "license", "accept", "--dry-run", "--json")
        assert (told.answer["forgotten"], told.answer["schema"]) == (False, "bridge.license/1")
        assert intake.send(INGEST, second)[0] == 403
        text = bridge("--config", config, "license", "accept").out.decode()
        assert told.answer["pinned_at"] in text
        assert intake.send(INGEST, second)[0] == 200
        assert intake.send(INGEST, first)[0] == 403
        # Whatever key was ever seen is kept out of what is stored.
        for key in (b"lcl_FIRST_KEY", b"lcl_SECOND_KEY"):
            body = transactions(license="lcl_SECOND_KEY").replace(b'"a"', b'"%b"' % key)
            assert intake.send(INGEST, body)[0] == 400
    with intake_with(tmp_path, signer=signer) as intake:
        assert intake.send(INGEST, second)[0] == 200
        assert intake.send(INGEST, first)[0] == 403


def test_a_damaged_pin_takes_nobody_and_says_what_to_do(tmp_path: Path) -> None:
    with intake_with(tmp_path) as intake:
        body = transactions(license="lcl_FIRST_KEY")
        assert intake.send(INGEST, body)[0] == 200
        pin = intake.spool / "license" / "pinned"
        pin.with_name("new").write_bytes(b"{}")
        os.replace(pin.with_name("new"), pin)  # noqa: PTH105 - as replace_file does
        status, said = intake.send(INGEST, body)
        assert (status, error_of(said)) == (503, "license.pin")
        assert bridge("--config", tmp_path / "bridge.yaml", "license", "accept").code == 0
        assert intake.send(INGEST, body)[0] == 200


def test_a_data_plane_is_refused_with_the_reason_where_no_credential_is_configured(
    intake: RunningIntake,
) -> None:
    for path, body in ((LOGS, WARN), (INGEST, transactions(license=LICENSE))):
        status, said = intake.send(path, body, {AUTH: DATA_PLANE})
        assert (status, error_of(said)) == (403, "license.data_plane")
        assert b"cannot be sent later" in said
        assert b"data_plane_auth_file" in said
    assert not intake.stored("logs")


def test_a_configured_data_plane_is_taken_by_its_credential_which_is_never_stored(
    tmp_path: Path,
) -> None:
    more = KEYED + "data_plane_auth_file: data_plane\nintake: {listen: '0.0.0.0:0'}\n"
    with intake_with(tmp_path, more) as intake:
        assert intake.send(LOGS, WARN, {AUTH: DATA_PLANE})[0] == 200
        status, said = intake.send(LOGS, WARN, {AUTH: "another"})
        assert (status, error_of(said)) == (403, "license.data_plane_wrong")
        assert intake.send(LOGS, WARN, {AUTH: DATA_PLANE, HEADER: WRONG})[0] == 403
        assert error_of(intake.send(LOGS, WARN)[1]) == "license.missing"
        told = intake.send(INGEST, transactions(), {AUTH: DATA_PLANE})
        assert error_of(told[1]) == "license.missing"  # billing is the license's, not the plane's
        held = transactions(license=LICENSE).replace(b'"a"', b'"%b"' % DATA_PLANE.encode())
        assert intake.send(INGEST, held)[0] == 400
        assert len(intake.stored("logs")) == 1


def _begun(intake: RunningIntake, path: str, *headers: str) -> socket.socket:
    """A connection on which a request's head was sent."""
    connection = socket.create_connection(("127.0.0.1", intake.port), timeout=20)
    lines = [f"POST {path} HTTP/1.1", "Host: x", "Content-Type: application/json", *headers]
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    return connection


def _answered(connection: socket.socket) -> tuple[int, bytes]:
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer.status, answer.read()


@pytest.mark.parametrize("path", [INGEST, SUBMIT, LOGS, "/v1/beacon/verify"])
def test_a_wrong_key_in_a_header_is_refused_before_the_body_comes(
    intake: RunningIntake, path: str
) -> None:
    body = transactions(license=LICENSE)
    with _begun(intake, path, f"{HEADER}: {WRONG}", f"Content-Length: {len(body)}") as connection:
        status, said = _answered(connection)
        assert (status, error_of(said)) == (403, "license.wrong")
        # The rest of it may come all the same, and the next request after it.
        connection.sendall(body)
        head = f"POST {INGEST} HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        assert _answered(connection)[0] == 200
    assert intake.counts.refused == {"license.wrong": 1}


@pytest.mark.parametrize("path", [INGEST, SUBMIT, LOGS, "/v1/beacon/verify"])
def test_another_key_than_the_pinned_one_is_refused_before_the_body_comes(
    tmp_path: Path, path: str
) -> None:
    waiting = "Content-Length: 9"
    with intake_with(tmp_path) as intake:
        # As long as none is pinned, those that cannot be, or do not agree, are refused so.
        for wrong in ([f"{HEADER}: short"], [f"{HEADER}: {LICENSE}", f"{HEADER}: {WRONG}"]):
            with _begun(intake, path, *wrong, waiting) as connection:
                assert error_of(_answered(connection)[1]) == "license.changed"
        assert intake.send(INGEST, transactions(license=LICENSE))[0] == 200
        with _begun(intake, path, f"{HEADER}: {WRONG}", waiting) as connection:
            status, said = _answered(connection)
        assert (status, error_of(said)) == (403, "license.changed")
        assert intake.counts.refused == {"license.changed": 3}
        assert intake.send(INGEST, transactions(), {HEADER: LICENSE})[0] == 200


def test_a_header_that_came_before_its_body_pins_nothing(tmp_path: Path) -> None:
    with intake_with(tmp_path) as intake:
        with _begun(intake, INGEST, f"{HEADER}: {WRONG}", "Content-Length: 9"):
            while not intake.counts.requests[INGEST]:
                time.sleep(0.01)
        assert not (intake.spool / "license" / "pinned").exists()
        assert intake.send(INGEST, transactions(license=LICENSE))[0] == 200


def test_otlp_that_needs_a_key_and_has_none_is_refused_before_the_body_comes(
    tmp_path: Path,
) -> None:
    required = "intake: {listen: 127.0.0.1:0, require_license: true}\n"
    with (
        intake_with(tmp_path, KEYED + required) as intake,
        _begun(intake, LOGS, "Content-Length: 9") as connection,
    ):
        status, said = _answered(connection)
    assert (status, error_of(said)) == (403, "license.missing")


def test_a_body_without_an_end_after_its_answer_is_cut_off(intake: RunningIntake) -> None:
    pieces = (b"100000\r\n" + bytes(MIB) + b"\r\n") * (2 * BODY_MAX // MIB)
    chunked = f"{HEADER}: {WRONG}", "Transfer-Encoding: chunked"
    with _begun(intake, INGEST, *chunked) as connection:
        assert _answered(connection)[0] == 403
        with pytest.raises(ConnectionError):
            connection.sendall(pieces)


def test_a_header_of_a_request_that_was_not_taken_is_not_pinned(tmp_path: Path) -> None:
    with intake_with(tmp_path) as intake:
        assert intake.send(INGEST, b"no JSON", {HEADER: WRONG})[0] == 400
        assert intake.send(INGEST, transactions(license=LICENSE))[0] == 200
