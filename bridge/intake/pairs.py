"""A certificate and its key, whoever made them: what they say, and whether they can be served.

Bytes and a time go in, values come out; nothing is read or written.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from keys.errors import ConfigError, shown


@dataclass(frozen=True, slots=True)
class Served:
    """What a certificate says: for which names, from when, until when."""

    names: tuple[str, ...]
    begins: datetime
    ends: datetime

    def is_for(self, host: str) -> bool:
        """Whether clients take it for ``host``; a star stands for one label."""
        above = host.lower().partition(".")[2]
        return any(name.lower() in (host.lower(), f"*.{above}") for name in self.names)


def read_pair(certificate: bytes, key: bytes) -> Served:
    """What the first certificate of ``certificate`` says, if ``key`` is its key; both PEM.

    Raises :class:`ConfigError` ``tls.cert``, ``tls.key`` or ``tls.mismatch``.
    """
    try:
        leaf = x509.load_pem_x509_certificates(certificate)[0]
        public = leaf.public_key()
        served = Served(_names(leaf), leaf.not_valid_before_utc, leaf.not_valid_after_utc)
        theirs = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        raise ConfigError(
            "tls.cert",
            "The file that intake.tls.cert names holds no certificate that can be used.",
            "Put the certificate there in PEM, and after it those between it and the CA.",
        ) from error
    try:
        ours = (
            load_pem_private_key(key, None)
            .public_key()
            .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        )
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(
            "tls.key",
            "The file that intake.tls.key names holds no private key without a passphrase.",
            "Put the certificate's key there in PEM, not encrypted, with mode 0600.",
        ) from error
    if ours != theirs:
        raise ConfigError(
            "tls.mismatch",
            "The key that intake.tls.key names is not the key of the certificate.",
            "Put a pair there; if a renewal was cut short: `bridge init --tls --renew` again.",
        )
    return served


def check_new(new: Served, old: Served, host: str, at: datetime) -> None:
    """Refuse ``new`` where clients that take ``old`` for ``host`` would not take it.

    Raises :class:`ConfigError` ``tls.ended``, ``tls.not_yet`` or ``tls.name``.
    """
    if at >= new.ends:
        raise ConfigError(
            "tls.ended",
            f"The new certificate ended at {_day(new.ends)}.",
            "Put one there that has not ended; the one before it is still in use.",
        )
    if at < new.begins:
        raise ConfigError(
            "tls.not_yet",
            f"The new certificate begins at {_day(new.begins)} only.",
            "Look at this machine's clock; until then the one before it is in use.",
        )
    if old.is_for(host) and not new.is_for(host):
        raise ConfigError(
            "tls.name",
            f"The new certificate is not for {shown(host)}, and the one before it is.",
            "Put one there that names the beacon's host; the one before it is still in use.",
        )


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    return tuple(found.value.get_values_for_type(x509.DNSName))


def _day(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
