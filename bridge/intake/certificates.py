"""Certificates with which the intake stands in for the beacon are made here.

An authority that is made here can sign for the beacon's name and the names below it, for nothing else
and for no address: whoever gets hold of its key can stand in for the beacon, which the bridge does
anyway, and for nobody else. Bytes and a time go in, values come out; nothing is read or written.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from keys.errors import ConfigError, shown

CA_LIFE = timedelta(days=5 * 365)
"""How long an authority lasts: producers have to be given a new one by hand."""
LEAF_LIFE = timedelta(days=397)
"""How long a certificate lasts: clients refuse longer ones."""
BACKDATED = timedelta(hours=1)
"""How far the clock of a producer may be behind ours."""
_ADDRESSES = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))


@dataclass(frozen=True, slots=True)
class Leaf:
    """A certificate and its private key, PEM."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority for one host name."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def pem(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(Encoding.PEM)

    def key_pem(self) -> bytes:
        """The private key."""
        return _key_pem(self.key)

    def leaf(self, host: str, at: datetime) -> Leaf:
        """A certificate for ``host``, no longer valid than the authority itself."""
        key = ec.generate_private_key(ec.SECP256R1())
        end = min(at - BACKDATED + LEAF_LIFE, self.certificate.not_valid_after_utc)
        builder = (
            _begun("airgap-bridge intake", self.certificate.subject, key, at, end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
        )
        signed = builder.sign(self.key, hashes.SHA256())
        return Leaf(signed.public_bytes(Encoding.PEM), _key_pem(key))


def new_authority(host: str, at: datetime) -> Authority:
    """An authority for ``host`` alone. Raises :class:`ConfigError` ``tls.host`` for an address."""
    _check_name(host)
    key = ec.generate_private_key(ec.SECP256R1())
    # Two authorities for one name have to be told apart by whoever trusts both.
    digest = x509.SubjectKeyIdentifier.from_public_key(key.public_key()).digest
    words = f"airgap-bridge CA {digest[:4].hex()}"
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, words)])
    builder = (
        _begun(words, subject, key, at, at + CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(
            x509.NameConstraints(
                permitted_subtrees=[x509.DNSName(host)],
                excluded_subtrees=[x509.IPAddress(network) for network in _ADDRESSES],
            ),
            critical=True,
        )
    )
    return Authority(builder.sign(key, hashes.SHA256()), key)


def find_authority(bundle: bytes, key_pem: bytes, at: datetime) -> Authority:
    """The authority in ``bundle`` (PEM) that ``key_pem`` belongs to.

    Raises :class:`ConfigError` ``tls.ca``, ``tls.ca_key`` or ``tls.ca_expired``.
    """
    try:
        key = load_pem_private_key(key_pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(
            "tls.ca_key",
            "What --ca-key names is no private key in PEM without a passphrase.",
            "Name the file that `bridge init --tls --ca-key` wrote.",
        ) from error
    for certificate in authorities(bundle):
        if isinstance(key, ec.EllipticCurvePrivateKey) and (
            certificate.public_key() == key.public_key()
        ):
            if at >= certificate.not_valid_after_utc:
                raise ConfigError(
                    "tls.ca_expired",
                    f"The CA ended at {_day(certificate.not_valid_after_utc)}.",
                    "Make a new one: `bridge init --tls --renew --new-ca`.",
                )
            return Authority(certificate, key)
    raise ConfigError(
        "tls.ca_key",
        "What --ca-key names is not the key of a CA in ca.pem.",
        "Name the right file, or make a new CA: `bridge init --tls --renew --new-ca`.",
    )


def authorities(bundle: bytes) -> list[x509.Certificate]:
    """The certificates in ``bundle`` (PEM). Raises :class:`ConfigError` ``tls.ca``."""
    try:
        return x509.load_pem_x509_certificates(bundle)
    except ValueError as error:
        raise ConfigError(
            "tls.ca",
            "ca.pem holds no certificates that can be read.",
            "Take it from a producer that trusts it, or make a new CA: --renew --new-ca.",
        ) from error


def with_authority(bundle: bytes, new: Authority, at: datetime) -> bytes:
    """``new``, and those in ``bundle`` that have not ended, PEM. Raises ``tls.ca``."""
    kept = [each for each in authorities(bundle) if each.not_valid_after_utc > at]
    return b"".join([new.pem(), *(each.public_bytes(Encoding.PEM) for each in kept)])


def _begun(
    words: str,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    at: datetime,
    end: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, words)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - BACKDATED)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _check_name(host: str) -> None:
    try:
        ip_address(host)
    except ValueError:
        return
    raise ConfigError(
        "tls.host",
        f"beacon.url names an address, {shown(host)}, and certificates here are for names.",
        "Name the beacon by its name, e.g. https://beacon.langchain.com.",
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _day(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
