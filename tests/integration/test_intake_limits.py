"""The intake's bounds, with real sockets and a real full disk."""

import gc
import re
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from random import Random
from threading import Thread

import orjson
import pytest
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from bridge.daemon.roomwatch import WALK_EVERY_S
from bridge.demo.processes import Service
from bridge.intake.connection import DESCRIPTORS_KEPT, HEAD_MAX, LINGERING_MAX, PIPELINED
from spool.errors import SpoolError
from spool.heldlines import held_lines
from spool.lane import Lane
from tests.support.apart import ServiceApart
from tests.support.bridges import node_for
from tests.support.filesystems import small_tmpfs
from tests.support.intakes import LICENSE, RunningIntake, intake_with

pytestmark = pytest.mark.enable_socket
LOG = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityNumber":17}]}]}]}'
HEAD = b"POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
GOOD = HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(LOG), LOG)
CLOSING = GOOD.replace(b"Host: x\r\n", b"Host: x\r\nConnection: close\r\n")
TRANSACTION = b'{"license":"%b","trace_transactions":[{"id":"a"}]}' % LICENSE.encode()
BILLING = "/v1/beacon/ingest-traces"


def connect(intake: RunningIntake | Service) -> socket.socket:
    return socket.create_connection(("127.0.0.1", intake.port), timeout=20)


def everything(connection: socket.socket) -> bytes:
    received = b""
    try:
        while piece := connection.recv(65536):
            received += piece
    except ConnectionResetError:
        pass
    return received


def test_who_comes_when_all_connections_are_taken_is_told_so_and_others_are_served(
    tmp_path: Path,
) -> None:
    most = 20
    with ExitStack() as held:
        intake = held.enter_context(_apart(tmp_path))
        _let_it_have(intake, DESCRIPTORS_KEPT + most)
        taken = [held.enter_context(connect(intake)) for _ in range(most)]
        taken[-1].sendall(GOOD)
        assert taken[-1].recv(65536).startswith(b"HTTP/1.1 200")
        for sent in (b"", GOOD, GOOD + bytes(100_000)):
            with connect(intake) as late:
                late.sendall(sent)
                said = everything(late)
            assert said.startswith(b"HTTP/1.1 503")
            assert b"\r\nretry-after: " in said
            assert b"intake.connections" in said
        while b"" not in (said_to := _crowd(intake)):
            # They linger for a second; on a slow machine the first were gone before the last.
            assert all(b"intake.connections" in said for said in said_to)
        taken[0].close()
        _wait_until_taken(intake)


def test_without_a_descriptor_left_who_comes_is_cut_off_and_later_ones_are_served(
    tmp_path: Path,
) -> None:
    with _apart(tmp_path) as intake:
        most = _let_it_have(intake, _first_free(intake))
        for _ in range(5):
            with connect(intake) as late:
                assert everything(late) == b""
        _let_it_have(intake, most)
        _wait_until_taken(intake)
        _let_it_have(intake, _first_free(intake))
        with connect(intake) as late:
            assert everything(late) == b""
        _let_it_have(intake, most)  # it needs some to stop
        intake.stop()
        said = (tmp_path / "daemon-n.log").read_text()
    assert "Traceback" not in said
    assert "accept" not in said


@contextmanager
def _apart(folder: Path) -> Iterator[ServiceApart]:
    """A daemon in a process whose descriptors are its own."""
    more = "egress: {mode: offline}\n"
    with node_for(folder, "http://127.0.0.1:9", more=more, service=ServiceApart) as node:
        node.daemon.start()
        assert isinstance(node.daemon, ServiceApart)
        with connect(node.daemon) as connection:
            connection.sendall(CLOSING)
            # It is gone when its end is seen, and so is whoever looked whether anybody listens.
            assert everything(connection).startswith(b"HTTP/1.1 200")
        yield node.daemon


def _let_it_have(intake: ServiceApart, soft: int) -> int:
    """Let it open no descriptor of this number or above; what it was before."""
    limits = resource.prlimit(intake.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(intake.process.pid, resource.RLIMIT_NOFILE, (soft, limits[1]))
    return limits[0]


def _first_free(intake: ServiceApart) -> int:
    """The number that its next descriptor would have."""
    folder = Path(f"/proc/{intake.process.pid}/fd")
    used = {int(path.name) for path in folder.iterdir()}
    return min(set(range(len(used) + 1)) - used)


def _wait_until_taken(intake: Service) -> None:
    deadline = time.monotonic() + 20
    while not _is_taken(intake):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _crowd(intake: Service) -> list[bytes]:
    """What a few more connections than may linger are told."""
    with ExitStack() as held:
        connections = [held.enter_context(connect(intake)) for _ in range(LINGERING_MAX + 8)]
        return [everything(connection) for connection in connections]


def _is_taken(intake: Service) -> bool:
    with connect(intake) as connection, suppress(OSError):
        connection.sendall(GOOD)
        return connection.recv(65536).startswith(b"HTTP/1.1 200")
    return False


def test_http_1_0_is_answered_and_closed(tmp_path: Path) -> None:
    with intake_with(tmp_path) as intake, connect(intake) as connection:
        connection.sendall(GOOD.replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert everything(connection).startswith(b"HTTP/1.1 200")
        assert len(intake.stored("logs")) == 1


def test_pipelined_requests_are_answered_in_their_order(tmp_path: Path) -> None:
    with intake_with(tmp_path) as intake, connect(intake) as connection:
        wrong = GOOD.replace(b"application/json", b"text/plain")
        connection.sendall(GOOD + wrong + GOOD + CLOSING)
        said = everything(connection)
        assert re.findall(rb"HTTP/1.1 (\d+)", said) == [b"200", b"415", b"200", b"200"]
        assert len(intake.stored("logs")) == 3


@pytest.mark.parametrize(
    "one",
    [
        b"GET /livez HTTP/1.1\r\n\r\n",
        b"GET /livez HTTP/2.0\r\nConnection: keep-alive\r\n\r\n",
        b"SOURCE / ICE/1.1\r\n\r\n",
    ],
    ids=["1.1", "2.0", "ICE"],
)
def test_who_sends_many_requests_and_reads_no_answer_keeps_nobody_waiting(
    tmp_path: Path, one: bytes
) -> None:
    many = one * 20_000
    with ExitStack() as held:
        intake = held.enter_context(intake_with(tmp_path))
        slow = [held.enter_context(connect(intake)) for _ in range(50)]
        for connection in slow:
            connection.settimeout(0)
        for round_ in range(4):
            for connection in slow:
                with suppress(BlockingIOError):
                    connection.send(many)
            assert intake.send("/v1/logs", LOG)[0] == 200, round_
        ready = sum(type(each) is RequestResponseCycle for each in gc.get_objects())
        # A piece of each, and what it had before.
        assert 0 < ready < 50 * 2 * PIPELINED / len(b"GET / HTTP/1.1\r\n\r\n")


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n" * 1000, "intake.not_http"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "intake.not_http"),
        (b"GET /livez HTTP/1.1\r\nX: " + b"x" * 2 * HEAD_MAX, "intake.head"),
    ],
    ids=["SSH", "TLS", "a head without an end"],
)
def test_bytes_that_are_no_request_are_answered_once_and_counted(
    tmp_path: Path, sent: bytes, said: str
) -> None:
    with intake_with(tmp_path) as intake:
        with connect(intake) as connection:
            connection.sendall(sent)
            head, _, body = everything(connection).partition(b"\r\n\r\n")
        assert intake.counts.refused == {said: 1}
        assert not intake.counts.requests
    # What it sent and nobody read may have taken the answer with it.
    assert not head or head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert not head or orjson.loads(body)["error"] == said


def test_of_many_requests_at_once_each_is_answered_in_its_order(tmp_path: Path) -> None:
    paths = [b"/livez", b"/none", b"/readyz"] * 2000
    with intake_with(tmp_path) as intake, connect(intake) as connection:
        sent = b"".join(b"GET %b HTTP/1.1\r\n\r\n" % path for path in paths)
        sender = Thread(target=connection.sendall, args=[sent + b"GET /livez HTTP/1.0\r\n\r\n"])
        sender.start()
        received = everything(connection)
        sender.join()
    statuses = re.findall(rb"HTTP/1\.1 (\d+)", received)
    assert statuses == [b"200", b"404", b"200"] * 2000 + [b"200"]


def test_a_full_spool_refuses_telemetry_and_takes_billing_and_says_when_to_come_again(
    tmp_path: Path,
) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "filling").write_bytes(bytes(980 * 1024))
    more = "license_key_file: license_key\nspool: {max_size: 1MiB, min_free: 0B}\n"
    with intake_with(tmp_path, more) as intake:
        status, said = intake.send("/v1/logs", LOG)
        assert (status, b"intake.full" in said) == (503, True)
        assert intake.send(BILLING, TRANSACTION)[0] == 200
        assert intake.stored("logs") == []
        (tmp_path / "spool" / "filling").unlink()
        deadline = time.monotonic() + 4 * WALK_EVERY_S
        while intake.send("/v1/logs", LOG)[0] != 200:
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_a_disk_that_is_full_is_answered_503_and_takes_again_when_it_has_room(
    tmp_path: Path,
) -> None:
    with small_tmpfs(tmp_path / "disk", "4m") as disk:
        more = f"spool: {{path: {disk}/spool, min_free: 0B}}\nlicense_key_file: license_key\n"
        (disk / "spool").mkdir()
        # A file that could not be sealed for want of room is told of at the end, too.
        with suppress(SpoolError), intake_with(tmp_path, more) as intake:
            assert intake.send(BILLING, TRANSACTION)[0] == 200
            filling = disk / "filling"
            with filling.open("wb", buffering=0) as file, suppress(OSError):
                while file.write(bytes(65536)):
                    pass
            # The watch has not looked yet, or has: either way nothing is acknowledged.
            big = b'{"license":"%b","trace_transactions":[{"id":"b","x":"%b"}]}'
            noise = Random(1).randbytes(500_000).hex().encode()
            status, _ = intake.send(BILLING, big % (LICENSE.encode(), noise))
            assert status == 503
            filling.unlink()
            deadline, sent = time.monotonic() + 20, 2
            while intake.send(BILLING, TRANSACTION)[0] != 200:
                assert time.monotonic() < deadline
                time.sleep(0.2)
                sent += 1
            # The first may be sealed by now.
            lane = Lane(intake.spool, "n", "transactions")
            held = b"".join(held_lines(lane, lambda path, why: pytest.fail(f"{path}: {why}")))
            # Two were acknowledged; what was refused may have been written, and not synced.
            assert set(held.splitlines()) == {b'{"id":"a"}'}
            assert 2 <= len(held.splitlines()) <= sent
