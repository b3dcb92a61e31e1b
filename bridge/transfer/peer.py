"""The machine on the other side: whom a bundle is for, and how it is encrypted."""

from collections.abc import Sequence
from dataclasses import dataclass

from keys.agerecipient import check_recipient
from keys.errors import ConfigError, shown
from keys.truststore import TrustStore


@dataclass(frozen=True, slots=True)
class Peer:
    """A machine by its role and name, and the recipients that its bundles are encrypted to."""

    role: str
    name: str
    age: tuple[str, ...]
    opens: bool = True
    """Whether it can open them, as far as its own recipient is known."""


def peer_for(
    trust: TrustStore, wanted: str | None, recipients: Sequence[str], *, plain: bool
) -> Peer:
    """The machine that a bundle is for: the relay, or the one that is named.

    Raises :class:`ConfigError` ``export.for``, or :class:`VerificationError` ``recipient.form``.
    """
    relays = trust.present("relay")
    if wanted is None and len(relays) != 1:
        raise ConfigError(
            "export.for",
            "No relay is trusted yet."
            if not relays
            else f"Several relays are trusted: {', '.join(relays)}.",
            "Name it with --for NAME, for the outbox in transfer.outbox_for; if its key is not trusted "
            "yet, see: bridge keys trust --help",
        )
    name = relays[0] if wanted is None else wanted
    role = "relay" if name in relays else "node"
    keys = [key for key in trust.named(role, name) if key.revoked is None]
    if not keys:
        raise ConfigError(
            "export.for",
            f"Nobody of the name {shown(name)} is trusted.",
            "Look at bridge keys list; trust its key first.",
        )
    given = tuple(check_recipient(each) for each in recipients)
    known = tuple(key.age for key in keys[-1:] if key.age is not None)
    if plain:
        return Peer(role, name, ())
    return Peer(role, name, given or known, not (given and known) or known[0] in given)
