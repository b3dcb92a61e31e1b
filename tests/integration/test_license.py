"""The license with a real daemon: the beacon dies, and the token is the vendor's still."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from random import Random

import orjson
import pytest

from bridge.config.licensekeys import LicenseKey, LicenseKeys
from bridge.daemon.licensing import Licensing
from bridge.demo.clients import LICENSE
from bridge.egress.client import BeaconClient
from bridge.egress.event import Event
from tests.support.beacon import running_beacon
from tests.support.bridges import node_for
from tests.support.disks import FastDisk
from tests.support.faultserver import Step, answer, fault_server, say
from tests.support.licensed import DAY_MS, HOUR_MS, KEY, NODE, Cache
from tests.support.licensenodes import (
    DEAD,
    PATH,
    ask,
    beacon_and_node,
    cut_off,
    pin,
    token_status,
    wait_until,
)
from tests.support.tokens import ED, NOW_S, jwks

pytestmark = pytest.mark.enable_socket


@pytest.mark.parametrize("pinned", [True, False], ids=["pinned", "unpinned"])
def test_a_token_is_served_byte_for_byte_by_a_bridge_that_starts_without_a_beacon(
    tmp_path: Path, *, pinned: bool
) -> None:
    with beacon_and_node(tmp_path, pinned=pinned) as (beacon, node):
        assert token_status(node)[0] == 8
        node.daemon.start()
        token = ask(node).json()["token"]
        cut_off(node, beacon.url)
        said = ask(node)
        assert (said.status_code, said.json()) == (200, {"token": token})
        assert said.headers["content-type"] == "application/json"
        assert ask(node, "lcl_another_key").status_code == 403
        code, found = token_status(node)
        assert (code, found["state"]) == (0, "VALID" if pinned else "UNVERIFIABLE")
        assert (found["shown"], found["source"]) == ("served", "beacon")
        status = json.loads(node.bridge("status", "--json").stdout)
        assert status["license"]["served"]
        assert status["forecast"]["token_ends_at"] == found["expires_at"]
        assert token not in node.log.read_text()
        for command in (("license", "status"), ("license", "show"), ("status",)):
            assert token not in node.bridge(*command).stdout
        assert node.bridge("license", "show", "--token").stdout.strip() == token


def test_offline_the_kept_token_is_served_and_expires_at_its_end(tmp_path: Path) -> None:
    with beacon_and_node(tmp_path, pinned=True, life_s=12) as (_, node):
        assert node.bridge("license", "refresh").returncode == 0
        end = json.loads(node.bridge("license", "show", "--json").stdout)["claims"]["exp"]
        node.config.write_text(node.config.read_text() + "egress: {mode: offline}\n")
        node.daemon.start()
        assert ask(node).status_code == 200
        refused = node.bridge("license", "refresh", "--json")
        assert json.loads(refused.stdout)["error"]["id"] == "license.offline"
        wait_until(end)
        said = ask(node)
        assert (said.status_code, said.json()["error"]) == (503, "license.no_answer")
        assert token_status(node)[0] == 8
        status = json.loads(node.bridge("status", "--json").stdout)
        assert "license.expired" in [problem["id"] for problem in status["problems"]]


def test_a_token_comes_to_an_offline_node_as_a_file(tmp_path: Path) -> None:
    more = "egress: {mode: offline}\n"
    with beacon_and_node(tmp_path, pinned=True, more=more) as (beacon, node):
        with beacon.client() as client:
            body = client.post(PATH, json={"license": LICENSE}).content
            others = client.post(PATH, json={"license": "lcl_of_somebody_else"}).content
        file = tmp_path / "token.json"
        file.write_bytes(others)
        said = node.bridge("license", "import", str(file), "--json")
        assert said.returncode == 4
        assert json.loads(said.stdout)["error"]["id"] == "license.token"
        file.write_text(LICENSE)
        assert "is a key" in node.bridge("license", "import", str(file)).stderr.replace("_", " ")
        file.write_bytes(body)
        assert node.bridge("license", "import", str(file), "--dry-run").returncode == 0
        assert token_status(node)[0] == 8
        assert node.bridge("license", "import", str(file)).returncode == 0
        node.daemon.start()
        assert ask(node).json() == json.loads(body)
        assert token_status(node)[1]["source"] == "import"


def test_a_bridge_whose_key_set_lacks_the_vendors_key_runs_and_says_so(tmp_path: Path) -> None:
    with beacon_and_node(tmp_path, pinned=False) as (beacon, node):
        assert node.bridge("license", "refresh").returncode == 0
        node.config.write_text(node.config.read_text() + pin(tmp_path, jwks(ED.jwk())))
        node.daemon.start()
        code, found = token_status(node)
        assert (code, found["state"], found["shown"]) == (8, "UNVERIFIABLE", "not served")
        assert found["reason"] == "the token names a key that license.jwks_file does not hold"
        assert ask(node).status_code == 200  # while the beacon is there it answers
        cut_off(node, beacon.url)
        assert ask(node).status_code == 503
        status = json.loads(node.bridge("status", "--json").stdout)
        assert "license.unverifiable" in [problem["id"] for problem in status["problems"]]


def test_an_offline_license_key_is_recognised_and_explained(tmp_path: Path) -> None:
    with node_for(tmp_path, DEAD) as node:
        (node.folder / "license_key").write_text("eyJhbGciOi_EXAMPLE_OFFLINE_KEY")
        said = node.bridge("license", "status")
        assert said.returncode == 8
        assert "offline one" in said.stdout


def test_the_daemon_asks_by_itself(tmp_path: Path) -> None:
    with beacon_and_node(tmp_path, pinned=False) as (_, node):
        node.daemon.start()
        deadline = time.monotonic() + 60
        while token_status(node)[1]["state"] == "NONE":
            assert time.monotonic() < deadline
            time.sleep(0.5)
        found = token_status(node)[1]["refresh"]
        assert isinstance(found, dict)
        assert found["problem"] is None


def test_a_refresh_by_hand_says_when_a_daemon_would_ask_next(tmp_path: Path) -> None:
    with beacon_and_node(tmp_path, pinned=True) as (_, node):
        assert node.bridge("license", "refresh").returncode == 0
        found = token_status(node)[1]["refresh"]
        assert isinstance(found, dict)
        tried, next_at = (datetime.fromisoformat(found[name]) for name in ("tried_at", "next_at"))
        assert 4.7 <= (next_at - tried).total_seconds() / 3600 <= 6  # a quarter of a day


def test_a_jwks_file_that_is_not_in_order_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "jwks.json").write_bytes(jwks({"kty": "oct", "k": "AAAA", "kid": "s"}))
    more = f"license: {{jwks_file: {tmp_path / 'jwks.json'}}}\n"
    with node_for(tmp_path, DEAD, more=more) as node:
        for command in (("run",), ("license", "status")):
            said = node.bridge(*command)
            assert (said.returncode, "license.jwks_file" in said.stderr) == (78, True)


@contextmanager
def _licensing(
    cache: Cache,
    url: str | None,
    tell: Callable[[Event], None] = lambda _: None,
    *,
    key: Callable[[], str] = lambda: KEY,
) -> Iterator[Licensing]:
    """What the daemon runs, with the clocks of ``cache`` and no thread."""
    client = None if url is None else BeaconClient(url, deadline_s=5.0)
    found = Licensing(
        cache.restarted(),
        NODE,
        lambda: LicenseKeys({NODE: (LicenseKey(key()),)}, node=NODE),
        client,
        disk=FastDisk(),
        clock=cache.clock,
        random=Random(3),
        tell=tell,
    )
    try:
        yield found
    finally:
        found.stop()
        if client is not None:
            client.close()


def _said(status: int, body: bytes, content_type: str = "application/json") -> list[Step]:
    return [say(answer(status, body, content_type=content_type))]


@pytest.mark.parametrize("what", ["a file changed", "a clock ahead and back"])
def test_what_is_not_served_any_more_is_asked_for_within_a_minute(
    tmp_path: Path, what: str
) -> None:
    cache = Cache(tmp_path / "spool")
    cache.took(cache.token(days=30))
    fresh = cache.token(days=31, ago_s=-60)
    answers = _said(200, orjson.dumps({"token": fresh}))
    with fault_server(answers) as server, _licensing(cache, server.url) as licensing:
        for _ in range(10):
            licensing.look()
            cache.clock.pass_ms(30_000)
        assert server.requests == []  # a token of thirty days is asked for in a day
        if what == "a file changed":
            cache.file.write_bytes(b"{}")
        else:
            cache.clock.wall += 2 * DAY_MS
            cache.clock.pass_ms(60_000)
            licensing.look()
            cache.clock.wall -= 2 * DAY_MS
        assert not cache.now().served
        cache.clock.pass_ms(60_000)
        licensing.look()
        assert len(server.requests) == 1
        assert cache.now().token == fresh


def test_for_an_offline_license_nobody_is_woken_until_an_online_one_takes_its_place(
    tmp_path: Path,
) -> None:
    cache = Cache(tmp_path / "spool")
    keys = ["an_offline_license"]
    with _licensing(cache, DEAD, key=lambda: keys[-1]) as licensing:
        licensing.look()
        cache.clock.pass_ms(50_000)  # by then a token would have been asked for
        licensing.glance()
        assert not licensing._woken.is_set()  # noqa: SLF001
        keys.append(KEY)
        licensing.glance()
        assert licensing._woken.is_set()  # noqa: SLF001


KEEP = {
    "403-html": _said(403, b"<html>blocked</html>", "text/html"),
    "403-not-json": _said(403, b"<html>blocked</html>"),
    "403-a-list": _said(403, b"[]"),
    "407": _said(407, b"{}"),
    "400": _said(400, b'{"error":"x"}'),
    "429": _said(429, b"{}"),
    "500": _said(500, b'{"error":"x"}'),
    "200-html": _said(200, b"<html>sign in</html>", "text/html"),
    "200-none": _said(200, b'{"token":null}'),
    "200-junk": _said(200, b'{"token":"e30.e30.c2ln"}'),
    "302": [say(answer(302, b"{}", "Location: http://127.0.0.1:1/"))],
}


@pytest.mark.parametrize("name", KEEP)
def test_attack_150_what_is_no_refusal_of_the_beacon_keeps_the_token(
    tmp_path: Path, name: str
) -> None:
    cache = Cache(tmp_path / "spool")
    cache.took(token := cache.token(days=1))
    cache.clock.pass_ms(23 * HOUR_MS)
    with fault_server(KEEP[name]) as server, _licensing(cache, server.url) as licensing:
        for _ in range(3):
            licensing.look()
            cache.clock.pass_ms(20_000)
        assert server.requests
    assert cache.now().token == token


@pytest.mark.parametrize("status", [401, 403])
def test_attack_150_a_refusal_of_the_beacon_ends_the_token(tmp_path: Path, status: int) -> None:
    cache = Cache(tmp_path / "spool")
    cache.took(cache.token(days=1))
    cache.clock.pass_ms(23 * HOUR_MS)
    events: list[Event] = []
    script = _said(status, b'{"error":"license.unknown","message":"x"}')
    with (
        fault_server(script) as server,
        _licensing(cache, server.url, events.append) as licensing,
    ):
        for _ in range(5):
            licensing.look()
            cache.clock.pass_ms(20_000)
    assert (cache.now().state, cache.now().refused) == ("DENIED", status)
    assert "license.problem" in [event.name for event in events]


def test_a_refused_license_is_answered_with_a_refusal_also_when_the_beacon_is_gone(
    tmp_path: Path,
) -> None:
    with (
        running_beacon(tmp_path / "beacon", licenses=["lcl_another_license"]) as beacon,
        node_for(tmp_path, beacon.url) as node,
    ):
        node.daemon.start()
        assert ask(node).status_code == 403
        assert node.bridge("license", "refresh").returncode == 7
        cut_off(node, beacon.url)
        said = ask(node)
        assert (said.status_code, said.json()["error"]) == (403, "license.denied")
        assert token_status(node)[0] == 7
        assert node.bridge("license", "refresh").returncode == 6


def test_a_month_without_egress_restarted_every_hour_and_one_refresh_at_its_end(
    tmp_path: Path,
) -> None:
    cache = Cache(tmp_path / "spool")
    cache.took(cache.token(days=30))
    end = cache.clock.wall + 30 * DAY_MS
    events: list[Event] = []
    for hour in range(31 * 24):
        # Once a day it tries to ask, which costs a client and a connection that is refused.
        with _licensing(cache, None if hour % 24 else DEAD, events.append) as licensing:
            licensing.look()
            cache.clock.pass_ms(30_000)
            licensing.look()
            cache.clock.pass_ms(HOUR_MS - 30_000)
            assert cache.now().served == (cache.clock.wall < end)
    states = [event.fields["state"] for event in events if "state" in event.fields]
    assert list(dict.fromkeys(states)) == ["VALID", "EXPIRING", "GRACE"]
    fresh = cache.token(days=30)
    body = orjson.dumps({"token": fresh})
    with fault_server(_said(200, body)) as server, _licensing(cache, server.url) as licensing:
        licensing.look()
        cache.clock.pass_ms(30_000)
        licensing.look()
        licensing.look()
        assert len(server.requests) == 1
    assert cache.now().token == fresh
    assert cache.now().issued_at != NOW_S * 1000


def test_a_stop_that_comes_while_the_thread_begins_a_look_is_heard(tmp_path: Path) -> None:
    # It cleared the word that had ended its sleep and, with it, the word to stop: it slept for ever.
    class Meeting(threading.Event):
        def clear(self) -> None:
            licensing.stop()
            super().clear()

    with _licensing(Cache(tmp_path / "spool"), None) as licensing:
        licensing._woken = Meeting()  # noqa: SLF001
        licensing.start()
        licensing._woken.set()  # noqa: SLF001
        licensing._thread.join(20)  # noqa: SLF001
        assert not licensing._thread.is_alive()  # noqa: SLF001
    assert licensing.broken is None
