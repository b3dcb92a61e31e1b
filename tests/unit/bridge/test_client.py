"""The client against a server that does everything wrong."""

import gzip
import os
import resource
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from bridge.egress.answers import ANSWER_MAX, Answer, Failure
from bridge.egress.client import BeaconClient
from bridge.egress.connecting import Deadline
from bridge.egress.routes import ROUTES
from bridge.egress.verdict import Kind, judge
from tests.support.connectproxy import connect_proxy
from tests.support.faultserver import (
    HOST,
    Conversation,
    FaultServer,
    Step,
    answer,
    close,
    drip,
    fault_server,
    flood,
    reset,
    say,
    sip,
    wait,
)

pytestmark = pytest.mark.enable_socket

PATH = "/v1/beacon/ingest-traces"
BODY = b'{"license":"lcl_x","trace_transactions":[]}'
GOOD = answer(200, b'{"inserted_count":1}')
TAKEN = Answer(200, "application/json", b'{"inserted_count":1}')
DEADLINE_S = 0.5
LATE_S = 3.0
"""Seconds after which a deadline of half a second was not kept, on however slow a machine."""


@contextmanager
def client_of(
    url: str, *, deadline_s: float = 20.0, ca_file: Path | None = None, proxy: str | None = None
) -> Iterator[BeaconClient]:
    client = BeaconClient(url, deadline_s=deadline_s, ca_file=ca_file, proxy=proxy)
    try:
        yield client
    finally:
        client.close()


def post(server: FaultServer, *, body: bytes = BODY, deadline_s: float = 20.0) -> Answer | Failure:
    with client_of(server.url, deadline_s=deadline_s) as client:
        return client.post(PATH, {"X-Mine": "1"}, body)


def closed_port() -> int:
    with socket.create_server((HOST, 0)) as server:
        port: int = server.getsockname()[1]
        return port


def test_a_request_arrives_as_it_was_made_and_its_answer_comes_back() -> None:
    body = os.urandom(3 << 20)
    with fault_server([say(answer(200, b"{}", "Retry-After: 7"))]) as server:
        assert post(server, body=body) == Answer(200, "application/json", b"{}", "7")
    (request,) = server.requests
    assert request.line == f"POST {PATH} HTTP/1.1"
    assert request.body == body
    assert request.headers["x-mine"] == "1"
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["content-length"] == str(len(body))


def test_requests_share_a_connection() -> None:
    with fault_server([say(GOOD)]) as server, client_of(server.url) as client:
        assert [client.post(PATH, {}, BODY) for _ in range(3)] == [TAKEN] * 3
        assert {request.connection for request in server.requests} == {0}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("where", ["same", "other", "https"])
def test_a_redirect_is_not_followed_and_nothing_is_sent_again(status: int, where: str) -> None:
    with fault_server([say(GOOD)]) as other:
        place = {"same": "/elsewhere", "other": other.url, "https": f"https://{HOST}/"}[where]
        with fault_server([say(answer(status, b"", f"Location: {place}"))]) as server:
            reply = post(server)
        assert isinstance(reply, Answer)
        assert reply.status == status
        assert len(server.requests) == 1
        assert other.connections == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_what_is_no_url_is_an_answer_like_any_other(status: int) -> None:
    places = (
        b"http:elsewhere", b"http://xn--/", b"mailto:me", b"http://[::1", b"http://a:999999/", b"//",
        b"http://\xff\xfe/", b"http://\xc3\xa4..x/", b"http://a b/", b"x" * 9000, b"",
    )  # fmt: skip
    answers = [
        [say(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\nLocation: %b\r\n\r\n" % (status, place))]
        for place in places
    ]
    with fault_server(*answers) as server, client_of(server.url) as client:
        for place in places:
            reply = client.post(PATH, {}, BODY)
            assert isinstance(reply, Answer), place
            assert reply.status == status
    assert len(server.requests) == len(places)


def test_the_environment_has_no_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keylog = tmp_path / "keys.log"
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine {HOST} login me password mine\n")
    with fault_server([say(answer(502))]) as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
            monkeypatch.setenv(name.lower(), proxy.url)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "nothing.pem"))
        monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "nowhere"))
        monkeypatch.setenv("SSLKEYLOGFILE", str(keylog))
        monkeypatch.setenv("NETRC", str(netrc))
        ca_file, context = authority(tmp_path)
        with (
            fault_server([say(GOOD)], tls=context) as server,
            client_of(server.url, ca_file=ca_file) as client,
        ):
            assert client.post(PATH, {}, BODY) == TAKEN
        with fault_server([say(GOOD)]) as plain:
            assert post(plain) == TAKEN
        assert proxy.connections == 0
    assert not keylog.exists()
    assert "authorization" not in server.requests[0].headers | plain.requests[0].headers


def test_a_cookie_is_not_sent_back_even_while_its_answer_still_comes() -> None:
    head = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 1000\r\n\r\n"
    with (
        fault_server([say(head), wait(1.0), close], [say(GOOD)]) as server,
        client_of(server.url) as client,
    ):
        slow = threading.Thread(target=client.post, args=(PATH, {}, BODY))
        slow.start()
        while not server.requests:
            time.sleep(0.01)
        time.sleep(0.2)
        assert client.post(PATH, {}, BODY) == TAKEN
        slow.join()
        assert client.post(PATH, {}, BODY) == TAKEN
    assert [request.headers.get("cookie") for request in server.requests] == [None] * 3


def test_a_login_page_is_an_answer_and_not_a_success() -> None:
    page = answer(200, b"<html>Please log in</html>", content_type="text/html")
    with fault_server([say(page)]) as server:
        reply = post(server)
    verdict = judge(ROUTES["transactions"], 1, reply, now_ms=0, secret="")
    assert verdict.kind is Kind.NOT_BEACON
    assert verdict.excerpt == "<html>Please log in</html>"


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "script",
    [
        pytest.param([wait(60)], id="nothing"),
        pytest.param([drip(HEAD * 9, 0.1)], id="dripping head"),
        pytest.param(
            [say(HEAD + b"Content-Length: 900\r\n\r\n"), drip(b"x" * 900, 0.1)], id="body"
        ),
        pytest.param([drip(b"HTTP/1.1 100 Continue\r\n\r\n" * 99, 0.1)], id="endless 100"),
        pytest.param(
            [say(HEAD + b"Transfer-Encoding: chunked\r\n\r\n"), drip(b"1\r\nx\r\n" * 99, 0.1)],
            id="dripping chunks",
        ),
    ],
)
def test_the_deadline_is_for_the_whole_answer(script: list[Step]) -> None:
    with fault_server(script) as server:
        begin = time.monotonic()
        assert post(server, deadline_s=DEADLINE_S) == Failure(
            "no answer in time", outcome_unknown=True
        )
        assert DEADLINE_S * 0.9 < time.monotonic() - begin < LATE_S


@pytest.mark.parametrize("steps", [[wait(60)], [sip(1 << 18, 0.02)]], ids=["not", "slowly"])
def test_the_deadline_is_for_a_body_that_is_not_read_too(steps: list[Step]) -> None:
    with fault_server(at_once=steps) as server:
        begin = time.monotonic()
        reply = post(server, body=bytes(64 << 20), deadline_s=DEADLINE_S)
        reason = "the request could not be sent in time"
        assert reply == Failure(reason, outcome_unknown=False, too_slow=True)
        assert time.monotonic() - begin < LATE_S


def test_the_deadline_is_for_the_handshake_too(tmp_path: Path) -> None:
    ca_file, context = authority(tmp_path)
    with fault_server(at_once=[wait(60)], tls=context) as server:
        begin = time.monotonic()
        with client_of(server.url, ca_file=ca_file, deadline_s=DEADLINE_S) as client:
            assert client.post(PATH, {}, BODY) == Failure(
                "no connection in time", outcome_unknown=False
            )
        assert time.monotonic() - begin < LATE_S


BEGUN = b"\x16\x03\x03\x3f\xff" + bytes(60)
"""Of a TLS record of 16 KiB."""


def test_the_deadline_is_for_a_handshake_that_drips_through_an_encrypted_proxy(
    tmp_path: Path,
) -> None:
    ca_file, context = authority(tmp_path, HOST, "beacon.invalid")
    with (
        fault_server(at_once=[drip(BEGUN, DEADLINE_S / 2)], tls=context) as server,
        connect_proxy({"beacon.invalid:443": server.port}, context) as proxy,
        client_of(
            "https://beacon.invalid", ca_file=ca_file, proxy=proxy.url, deadline_s=DEADLINE_S
        ) as client,
    ):
        begin = time.monotonic()
        assert client.post(PATH, {}, BODY) == Failure(
            "no connection in time", outcome_unknown=False
        )
        assert time.monotonic() - begin < LATE_S


def test_the_deadline_is_for_an_answer_that_drips_through_an_encrypted_proxy(
    tmp_path: Path,
) -> None:
    ca_file, context = authority(tmp_path, HOST, "beacon.invalid")

    def half_a_record(talk: Conversation) -> None:
        raw = socket.socket(fileno=os.dup(talk.sock.fileno()))
        with raw:
            drip(BEGUN.replace(b"\x16", b"\x17", 1), DEADLINE_S / 2)(
                Conversation(raw, talk.stopping)
            )

    with (
        fault_server([half_a_record], tls=context) as server,
        connect_proxy({"beacon.invalid:443": server.port}, context) as proxy,
        client_of(
            "https://beacon.invalid", ca_file=ca_file, proxy=proxy.url, deadline_s=DEADLINE_S
        ) as client,
    ):
        begin = time.monotonic()
        assert client.post(PATH, {}, BODY) == Failure("no answer in time", outcome_unknown=True)
        assert time.monotonic() - begin < LATE_S


def test_a_proxy_that_ends_while_the_beacon_shakes_hands_is_no_connection(tmp_path: Path) -> None:
    ca_file, context = authority(tmp_path, HOST, "beacon.invalid")
    with (
        fault_server(at_once=[close], tls=context) as server,
        connect_proxy({"beacon.invalid:443": server.port}, context) as proxy,
        client_of("https://beacon.invalid", ca_file=ca_file, proxy=proxy.url) as client,
    ):
        failure = client.post(PATH, {}, BODY)
    assert isinstance(failure, Failure)
    assert not failure.outcome_unknown


def test_an_untrusted_beacon_behind_an_encrypted_proxy_gets_nothing(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    ca_file, context = authority(tmp_path)
    _, untrusted = authority(tmp_path / "other", "beacon.invalid")
    with (
        fault_server([say(GOOD)], tls=untrusted) as server,
        connect_proxy({"beacon.invalid:443": server.port}, context) as proxy,
        client_of("https://beacon.invalid", ca_file=ca_file, proxy=proxy.url) as client,
    ):
        assert client.post(PATH, {}, BODY) == Failure(
            "the certificate is not trusted", outcome_unknown=False
        )
    assert not server.requests


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("other.invalid", None),
        (HOST, None),  # the proxy's own
        ("beacon.invalid", datetime(2020, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_beacon_behind_an_encrypted_proxy_has_to_be_the_one_that_was_named_and_still_be(
    tmp_path: Path, name: str, end: datetime | None
) -> None:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    of_proxy, of_beacon = (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) for _ in range(2))
    ca.issue_cert(HOST).configure_cert(of_proxy)
    ca.issue_cert(name, not_after=end).configure_cert(of_beacon)
    with (
        fault_server([say(GOOD)], tls=of_beacon) as server,
        connect_proxy({"beacon.invalid:443": server.port}, of_proxy) as proxy,
        client_of("https://beacon.invalid", ca_file=tmp_path / "ca.pem", proxy=proxy.url) as client,
    ):
        assert client.post(PATH, {}, BODY) == Failure(
            "the certificate is not trusted", outcome_unknown=False
        )
    assert proxy.asked
    assert not server.requests


def test_large_requests_go_through_an_encrypted_proxy_on_one_connection(tmp_path: Path) -> None:
    ca_file, context = authority(tmp_path, HOST, "beacon.invalid")
    body = os.urandom(3 << 20)
    large = answer(200, b'"%b"' % (b"x" * (ANSWER_MAX - 2)))
    with (
        fault_server([say(large)], tls=context) as server,
        connect_proxy({"beacon.invalid:443": server.port}, context) as proxy,
        client_of("https://beacon.invalid", ca_file=ca_file, proxy=proxy.url) as client,
    ):
        for _ in range(3):
            got = client.post(PATH, {}, body)
            assert isinstance(got, Answer)
            assert (len(got.body), got.cut) == (ANSWER_MAX, False)
    assert [(each.body == body, each.connection) for each in server.requests] == [(True, 0)] * 3


def test_waiting_for_other_threads_is_not_counted_into_the_deadline() -> None:
    held_up = []

    @contextmanager
    def waiting() -> Iterator[None]:
        yield
        time.sleep(1.2 * DEADLINE_S)  # as long as others work
        held_up.append(True)

    with (
        fault_server([say(GOOD)]) as server,
        client_of(server.url, deadline_s=DEADLINE_S) as client,
    ):
        assert client.post(PATH, {}, BODY, waiting=waiting) == TAKEN
    assert len(held_up) > 1


def test_who_is_not_let_wait_at_all_has_no_later_deadline() -> None:
    class NotLetIn(nullcontext[None]):
        def __enter__(self) -> None:
            raise InterruptedError

    deadline = Deadline()
    deadline.end, deadline.waiting = time.monotonic() + DEADLINE_S, NotLetIn
    with pytest.raises(InterruptedError), deadline.away():
        pass
    assert deadline.end < time.monotonic() + DEADLINE_S + LATE_S


def test_requests_of_other_threads_do_not_lengthen_a_deadline() -> None:
    with (
        fault_server([drip(HEAD * 99, 0.05)], [say(GOOD)]) as server,
        client_of(server.url, deadline_s=DEADLINE_S) as client,
    ):
        begin = time.monotonic()
        first = threading.Thread(target=client.post, args=(PATH, {}, BODY))
        first.start()
        while not server.requests:
            time.sleep(0.01)
        while first.is_alive() and time.monotonic() - begin < LATE_S:
            client.post(PATH, {}, BODY)
        assert time.monotonic() - begin < LATE_S
        first.join()


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ([close], "the answer was broken off, or is not HTTP"),
        ([reset], "the connection broke while reading"),
        ([say(GOOD[:30]), close], "the answer was broken off, or is not HTTP"),
        ([say(GOOD[:-3]), close], "the answer was broken off, or is not HTTP"),
        ([say(GOOD[:-3]), reset], "the connection broke while reading"),
        ([say(b"SSH-2.0-OpenSSH\r\n\r\n"), close], "the answer was broken off, or is not HTTP"),
        (
            [say(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n")],
            "the answer was broken off, or is not HTTP",
        ),
    ],
)
def test_after_a_cut_answer_nobody_knows_and_nothing_is_repeated(
    script: list[Step], reason: str
) -> None:
    with fault_server(script) as server:
        assert post(server) == Failure(reason, outcome_unknown=True)
        assert len(server.requests) == 1


def test_a_connection_that_was_closed_meanwhile_is_made_anew() -> None:
    with fault_server([say(GOOD), close], [say(GOOD)]) as server, client_of(server.url) as client:
        assert client.post(PATH, {}, BODY) == TAKEN
        server.threads[0].join()
        assert client.post(PATH, {}, BODY) == TAKEN
        assert [request.connection for request in server.requests] == [0, 1]


def test_an_early_refusal_is_heard_although_the_body_was_not_read() -> None:
    refusal = answer(413, b"", "Connection: close")
    with fault_server(at_once=[say(refusal), wait(60)], receive_buffer=4096) as server:
        reply = post(server, body=bytes(64 << 10), deadline_s=5.0)
    assert isinstance(reply, Answer)
    assert reply.status == 413


def test_without_a_connection_nothing_was_sent() -> None:
    with client_of(f"http://{HOST}:{closed_port()}") as client:
        assert client.post(PATH, {}, BODY) == Failure("connection refused", outcome_unknown=False)


def test_a_name_that_cannot_be_looked_up_is_said() -> None:
    with client_of(f"http://{'a' * 70}.invalid") as client:
        assert client.post(PATH, {}, BODY) == Failure(
            "the name was not found", outcome_unknown=False
        )


def test_every_address_of_a_name_is_tried() -> None:
    with (
        fault_server([say(GOOD)]) as server,
        client_of(f"http://localhost:{server.port}") as client,
    ):
        assert client.post(PATH, {}, BODY) == TAKEN


def test_a_header_that_cannot_be_sent_is_a_failure_in_which_nothing_was_sent() -> None:
    with fault_server([say(GOOD)]) as server, client_of(server.url) as client:
        reply = client.post(PATH, {"X-Mine": "a\r\nX-Other: b"}, BODY)
    assert reply == Failure("the request could not be made", outcome_unknown=False)
    assert server.requests == []


def memory_peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize("form", ["one", "many"])
def test_a_head_of_a_hundred_megabytes_is_refused_before_it_is_taken(form: str) -> None:
    piece = b"a" * (1 << 16) if form == "one" else b"X-A: b\r\n" * (1 << 13)
    sent = [0]
    with fault_server([say(b"HTTP/1.1 200 OK\r\nX-B: "), flood(piece, 1600, sent)]) as server:
        before = memory_peak()
        reply = post(server)
        assert memory_peak() - before < 20 << 20
    assert reply == Failure("the answer was broken off, or is not HTTP", outcome_unknown=True)
    assert sent[0] < 50 << 20


def test_an_endless_body_is_cut_and_is_no_success() -> None:
    sent = [0]
    head = HEAD + b"Content-Length: 1000000000\r\n\r\n{"
    with fault_server([say(head), flood(b" " * (1 << 16), 1600, sent)]) as server:
        reply = post(server)
    assert isinstance(reply, Answer)
    assert reply.cut
    assert len(reply.body) == ANSWER_MAX
    assert sent[0] < 50 << 20


def test_a_second_answer_to_one_request_is_no_answer_to_the_next_one() -> None:
    refused = answer(400, b"{}")
    with (
        fault_server([say(GOOD + GOOD)], [say(refused)]) as server,
        client_of(server.url) as client,
    ):
        assert client.post(PATH, {}, BODY) == TAKEN
        assert client.post(PATH, {}, BODY) == Answer(400, "application/json", b"{}")
    assert [request.connection for request in server.requests] == [0, 1]


@pytest.mark.parametrize("status", [301, 401, 413, 429, 503])
def test_an_answer_to_what_is_left_of_a_refused_body_is_no_answer_to_the_next_request(
    status: int,
) -> None:
    rest_is_no_request = [wait(0.1), say(answer(400, b"{}"))]
    with (
        fault_server([say(answer(status)), *rest_is_no_request], [say(GOOD)]) as server,
        client_of(server.url) as client,
    ):
        refused = client.post(PATH, {}, BODY)
        assert isinstance(refused, Answer)
        assert refused.status == status
        assert client.post(PATH, {}, BODY) == TAKEN


def test_the_beginning_of_a_second_answer_is_no_answer_to_the_next_request() -> None:
    with (
        fault_server([say(GOOD + GOOD[:20])], [say(GOOD)]) as server,
        client_of(server.url) as client,
    ):
        assert client.post(PATH, {}, BODY) == TAKEN
        assert client.post(PATH, {}, BODY) == TAKEN
    assert [request.connection for request in server.requests] == [0, 1]


def test_after_an_answer_that_was_not_read_to_its_end_the_next_request_gets_its_own() -> None:
    long = answer(200, b"x" * (ANSWER_MAX * 3))
    with fault_server([say(long)], [say(GOOD)]) as server, client_of(server.url) as client:
        client.post(PATH, {}, BODY)
        assert client.post(PATH, {}, BODY) == TAKEN


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
def test_a_compressed_answer_is_not_decoded_and_is_no_success(encoding: str) -> None:
    bomb = gzip.compress(bytes(50 << 20))
    packed = answer(200, bomb[:60000], f"Content-Encoding: {encoding}")
    with fault_server([say(packed)]) as server:
        before = memory_peak()
        reply = post(server)
        assert memory_peak() - before < 20 << 20
    assert isinstance(reply, Answer)
    assert reply.body == bomb[:60000]
    assert judge(ROUTES["logs"], 1, reply, now_ms=0, secret="").kind is Kind.NOT_BEACON


def test_an_answer_that_says_it_is_not_encoded_is_not_encoded() -> None:
    with fault_server([say(answer(200, b"{}", "Content-Encoding: identity"))]) as server:
        client = BeaconClient(server.url, deadline_s=5)
        reply = client.post("/a", {}, b"{}")
        client.close()
    assert isinstance(reply, Answer)
    assert reply.document == {}


def test_an_answer_that_only_claims_to_be_compressed_is_no_success() -> None:
    with fault_server([say(answer(200, b"{}", "Content-Encoding: gzip"))]) as server:
        reply = post(server)
    assert judge(ROUTES["logs"], 1, reply, now_ms=0, secret="").kind is Kind.NOT_BEACON


def authority(folder: Path, *names: str) -> tuple[Path, ssl.SSLContext]:
    """A private authority's file, and a server's context with a certificate of its."""
    ca = trustme.CA()
    ca_file = folder / "ca.pem"
    ca.cert_pem.write_to_path(ca_file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*(names or (HOST,))).configure_cert(context)
    return ca_file, context


def test_a_server_with_a_trusted_certificate_is_spoken_to(tmp_path: Path) -> None:
    ca_file, context = authority(tmp_path)
    body = os.urandom(3 << 20)
    with (
        fault_server([say(GOOD)], tls=context) as server,
        client_of(server.url, ca_file=ca_file) as client,
    ):
        assert client.post(PATH, {}, body) == TAKEN
    assert server.requests[0].body == body


@pytest.mark.parametrize("why", ["another authority", "the public ones", "another name"])
def test_a_server_without_a_trusted_certificate_gets_nothing(tmp_path: Path, why: str) -> None:
    ca_file, context = authority(tmp_path, *(["elsewhere.invalid"] if "name" in why else []))
    (tmp_path / "other").mkdir()
    trusted = {
        "another authority": authority(tmp_path / "other")[0],
        "the public ones": None,
        "another name": ca_file,
    }[why]
    with (
        fault_server([say(GOOD)], tls=context) as server,
        client_of(server.url, ca_file=trusted) as client,
    ):
        assert client.post(PATH, {}, BODY) == Failure(
            "the certificate is not trusted", outcome_unknown=False
        )
    assert server.requests == []


def test_a_server_that_speaks_no_tls_gets_nothing(tmp_path: Path) -> None:
    ca_file, _ = authority(tmp_path)
    with (
        fault_server(at_once=[say(GOOD)]) as server,
        client_of(f"https://{HOST}:{server.port}", ca_file=ca_file) as client,
    ):
        assert client.post(PATH, {}, BODY) == Failure("TLS failed", outcome_unknown=False)
    assert server.requests == []


def test_a_file_without_a_certificate_is_refused_at_the_beginning(tmp_path: Path) -> None:
    empty = tmp_path / "ca.pem"
    empty.write_bytes(b"")
    with pytest.raises(OSError, match="no certificate"):
        BeaconClient("https://localhost", deadline_s=1.0, ca_file=empty)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (407, Answer(407, "", b"")),
        (403, Failure("the proxy refused with status 403", outcome_unknown=False)),
        (502, Failure("the proxy refused with status 502", outcome_unknown=False)),
    ],
)
def test_what_a_proxy_says_is_not_taken_for_the_beacons_word(
    status: int, expected: Answer | Failure
) -> None:
    with (
        fault_server([say(answer(status))]) as proxy,
        client_of("https://beacon.invalid", proxy=proxy.url) as client,
    ):
        assert client.post(PATH, {"X-Langchain-License-Key": "k"}, BODY) == expected
    (request,) = proxy.requests
    assert request.line == "CONNECT beacon.invalid:443 HTTP/1.1"
    assert "x-langchain-license-key" not in request.headers
    assert request.body == b""


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "TLS"])
def test_a_large_body_arrives_whole_through_a_proxy(tmp_path: Path, *, encrypted: bool) -> None:
    ca_file, context = authority(tmp_path, HOST, "beacon.invalid")
    body = os.urandom(3 << 20)
    with (
        fault_server([say(GOOD)], tls=context) as server,
        connect_proxy({"beacon.invalid:443": server.port}, context if encrypted else None) as proxy,
        client_of("https://beacon.invalid", ca_file=ca_file, proxy=proxy.url) as client,
    ):
        assert client.post(PATH, {}, body) == TAKEN
    assert server.requests[0].body == body


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "TLS"])
def test_a_request_that_is_broken_off_ends_at_once_with_its_outcome_unknown(
    tmp_path: Path, *, encrypted: bool
) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with (
        fault_server([wait(60)], tls=context if encrypted else None) as server,
        client_of(server.url, deadline_s=60.0, ca_file=tmp_path / "ca.pem") as client,
    ):
        found: list[Answer | Failure] = []
        thread = threading.Thread(target=lambda: found.append(client.post(PATH, {}, BODY)))
        thread.start()
        while not server.requests:
            time.sleep(0.01)
        client.abort()
        thread.join(10)
        assert not thread.is_alive()
        (failure,) = found
        assert isinstance(failure, Failure)
        assert failure.outcome_unknown
