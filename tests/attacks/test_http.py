"""Answers of whatever stands where the beacon should (120 to 131): by ``run --once``, over a socket.

Whatever was answered, what was not taken stays as it was, and the beacon's own answer then delivers it.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from keys.ed25519 import SigningKey
from tests.support.attacks import Home, ids, make_home
from tests.support.beacon import running_beacon
from tests.support.commands import SECRET, Told
from tests.support.faultserver import FaultServer, Step, answer, drip, fault_server, say

pytestmark = pytest.mark.enable_socket
GOOD = say(answer(200, b'{"inserted_count":2}'))
RECORDS = b'{"id":"a"}\n{"id":"b"}\n'
LOG = (
    b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityNumber":17,"body":'
    b'{"stringValue":"something went wrong"}}]}]}]}\n'
)
HTML = b"<html>Please log in</html>"
UNREACHABLE, REFUSED, PARTLY, NOT_RUNNING = 6, 7, 3, 1


@dataclass(frozen=True, slots=True)
class Said:
    """What is answered instead, one try after the other, and how ``run --once`` must end."""

    number: int
    name: str
    scripts: Sequence[bytes]
    code: int
    error: str = "upstream.unreachable"
    script: Sequence[Step] = ()

    @property
    def steps(self) -> Sequence[Sequence[Step]]:
        return [[say(each)] for each in self.scripts] or [self.script]


def to(status: int, place: str) -> bytes:
    return answer(status, b"", f"Location: {place}")


def later(status: int, value: str) -> bytes:
    return answer(status, b"", f"Retry-After: {value}")


PORTAL = answer(200, HTML, content_type="text/html")
NO_SHAPE = answer(200, b'{"ok":true}'), answer(200, b'{"inserted_count":true}'), answer(200, b"")
AGES = "Fri, 31 Dec 9999 23:59:59 GMT"
ANSWERS = [
    Said(
        120, "redirects-to-itself",
        [to(302, "/elsewhere"), to(307, "/elsewhere"), to(308, "/v1/beacon/ingest-traces")],
        UNREACHABLE,
    ),
    Said(
        120, "redirects-by-name",
        [to(301, "https://other.example/"), to(303, "//other.example/"), to(308, "http:elsewhere")],
        UNREACHABLE,
    ),
    Said(124, "portals", [PORTAL, answer(200, HTML), answer(204, b"")], UNREACHABLE),
    Said(124, "other-shapes", NO_SHAPE, UNREACHABLE),
    Said(126, "drip", (), UNREACHABLE, script=[drip(answer(200, b'{"inserted_count":2}'), 0.1)]),
    Said(129, "no-time-ahead", [later(429, "-5"), later(503, "x"), later(503, "0")], UNREACHABLE),
    Said(129, "a-billion-seconds", [later(429, "1000000000")], UNREACHABLE),
    Said(129, "the-year-9999", [later(503, AGES)], UNREACHABLE),
    Said(130, "refused", [answer(401, b"{}"), answer(403, b"{}")], REFUSED, "upstream.refused"),
]  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = make_home(tmp_path / "node", "n", SigningKey(bytes(32)))
    append(made, "transactions", RECORDS)
    return made


def append(home: Home, stream: str, lines: bytes) -> None:
    """Records of a segment that is sealed, and of which nothing is sent yet."""
    for command in ("append", stream, home.put("r.ndjson", lines)), ("run", "--once"):
        told = home.run(*command)
        assert told.code == 0, told


def send_to(home: Home, url: str) -> None:
    home.config.write_text(
        f"node: n\nlicense_key_file: license_key\nbeacon: {{url: '{url}'}}\n"
        "egress: {deadline: 1s}\n"
    )


@pytest.fixture
def beacon() -> Iterator[FaultServer]:
    with fault_server([GOOD]) as server:
        yield server


def kept(home: Home) -> dict[str, str]:
    """Digests of what no answer may change: segments, keys, and whom we trust."""
    return {
        name: said
        for name, said in home.state().items()
        if name.startswith("keys/") or name.endswith(".ndjson.zst")
    }


def counted(home: Home, stream: str = "transactions") -> dict[str, int]:
    lanes = json.loads(home.run("status", "--json").out)["lanes"]
    (lane,) = (each for each in lanes if each["stream"] == stream)
    return {state: count for state, count in lane["records"].items() if count}


@pytest.mark.parametrize("said", [pytest.param(s, id=f"{s.number}-{s.name}") for s in ANSWERS])
def test_attack(home: Home, beacon: FaultServer, said: Said) -> None:
    before = kept(home)
    told, server = refused(home, said.steps)
    assert (told.code, ids(told)) == (said.code, [said.error]), told
    if len(said.scripts) == 1:
        assert len(server.requests) == 1  # nobody waits for an hour
    else:
        assert len(server.requests) >= 3  # a slow machine may try once more before it gives up
    assert SECRET not in told.err
    taken_by(beacon, home, server)
    assert kept(home) == before


def refused(home: Home, steps: Sequence[Sequence[Step]]) -> tuple[Told, FaultServer]:
    """What ``run --once`` says to such answers, and who gave them."""
    with fault_server(*steps) as server:
        send_to(home, server.url)
        told = home.run("run", "--once")
    sent = {(request.line, request.body) for request in server.requests}
    assert sent == {(server.requests[0].line, server.requests[0].body)}
    assert counted(home)["pending"] == 2
    return told, server


def taken_by(beacon: FaultServer, home: Home, server: FaultServer) -> None:
    """The beacon itself gets the same request that was sent to ``server``, and takes it."""
    send_to(home, beacon.url)
    again = home.run("run", "--once")
    assert again.code == 0, again
    assert beacon.requests[-1].body == server.requests[0].body
    assert (
        beacon.requests[-1].headers["idempotency-key"]
        == (server.requests[0].headers["idempotency-key"])
    )
    assert counted(home)["delivered"] == 2


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_attack_120_nobody_else_is_asked_because_an_answer_says_so(
    home: Home, beacon: FaultServer, status: int
) -> None:
    with fault_server([GOOD]) as elsewhere:
        there = f"{elsewhere.url}/v1/beacon/ingest-traces"
        told, server = refused(home, [[say(to(status, there))]])
        assert (told.code, ids(told)) == (UNREACHABLE, ["upstream.unreachable"])
        assert elsewhere.connections == 0
    taken_by(beacon, home, server)


def test_attack_122_proxies_certificates_and_names_of_the_environment_have_no_effect(
    home: Home, beacon: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_to(home, beacon.url)
    keylog = tmp_path / "keys.log"
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password mine\n")
    with fault_server([say(answer(502))]) as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
            monkeypatch.setenv(name.lower(), proxy.url)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "nothing.pem"))
        monkeypatch.setenv("SSLKEYLOGFILE", str(keylog))
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        before = kept(home)
        assert home.run("run", "--once").code == 0
        assert kept(home) == before
        assert proxy.connections == 0
    assert not keylog.exists()
    assert "authorization" not in beacon.requests[0].headers
    monkeypatch.undo()  # without them the same is sent, in the same words
    assert home.run("append", "transactions", home.put("r.ndjson", RECORDS)).code == 0
    assert home.run("run", "--once").code == 0
    first, second = beacon.requests
    own = {"idempotency-key"}
    assert {n: v for n, v in first.headers.items() if n not in own} == {
        n: v for n, v in second.headers.items() if n not in own
    }
    assert first.body == second.body
    assert counted(home) == {"delivered": 4}


COOKIE = "Set-Cookie: track=me; Path=/"


@pytest.mark.parametrize("more", [(COOKIE,), ()], ids=["cookie", "twin"])
def test_attack_128_a_cookie_is_not_sent_back(home: Home, more: tuple[str, ...]) -> None:
    before = kept(home)
    later, taken = answer(503, b"", *more), answer(200, b'{"inserted_count":2}', *more)
    with fault_server([say(later)], [say(later)], [say(taken)]) as server:
        send_to(home, server.url)
        while "pending" in counted(home):
            assert home.run("run", "--once").code in (0, UNREACHABLE)
    assert len(server.requests) == 3
    assert all("cookie" not in request.headers for request in server.requests)
    assert kept(home) == before
    assert counted(home) == {"delivered": 2}


def test_attack_131_one_refused_record_is_an_exception_and_the_rest_is_delivered(
    home: Home,
) -> None:
    before = kept(home)
    bad = say(answer(400, b'{"detail":"bad record"}'))
    one = say(answer(200, b'{"inserted_count":1}'))
    with fault_server([bad], [bad], [one]) as server:  # both, then the first, then the second
        send_to(home, server.url)
        told = home.run("run", "--once")
    assert told.code == PARTLY, told
    assert counted(home) == {"delivered": 1, "quarantined": 1}
    assert "record.refused" in ids(home.run("status", "--json"))
    assert kept(home) == before


def test_attack_131_its_twin_with_no_refused_record_is_delivered_whole(
    home: Home, beacon: FaultServer
) -> None:
    send_to(home, beacon.url)
    assert home.run("run", "--once").code == 0
    assert counted(home) == {"delivered": 2}
    assert ids(home.run("status", "--json")) == []


def switched(home: Home, url: str, *, logs: bool) -> None:
    """Billing and two records of logs wait, and then logs are switched so."""
    for _ in range(2):
        append(home, "logs", LOG)
    send_to(home, url)
    with home.config.open("a") as file:
        file.write(f"config: {{telemetry: {{logs: {str(logs).lower()}}}}}\n")


def test_attack_157_logs_that_waited_when_logs_were_switched_off_are_given_up_and_not_sent(
    home: Home, beacon: FaultServer
) -> None:
    switched(home, beacon.url, logs=False)
    before = kept(home)
    assert home.run("run", "--once").code == 0
    assert [request.line.split()[1] for request in beacon.requests] == ["/v1/beacon/ingest-traces"]
    assert counted(home) == {"delivered": 2}
    assert counted(home, "logs") == {"lost": 2}
    lost = [
        home.run("inspect", path, "--json").answer["lost"]
        for path in (home.spool / "n" / "logs").rglob("sealed/*/*.zst")
    ]
    assert [each["why"] for each in lost if each] == ["switched_off"]
    assert home.run("verify", home.spool).code == 0
    after = kept(home)
    assert {name: after.get(name) for name in before if "/logs/" not in name} == {
        name: said for name, said in before.items() if "/logs/" not in name
    }


def test_attack_157_its_twin_with_logs_left_on_is_sent(home: Home, tmp_path: Path) -> None:
    with running_beacon(tmp_path / "beacon") as running:  # lanes come in any order
        switched(home, running.url, logs=True)
        assert home.run("run", "--once").code == 0
        taken = {stream for stream, found in running.received().items() if found["records"]}
    assert taken == {"transactions", "logs"}
    assert counted(home, "logs") == {"delivered": 2}


@pytest.mark.parametrize("switched_on", [False, True])
def test_attack_157_logs_are_packed_in_a_bundle_only_where_they_are_on(
    home: Home, *, switched_on: bool
) -> None:
    append(home, "logs", LOG)
    with home.config.open("a") as file:
        file.write(f"config: {{telemetry: {{logs: {str(switched_on).lower()}}}}}\n")
    home.trust("relay", "relay-1", SigningKey(b"r" * 32).public)
    told = home.run("export", "--to", home.stick, "--plain", "--json")
    packed = {lane["stream"] for lane in told.answer["bundles"][0]["lanes"]}
    assert "transactions" in packed
    assert ("logs" in packed) == switched_on


@pytest.mark.parametrize(("inserted", "problems"), [(1, ["record.partial"]), (2, [])])
def test_attack_094_a_count_below_what_was_sent_is_kept_as_it_is(
    home: Home, inserted: int, problems: list[str]
) -> None:
    before = kept(home)
    with fault_server([say(answer(200, b'{"inserted_count":%d}' % inserted))]) as server:
        send_to(home, server.url)
        assert home.run("run", "--once").code == 0
        home.run("run", "--once")
    assert len(server.requests) == 1  # and never sent again
    assert kept(home) == before
    status = home.run("status", "--json")
    assert (status.code, ids(status)) == (PARTLY if problems else NOT_RUNNING, problems)
