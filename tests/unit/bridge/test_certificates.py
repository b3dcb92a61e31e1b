"""Certificates stand in for the beacon and for nobody else; pairs are judged before they are used."""

import os
import ssl
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from bridge.daemon.certwatch import LOOK_EVERY_S, WARN_EVERY_MS, CertificateWatch
from bridge.egress.event import Event
from bridge.intake.certificates import Authority, Leaf, find_authority, new_authority
from bridge.intake.pairs import read_pair
from bridge.intake.tls import IntakeTls
from bridge.operate.certificate import WARN_MS
from keys.errors import ConfigError
from spool.durable import OS_DISK
from spool.troublefile import read_trouble

HOST = "beacon.langchain.com"
NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)


class StillClock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.ms = int(NOW.timestamp() * 1000)

    def wall_ms(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.ms / 1000


@pytest.fixture(scope="module")
def authority() -> Authority:
    return new_authority(HOST, NOW)


def put(folder: Path, leaf: Leaf) -> None:
    for name, data in (("cert.pem", leaf.certificate), ("key.pem", leaf.key)):
        (folder / f"{name}.new").write_bytes(data)
        (folder / f"{name}.new").chmod(0o600)
        (folder / f"{name}.new").replace(folder / name)


def served_from(folder: Path, now: Callable[[], datetime] = lambda: NOW) -> IntakeTls:
    return IntakeTls(folder / "cert.pem", folder / "key.pem", HOST, now)


def error_of(action: Callable[[], object]) -> str:
    with pytest.raises(ConfigError) as caught:
        action()
    return caught.value.id


def takes(folder: Path, host: str) -> bool:
    """Whether Python, in memory, takes the pair in ``folder`` for ``host``."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    client = ssl.create_default_context(cafile=folder / "ca.pem")
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=host)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (ours, theirs):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError:
                return False
    return True


def openssl_takes(folder: Path, host: str) -> bool:
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver"]
    command.append("-verify_ip" if host[0].isdigit() else "-verify_hostname")
    files = ["-CAfile", str(folder / "ca.pem"), str(folder / "cert.pem")]
    return not subprocess.run([*command, host, *files], capture_output=True, check=False).returncode


def with_address(authority: Authority) -> Leaf:
    """A certificate for an address, signed with the authority's key by somebody else's program."""
    own = authority.leaf(HOST, NOW)
    key = load_pem_private_key(own.key, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    leaf = x509.load_pem_x509_certificate(own.certificate)
    builder = x509.CertificateBuilder(
        leaf.issuer, leaf.subject, key.public_key(), 7, NOW - DAY, NOW + DAY
    )
    for extension in leaf.extensions:
        value = extension.value
        if isinstance(value, x509.SubjectAlternativeName):
            value = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        builder = builder.add_extension(value, extension.critical)
    signed = builder.sign(authority.key, hashes.SHA256())
    return Leaf(signed.public_bytes(Encoding.PEM), own.key)


def test_python_and_openssl_take_the_certificate_for_the_beacon_alone(
    tmp_path: Path, authority: Authority
) -> None:
    (tmp_path / "ca.pem").write_bytes(authority.pem())
    put(tmp_path, authority.leaf(HOST, NOW))
    assert takes(tmp_path, HOST)
    assert openssl_takes(tmp_path, HOST)
    assert not takes(tmp_path, "api.smith.langchain.com")


@pytest.mark.parametrize("host", ["example.com", "langchain.com", "xbeacon.langchain.com", "*.com"])
def test_python_and_openssl_refuse_what_the_key_of_the_ca_signs_for_another_name(
    tmp_path: Path, authority: Authority, host: str
) -> None:
    (tmp_path / "ca.pem").write_bytes(authority.pem())
    kept = find_authority(authority.pem(), authority.key_pem(), NOW)
    put(tmp_path, kept.leaf(host, NOW))
    asked = host.replace("*", "example")
    assert not takes(tmp_path, asked)
    assert not openssl_takes(tmp_path, asked)


def test_python_and_openssl_refuse_what_the_key_of_the_ca_signs_for_an_address(
    tmp_path: Path, authority: Authority
) -> None:
    (tmp_path / "ca.pem").write_bytes(authority.pem())
    put(tmp_path, with_address(authority))
    assert not takes(tmp_path, "127.0.0.1")
    assert not openssl_takes(tmp_path, "127.0.0.1")


def test_python_and_openssl_refuse_a_ca_below_the_ca(tmp_path: Path, authority: Authority) -> None:
    below = new_authority(HOST, NOW)
    signed = (
        x509.CertificateBuilder(
            authority.certificate.subject,
            below.certificate.subject,
            below.key.public_key(),
            9,
            NOW - DAY,
            NOW + DAY,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(authority.key, hashes.SHA256())
    )
    between = Authority(signed, below.key)
    leaf = between.leaf(HOST, NOW)
    (tmp_path / "ca.pem").write_bytes(authority.pem())
    put(tmp_path, Leaf(leaf.certificate + between.pem(), leaf.key))
    assert not takes(tmp_path, HOST)


def test_a_certificate_lasts_397_days_and_never_longer_than_its_ca(authority: Authority) -> None:
    leaf = authority.leaf(HOST, NOW)
    served = read_pair(leaf.certificate, leaf.key)
    assert served.ends - served.begins == 397 * DAY
    late = authority.leaf(HOST, NOW + 4.9 * 365 * DAY)
    ends = read_pair(late.certificate, late.key).ends
    assert ends == authority.certificate.not_valid_after_utc


@pytest.mark.parametrize("host", ["192.0.2.1", "::1"])
def test_there_is_no_ca_for_an_address(host: str) -> None:
    assert error_of(lambda: new_authority(host, NOW)) == "tls.host"


def test_the_key_of_another_ca_signs_nothing(authority: Authority) -> None:
    other = new_authority(HOST, NOW)
    for key in (other.key_pem(), b"", authority.pem()):
        assert error_of(lambda k=key: find_authority(authority.pem(), k, NOW)) == "tls.ca_key"  # type: ignore[misc]
    late = NOW + 6 * 365 * DAY
    ended = error_of(lambda: find_authority(authority.pem(), authority.key_pem(), late))
    assert ended == "tls.ca_expired"


def test_what_cannot_be_served_is_refused_by_name(tmp_path: Path, authority: Authority) -> None:
    good = authority.leaf(HOST, NOW)
    assert error_of(lambda: served_from(tmp_path)) == "tls.unreadable"
    put(tmp_path, Leaf(b"x", good.key))
    assert error_of(lambda: served_from(tmp_path)) == "tls.cert"
    put(tmp_path, Leaf(good.certificate, good.certificate))
    assert error_of(lambda: served_from(tmp_path)) == "tls.key"
    put(tmp_path, Leaf(good.certificate, authority.key_pem()))
    assert error_of(lambda: served_from(tmp_path)) == "tls.mismatch"
    put(tmp_path, good)
    (tmp_path / "key.pem").chmod(0o604)
    assert error_of(lambda: served_from(tmp_path)) == "tls.key_mode"
    (tmp_path / "key.pem").unlink()
    os.mkfifo(tmp_path / "key.pem", 0o600)
    assert error_of(lambda: served_from(tmp_path)) == "tls.unreadable"


def test_a_key_with_a_passphrase_is_refused_without_asking_for_it(
    tmp_path: Path, authority: Authority
) -> None:
    good = authority.leaf(HOST, NOW)
    locked = subprocess.run(
        ["openssl", "pkey", "-aes128", "-passout", "pass:x"],
        input=good.key, capture_output=True, check=True,
    ).stdout  # fmt: skip
    put(tmp_path, Leaf(good.certificate, locked))
    assert error_of(lambda: served_from(tmp_path)) == "tls.key"


def test_a_new_pair_that_producers_would_not_take_never_comes_into_use(
    tmp_path: Path, authority: Authority
) -> None:
    put(tmp_path, authority.leaf(HOST, NOW))
    tls = served_from(tmp_path)
    before = tls.served
    for leaf, error in (
        (authority.leaf(HOST, NOW - 398 * DAY), "tls.ended"),
        (authority.leaf(HOST, NOW + DAY), "tls.not_yet"),
        (authority.leaf("other.example", NOW), "tls.name"),
    ):
        put(tmp_path, leaf)
        assert error_of(tls.reload) == error
        assert tls.served == before
    put(tmp_path, authority.leaf("*.langchain.com", NOW))
    assert tls.reload().names == ("*.langchain.com",)


def test_the_watch_takes_says_and_warns(tmp_path: Path, authority: Authority) -> None:
    clock, told = StillClock(), list[Event]()
    put(tmp_path, authority.leaf(HOST, NOW))
    tls = served_from(tmp_path, lambda: datetime.fromtimestamp(clock.ms / 1000, UTC))
    watch = CertificateWatch(tls, tmp_path, disk=OS_DISK, clock=clock, tell=told.append)

    def look() -> list[str]:
        told.clear()
        clock.ms += int(LOOK_EVERY_S * 1000)
        watch.look()
        return [event.name for event in told]

    assert look() == []
    put(tmp_path, authority.leaf(HOST, NOW))
    assert look() == ["tls.taken"]
    put(tmp_path, authority.leaf("other.example", NOW))
    assert look() == []  # somebody may be in the middle of it
    assert look() == ["tls.refused"]
    assert look() == []
    refused = read_trouble(tmp_path, "tls")
    assert refused is not None
    assert refused.id == "tls.name"
    put(tmp_path, authority.leaf(HOST, NOW))
    assert look() == ["tls.taken"]
    assert read_trouble(tmp_path, "tls") is None
    end = int(tls.served.ends.timestamp()) * 1000
    clock.ms = end - WARN_MS
    assert look() == ["tls.expiring"]
    assert look() == []
    clock.ms += WARN_EVERY_MS
    assert look() == ["tls.expiring"]
    clock.ms = end
    assert look() == ["tls.expired"]


def test_a_look_that_is_asked_for_says_nothing_of_what_is_in_use_already(
    tmp_path: Path, authority: Authority
) -> None:
    clock, told = StillClock(), list[Event]()
    put(tmp_path, authority.leaf(HOST, NOW))
    tls = served_from(tmp_path)
    watch = CertificateWatch(tls, tmp_path, disk=OS_DISK, clock=clock, tell=told.append)
    put(tmp_path, authority.leaf(HOST, NOW))
    for _ in range(3):
        watch.ask()
        watch.look()
    assert [event.name for event in told] == ["tls.taken"]


def test_a_look_that_is_asked_for_comes_at_once(tmp_path: Path, authority: Authority) -> None:
    clock, told = StillClock(), list[Event]()
    put(tmp_path, authority.leaf(HOST, NOW))
    tls = served_from(tmp_path)
    watch = CertificateWatch(tls, tmp_path, disk=OS_DISK, clock=clock, tell=told.append)
    watch.look()
    (tmp_path / "cert.pem").write_bytes(b"")
    watch.look()
    assert told == []
    watch.ask()
    watch.look()
    assert [event.name for event in told] == ["tls.refused"]
