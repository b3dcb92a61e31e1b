"""License verification through the bridge: the beacon's own word, or none."""

import asyncio
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import jwt
import pytest
import trustme

from bridge.daemon.passing import AT_ONCE, passing_on
from bridge.demo.clients import LICENSE
from bridge.egress.answers import Answer, Failure
from bridge.egress.client import BeaconClient
from bridge.egress.routes import ROUTES
from bridge.egress.verdict import LOOP, Kind, judge
from bridge.egress.verifying import DEADLINE_S, verify
from bridge.intake.passing import Passed
from bridge.testbeacon.tokens import license_digest
from tests.support.beacon import HOST, RunningBeacon, running_beacon
from tests.support.bridges import Node, node_for
from tests.support.faultserver import Step, answer, drip, fault_server, say, wait
from tests.support.leading import leading_back

pytestmark = pytest.mark.enable_socket
PATH = "/v1/beacon/verify"
ASKED = json.dumps({"license": LICENSE}).encode()


def _ask(node: Node, body: bytes = ASKED, **headers: str) -> httpx.Response:
    url = f"http://127.0.0.1:{node.daemon.port}{PATH}"
    headers["Content-Type"] = "application/json"
    return httpx.post(url, content=body, headers=headers, timeout=30, trust_env=False)


@pytest.fixture
def beacon(tmp_path: Path) -> Iterator[RunningBeacon]:
    with running_beacon(tmp_path / "beacon", licenses=[LICENSE]) as running:
        yield running


def test_the_token_is_the_beacons_byte_for_byte_and_nothing_of_it_is_kept(tmp_path: Path) -> None:
    token = b'{ "token" : "e30.e30.c2ln",  "more": 1.0 }'
    with (
        fault_server([say(answer(200, token))]) as server,
        node_for(tmp_path, server.url) as node,
    ):
        node.daemon.start()
        said = _ask(node)
        assert (said.status_code, said.content) == (200, token)
        assert said.headers["content-type"] == "application/json"
        asked = [each for each in server.requests if PATH in each.line]
        assert json.loads(asked[0].body) == {"license": LICENSE}
        node.daemon.stop()
        kept = [path for path in node.folder.rglob("*") if path.is_file()]
        assert not [path for path in (*kept, node.log) if b"c2ln" in path.read_bytes()]


def test_the_reference_beacons_token_comes_through(tmp_path: Path, beacon: RunningBeacon) -> None:
    with node_for(tmp_path, beacon.url) as node:
        node.daemon.start()
        said = _ask(node)
        assert said.status_code == 200
        with beacon.client() as client:
            (key,) = jwt.PyJWKSet.from_dict(client.get("/_beacon/jwks.json").json()).keys
        # The signature is right, so no byte of it is another one.
        claims = jwt.decode(said.json()["token"], key, algorithms=["EdDSA"])
        assert claims["sub"] == license_digest(LICENSE)


def test_a_beacon_that_was_killed_gives_no_new_token_and_one_that_came_back_does(
    tmp_path: Path,
) -> None:
    with ExitStack() as held:
        killed = held.enter_context(running_beacon(tmp_path / "beacon", process=True))
        node = held.enter_context(node_for(tmp_path, killed.url))
        node.daemon.start()
        token = _ask(node).json()["token"]
        assert killed.process is not None
        killed.process.kill()
        killed.process.wait()
        begin = time.monotonic()
        assert _ask(node).json()["token"] == token  # the one that was kept
        assert time.monotonic() - begin < 4
        held.enter_context(running_beacon(tmp_path / "beacon", port=killed.port))
        assert _ask(node).json()["token"] != token


def test_an_answer_that_drips_is_given_up_in_time(tmp_path: Path) -> None:
    token = answer(200, b'{"token":"e30.e30.c2ln"}')
    with fault_server([drip(token, 0.2)]) as server, node_for(tmp_path, server.url) as node:
        node.daemon.start()
        begin = time.monotonic()
        assert _ask(node).status_code == 503
        assert time.monotonic() - begin < DEADLINE_S + 1


def test_without_a_configured_key_the_one_that_was_presented_is_asked_about(tmp_path: Path) -> None:
    with (
        fault_server([say(answer(200, b'{"token":"t"}'))]) as server,
        node_for(tmp_path, server.url) as node,
    ):
        lines = node.config.read_text().splitlines(keepends=True)
        kept = [line for line in lines if not line.startswith("license_key_file")]
        node.config.write_text("".join(kept))
        node.daemon.start()
        # LangSmith sends it in the body, others in the header.
        assert _ask(node, b"{}", **{"X-Langchain-License-Key": LICENSE}).status_code == 200
        assert _ask(node).status_code == 200
        assert _ask(node, b'{"license":"lcl_another_key"}').status_code == 403
        asked = [json.loads(each.body) for each in server.requests if PATH in each.line]
        assert asked == [{"license": LICENSE}] * 2


def test_who_asks_about_a_key_that_is_being_asked_about_gets_the_same_answer() -> None:
    token = b'{"token":"e30.e30.c2ln"}'
    with (
        fault_server([say(answer(200, token))]) as server,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        client = BeaconClient(server.url, deadline_s=60.0)
        ask = passing_on(client, None, pool)

        async def several() -> list[Passed | None]:
            keys = ["lcl_one_key"] * 50 + ["lcl_another_key"]
            tasks = [asyncio.ensure_future(ask(key)) for key in keys]
            await asyncio.sleep(0)
            tasks[0].cancel()  # the first who asked is gone
            found = await asyncio.gather(*tasks[1:])
            return [*found, await ask(keys[0])]

        assert asyncio.run(several()) == [Passed(200, token)] * 51
        client.close()
    assert len(server.requests) == 3


def test_while_the_beacon_is_away_the_answer_is_503_and_comes_in_time(tmp_path: Path) -> None:
    with running_beacon(tmp_path / "beacon") as gone:
        url = gone.url
    with node_for(tmp_path, url) as node:
        node.daemon.start()
        begin = time.monotonic()
        said = _ask(node)
        assert time.monotonic() - begin < DEADLINE_S + 2
        assert (said.status_code, said.json()["error"]) == (503, "license.no_answer")
        assert said.headers["retry-after"] in {"1", "2", "3"}


def test_offline_nobody_is_asked(tmp_path: Path, beacon: RunningBeacon) -> None:
    with node_for(tmp_path, beacon.url, more="egress: {mode: offline}\n") as node:
        node.daemon.start()
        assert _ask(node).status_code == 503


def test_a_wrong_key_is_refused_and_not_passed_on(tmp_path: Path) -> None:
    with (
        fault_server([say(answer(200, b'{"token":"t"}'))]) as server,
        node_for(tmp_path, server.url) as node,
    ):
        node.daemon.start()
        for body in (b'{"license":"lcl_another_key"}', b"{}", b'{"license":7}'):
            assert _ask(node, body).status_code == 403
        assert _ask(node, b"[]").status_code == 400
        assert not [each for each in server.requests if PATH in each.line]


@pytest.mark.parametrize(
    "script",
    [
        [say(answer(200, b"<html>sign in</html>", content_type="text/html"))],
        [say(answer(200, b"<html>sign in</html>"))],
        [say(answer(200, b'{"inserted_count":1}'))],
        [say(answer(200, b'{"token":""}'))],
        [say(answer(200, b'{"token":7}'))],
        [say(answer(302, b"{}", "Location: http://127.0.0.1:1/"))],
        [say(answer(403, b"<html>blocked</html>", content_type="text/html"))],
        [say(answer(407, b"{}"))],
        [say(answer(429, b"{}"))],
        [say(answer(500, b'{"error":"x"}'))],
        [wait(DEADLINE_S + 20)],
        [drip(answer(200, b'{"token":"e30.e30.c2ln"}'), 0.2)],
    ],
)
def test_what_is_not_the_beacons_answer_is_none(script: list[Step]) -> None:
    with fault_server(script) as server:
        client = BeaconClient(server.url, deadline_s=60.0)
        begin = time.monotonic()
        assert verify(client, LICENSE) is None
        assert time.monotonic() - begin < DEADLINE_S + 3
        client.close()


@pytest.mark.parametrize("status", [400, 401, 403, 422])
def test_a_refusal_of_the_beacon_comes_through(status: int) -> None:
    body = b'{"detail":"unknown license"}'
    with fault_server([say(answer(status, body))]) as server:
        client = BeaconClient(server.url, deadline_s=60.0)
        found = verify(client, LICENSE)
        client.close()
    assert found is not None
    assert (found.status, found.body) == (status, body)


def test_requests_that_hang_hold_up_nothing_else(tmp_path: Path) -> None:
    with (
        fault_server([wait(30)]) as server,
        node_for(tmp_path, server.url) as node,
        ExitStack() as held,
    ):
        node.daemon.start()
        threads = [threading.Thread(target=_ask, args=(node,)) for _ in range(12)]
        for thread in threads:
            thread.start()
            held.callback(thread.join)
        time.sleep(0.3)
        begin = time.monotonic()
        body = json.dumps({"license": LICENSE, "trace_transactions": [{"id": "a"}]}).encode()
        assert node.daemon.post("/v1/beacon/ingest-traces", body) == 200
        assert time.monotonic() - begin < DEADLINE_S


def test_a_bridge_whose_beacon_is_itself_says_so_and_keeps_everything(tmp_path: Path) -> None:
    # What stands where the beacon should be is the way back to this bridge's own intake.
    with ExitStack() as held:
        listener = socket.create_server((HOST, 0))
        node = held.enter_context(node_for(tmp_path, f"http://{HOST}:{listener.getsockname()[1]}"))
        node.daemon.start()
        held.enter_context(leading_back(listener, node.daemon.port))
        body = json.dumps({"license": LICENSE, "trace_transactions": [{"id": "a"}]}).encode()
        assert node.daemon.post("/v1/beacon/ingest-traces", body) == 200
        said = node.bridge("run", "--once")  # the daemon has the spool; it seals on its own
        assert said.returncode == 5
        deadline = time.monotonic() + 30
        while "upstream.loop" not in (told := node.bridge("status", "--json").stdout):
            assert time.monotonic() < deadline, told
            time.sleep(0.3)
        lanes = json.loads(told)["lanes"]
        (billing,) = [each for each in lanes if each["stream"] == "transactions"]
        assert billing["records"]["pending"] == 1
        assert _ask(node).status_code == 503


def test_an_answer_508_of_something_else_is_no_loop() -> None:
    route = ROUTES["transactions"]
    ours = Answer(508, "application/json", b'{"error":"upstream.loop"}')
    verdict = judge(route, 1, ours, now_ms=0, secret="")
    assert (verdict.kind, verdict.reason) == (Kind.PAUSE_ALL, LOOP)
    assert (
        judge(route, 1, Answer(508, "text/plain", b"loop"), now_ms=0, secret="").kind is Kind.RETRY
    )


@pytest.fixture
def named(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A server with a certificate for a name that leads nowhere; its address and the CA's file."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("beacon.invalid").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    good = answer(200, b'{"inserted_count":1}')
    with fault_server([say(good)], tls=context) as server:
        yield f"https://beacon.invalid:{server.port}", tmp_path / "ca.pem"


def _post(url: str, ca_file: Path, *addresses: str) -> Answer | Failure:
    client = BeaconClient(url, deadline_s=10.0, ca_file=ca_file, addresses=addresses)
    try:
        return client.post("/v1/beacon/ingest-traces", {}, b"{}")
    finally:
        client.close()


def test_a_pinned_address_is_used_without_a_look_up_and_the_name_is_still_verified(
    named: tuple[str, Path],
) -> None:
    url, ca_file = named
    found = _post(url, ca_file, HOST)
    assert isinstance(found, Answer)
    assert found.status == 200
    refused = _post(url.replace("beacon.invalid", "other.invalid"), ca_file, HOST)
    assert refused == Failure("the certificate is not trusted", outcome_unknown=False)
    assert _post(url, ca_file) == Failure("the name was not found", outcome_unknown=False)


def test_an_address_that_drops_what_it_gets_leaves_time_for_the_next(
    named: tuple[str, Path],
) -> None:
    url, ca_file = named
    with ExitStack() as held:
        full = held.enter_context(socket.socket(socket.AF_INET6))
        full.bind(("::1", httpx.URL(url).port or 0))
        full.listen(0)
        for _ in range(4):  # its queue is full then, and the system drops what comes
            waiting = held.enter_context(socket.socket(socket.AF_INET6))
            waiting.settimeout(0)
            waiting.connect_ex(full.getsockname())
        client = BeaconClient(url, deadline_s=60.0, ca_file=ca_file, addresses=["::1", HOST])
        held.callback(client.close)
        found = client.post("/v1/beacon/ingest-traces", {}, b"{}", deadline_s=DEADLINE_S)
        assert isinstance(found, Answer)


def test_pinned_addresses_are_tried_in_turn(named: tuple[str, Path]) -> None:
    url, ca_file = named
    # Nothing listens on the first.
    found = _post(url, ca_file, "::1", HOST)
    assert isinstance(found, Answer)
