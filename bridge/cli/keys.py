"""``bridge keys``: whose word counts here, and for what; added by people who compared fingerprints."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bridge.cli.keyring import read_key_file
from bridge.cli.revoking import check_lanes, first_of, key_of
from bridge.cli.session import Session, json_option
from keys.agerecipient import check_recipient
from keys.errors import ConfigError, VerificationError
from keys.keyfile import PUBLIC_NAME
from keys.trustedkey import ROLES
from keys.trustfile import change_store
from keys.truststore import TRUST_NAME, TrustStore
from spool.lane import check_node

if TYPE_CHECKING:
    from keys.trustedkey import TrustedKey

_GROUP = 4


@click.group("keys")
def command() -> None:
    """Show this machine's key, and look after the keys of others that it trusts."""


@command.command("show")
@json_option
@click.pass_obj
def show(session: Session, *, as_json: bool) -> None:
    """Show this machine's key, and what to type on the other side."""
    session.begin("keys", as_json=as_json)
    path = session.config.keys.path / PUBLIC_NAME
    public = read_key_file(path)
    recipient = _recipient(session)
    node = session.config.node
    order = (
        f"bridge keys trust {path.name} --role ROLE --name {shlex.quote(node)} "
        f"--fingerprint {public.id}" + (f" --age {recipient}" if recipient else "")
    )

    def text() -> None:
        session.say(f"{node}: {path}")
        session.say("fingerprint, to be compared by voice:")
        groups = [public.id[at : at + _GROUP] for at in range(0, len(public.id), _GROUP)]
        for at in range(0, len(groups), 8):
            session.say("  " + " ".join(groups[at : at + 8]))
        if recipient:
            session.say(f"bundles for it are encrypted to: {recipient}")
        session.say("On the other side, with this file and ROLE node or relay, whichever this is:")
        session.say(f"  {order}")

    answer = {"node": node, "id": public.id, "path": str(path), "age": recipient, "trust": order}
    session.result(answer, text)


@command.command("list")
@json_option
@click.pass_obj
def list_(session: Session, *, as_json: bool) -> None:
    """List the keys that are trusted, for what, and which are revoked."""
    session.begin("keys", as_json=as_json)
    found = _load(session).keys

    def text() -> None:
        for key in found:
            session.say(f"{key.role:6} {key.name:24} {key.public.id}{_revoked(key)}")
        if not found:
            session.say("Nobody is trusted yet: bridge keys trust FILE …")

    session.result({"keys": [_answer(key) for key in found]}, text)


@command.command("trust")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--role", type=click.Choice(ROLES), required=True, help="What it may speak as.")
@click.option("--name", required=True, help="The one name that it may speak for.")
@click.option("--fingerprint", required=True, help="All 64 digits, as its owner reads them out.")
@click.option("--age", help="Where bundles for it are encrypted to: age1…")
@click.option("--dry-run", is_flag=True, help="Judge it, and change nothing.")
@json_option
@click.pass_obj
def trust(
    session: Session,
    file: Path,
    *,
    role: str,
    name: str,
    fingerprint: str,
    age: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Trust the public key in FILE, in one role and for one name."""
    session.begin("keys", as_json=as_json)
    public = read_key_file(file)
    typed = fingerprint.replace(" ", "").replace(":", "").lower()
    check_node(name)
    recipient = None if age is None else check_recipient(age)
    _change(
        session,
        lambda store: store.with_key(role, name, public, typed, recipient),
        dry_run=dry_run,
    )
    answer = {"id": public.id, "role": role, "name": name, "age": recipient, "dry_run": dry_run}
    done = "would be trusted" if dry_run else "is trusted from now on"
    session.result(answer, lambda: session.say(f"{role} {name} {done} by key {public.id}."))


@command.command("rotate")
@json_option
@click.pass_obj
def rotate(session: Session, *, as_json: bool) -> None:
    """Let a new key take over from this machine's; bundles tell the other side by themselves.

    The old private key is destroyed. Its signatures stay good: if it may be stolen, the other side has
    to revoke it.
    """
    session.begin("keys", as_json=as_json)
    from importlib.metadata import version

    from bridge.daemon.sealingall import seal_all
    from keys.ownkey import rotate as take_over
    from spool.clock import SYSTEM_CLOCK, rfc3339
    from spool.durable import explained
    from spool.sender_lock import SenderLock

    config, now = session.config, SYSTEM_CLOCK.wall_ms()
    whose = {"version": version("airgap-bridge"), "config": str(config.source)}
    try:
        lock = SenderLock(config.spool.path, **whose, now_ms=now)
    except OSError as error:
        raise explained(error, "keep others from sealing") from error
    try:
        if busy := seal_all(config, session.signing_key):
            raise ConfigError(
                "keys.busy",
                f"A writer keeps {busy[0].name} open, and would go on with the old key.",
                "End every bridge append, then rotate again; nothing was changed.",
            )
        done = take_over(config.keys.path, config.node, rfc3339(now))
    except OSError as error:
        raise ConfigError(
            "key.unwritable",
            f"The new key cannot be kept: {error.strerror}.",
            "Make room, or look at the owner of the folder; then rotate again, it is finished then.",
        ) from error
    finally:
        lock.release()
    answer = {"id": done.new.id, "old": done.old.id, "number": done.number}

    def text() -> None:
        session.say(f"Key {done.new.id} took over from {done.old.id}.")
        session.say("The next bundle says so, signed by both; nobody has to type anything.")
        session.say("If the old key may be stolen, the other side has to: bridge keys revoke")

    session.result(answer, text)


@command.command("revoke")
@click.argument("key_id", metavar="ID")
@click.option("--from", "firsts", multiple=True, metavar="NODE/STREAM/SEQ", help="From here on.")
@click.option("--dry-run", is_flag=True, help="Judge it, and change nothing.")
@json_option
@click.pass_obj
def revoke(
    session: Session, key_id: str, firsts: Sequence[str], *, dry_run: bool, as_json: bool
) -> None:
    """Let a key count no more: from a number on in the lanes named, else for all not yet imported.

    ID is what `bridge keys list` prints, or its beginning: eight digits or more, that no other has.
    Nothing takes a revocation back.
    """
    session.begin("keys", as_json=as_json)
    lanes = dict(first_of(text) for text in firsts)
    found = key_of(_load(session), key_id)
    whole = key_id if found is None else found.public.id
    if found is not None:
        check_lanes(found, lanes)
    _change(session, lambda store: store.revoke(whole, lanes), dry_run=dry_run)
    done = "would be revoked" if dry_run else "is revoked"
    where = f" from {', '.join(firsts)} on" if firsts else " for everything not yet imported"
    session.result(
        {"id": whole, "from": list(firsts), "dry_run": dry_run},
        lambda: session.say(f"Key {whole} {done}{where}."),
    )


def _load(session: Session) -> TrustStore:
    path = session.config.keys.path / TRUST_NAME
    try:
        return TrustStore.load(path)
    except OSError as error:
        raise _failed(session, "read", error) from error


def _change(session: Session, change: Callable[[TrustStore], TrustStore], *, dry_run: bool) -> None:
    """Change the trust store as it is now; of a dry run, only judge what would become of it."""
    if dry_run:
        change(_load(session))
        return
    try:
        change_store(session.config.keys.path / TRUST_NAME, change)
    except OSError as error:
        raise _failed(session, "written", error) from error


def _failed(session: Session, what: str, error: OSError) -> ConfigError:
    return ConfigError(
        "trust.file",
        f"{session.config.keys.path / TRUST_NAME} cannot be {what}: {error.strerror}.",
        "Run this as the user that owns the keys.",
    )


def _recipient(session: Session) -> str | None:
    from bridge.transfer.agefile import IDENTITY_NAME, read_identity, recipient_of

    path = session.config.keys.path / IDENTITY_NAME
    try:
        return recipient_of(read_identity(path))
    except FileNotFoundError:
        return None
    except (OSError, VerificationError) as error:
        reason = error.message if isinstance(error, VerificationError) else str(error.strerror)
        raise ConfigError(
            "age.identity", f"{path} cannot be read: {reason}", "Look at its owner and mode."
        ) from error


def _answer(key: "TrustedKey") -> Mapping[str, Any]:
    return {
        "id": key.public.id,
        "role": key.role,
        "name": key.name,
        "age": key.age,
        "revoked": None if key.revoked is None else dict(key.revoked),
    }


def _revoked(key: "TrustedKey") -> str:
    if key.revoked is None:
        return ""
    if not key.revoked:
        return "  revoked"
    return "  revoked from " + ", ".join(f"{lane}/{seq}" for lane, seq in key.revoked.items())
