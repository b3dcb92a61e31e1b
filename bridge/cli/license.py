"""``bridge license``: what the bridge knows of the license, and of the vendor's token.

``accept`` is for the day on which a site without a configured key gets a new one: the first key seen
was pinned, and the new one is refused until the pin is forgotten. The token itself is shown by
``show --token`` alone.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

from bridge.cli.licensereport import report, show_claims
from bridge.cli.session import Session, json_option
from bridge.cli.tokenfile import token_in
from keys.errors import ConfigError, VerificationError
from spool.clock import rfc3339

if TYPE_CHECKING:
    from bridge.daemon.licensestate import LicenseState
    from bridge.license.keeping import LicenseKeeper, Taken
    from keys.tokens import Reason

NOT_SERVED = 3
"""Exit code: the token is kept, or one before it is, and what was asked for is not served."""
_ALONE = (
    "Save the token alone, as the vendor gave it: no quotes, no other text, no byte order mark."
)
_COMPARE = "Compare license.* in bridge.yaml with what the vendor says of its tokens."
_WHAT_THEN: Mapping["Reason", str] = MappingProxyType(
    {
        "size": _ALONE,
        "form": _ALONE,
        "kid": "Has the vendor a new key? Then add it to license.jwks_file, and try again.",
        "life": _COMPARE,
        "issuer": _COMPARE,
        "audience": _COMPARE,
        "binding": "Ask the vendor for one of the license key that is configured for this node.",
    }
)


@click.group("license")
def command() -> None:
    """Look after the license key that the intake takes, and the vendor's token."""


@command.command("accept")
@click.option("--dry-run", is_flag=True, help="Say when the key was pinned, and leave it so.")
@json_option
@click.pass_obj
def accept(session: Session, *, dry_run: bool, as_json: bool) -> None:
    """Forget the pinned license key: the next one that a producer sends is pinned instead.

    Where no key is configured, the intake takes the first one that it sees and refuses others
    (license.changed). A running daemon notices at once.
    """
    from bridge.intake.gate import forget_pin, pinned_at
    from spool.durable import OS_DISK, explained

    session.begin("license", as_json=as_json)
    config = session.config
    configured = session.license_keys.known(config.node)
    try:
        at = pinned_at(config.spool.path)
        if at is not None and not dry_run:
            forget_pin(OS_DISK, config.spool.path)
    except OSError as error:
        raise explained(error, "forget the pinned license key") from error
    answer = {
        "pinned_at": None if at is None else rfc3339(at),
        "forgotten": at is not None and not dry_run,
        "configured": configured,
    }
    session.result(answer, lambda: _show(session, at, dry_run=dry_run))
    if configured:
        session.note("A license key is configured for this node: it counts, whatever is pinned.")


def _show(session: Session, at: int | None, *, dry_run: bool) -> None:
    if at is None:
        session.say("No license key is pinned; the first one that a producer sends will be.")
    elif dry_run:
        session.say(f"A license key is pinned since {rfc3339(at)}.")
    else:
        session.say(f"The license key pinned at {rfc3339(at)} is forgotten.")
        session.say("The next one that a producer sends is pinned.")


@command.command("status")
@json_option
@click.pass_obj
def status(session: Session, *, as_json: bool) -> None:
    """Say how things stand with the token: served or not, until when, what to do.

    Ends with 8 where there is none, or it has ended. On a relay each node is told whose key it holds.
    """
    session.begin("license", as_json=as_json)
    report(session, _states(session))


@command.command("refresh")
@json_option
@click.pass_obj
def refresh(session: Session, *, as_json: bool) -> None:
    """Ask the beacon for a token now, and keep it; on a relay for each node whose key it holds."""
    from bridge.daemon.tokens import UNREACHABLE, ask_now
    from bridge.errors import RefusedError, UnreachableError
    from spool.durable import explained

    session.begin("license", as_json=as_json)
    config, licenses = session.config, session.license_keys
    if config.egress.mode == "offline":
        raise ConfigError(
            "license.offline",
            "Egress is offline: the beacon is not asked for anything.",
            "Bring a token by a return bundle, or with: bridge license import FILE.",
        )
    if not licenses.nodes():
        raise ConfigError(
            "license.no_key",
            f"There is no license key for {config.node} to ask with.",
            "Set license_key_file.",
        )
    try:
        problems = ask_now(config, session.signing_key, licenses)
    except OSError as error:
        raise explained(error, "keep the license token") from error
    if not problems:
        raise ConfigError(
            "license.offline_key",
            "The license key is an offline one (it does not begin with lcl_): it has no token.",
            "Nothing is to be done; such an installation asks the beacon for none by itself.",
        )
    refusals = [f"{node}: {why}" for node, why in problems.items() if why not in ("", UNREACHABLE)]
    if refusals:
        raise RefusedError(
            "license.not_kept",
            f"No token is kept of the beacon's answer: {'; '.join(refusals)}.",
            "Look at bridge license status for what is kept.",
        )
    if UNREACHABLE in problems.values():
        raise UnreachableError(
            "license.unreachable",
            "The beacon gave no answer of its own; what was kept before stays.",
            "Look at bridge doctor, and try again.",
        )
    report(session, _states(session))


@command.command("import")
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--dry-run", is_flag=True, help="Judge the token, and keep nothing.")
@json_option
@click.pass_obj
def import_(session: Session, file: str, *, dry_run: bool, as_json: bool) -> None:
    """Keep a token that came as a file: the token alone, or the beacon's answer.

    It takes the place of the one that is kept only if it is better.
    """
    from bridge.license.judgement import Licensed, why
    from spool.durable import explained

    session.begin("license", as_json=as_json)
    token = token_in(session, file)
    config = session.config
    licensed = Licensed.by(session.license_keys.accepted(config.node))
    keeper = _keeper(session)
    try:
        if dry_run:
            now = keeper.reader.judgement(config.node, licensed).at
            verdict, taken = keeper.reader.rules.verdict(token, licensed.bindings, now), None
        else:
            taken = keeper.took(config.node, token, "import", None, licensed)
            verdict = taken.verdict
    except OSError as error:
        raise explained(error, "keep the license token") from error
    if not verdict.usable:
        raise VerificationError(
            "license.token",
            f"The token is not kept: {why(verdict)} ({verdict.standing}).",
            _WHAT_THEN.get(verdict.reason, "Ask the vendor for a new one."),
        )
    _tell_import(session, str(verdict.standing), taken)


@command.command("show")
@click.option("--token", "with_token", is_flag=True, help="The token itself, on stdout: a secret.")
@json_option
@click.pass_obj
def show(session: Session, *, with_token: bool, as_json: bool) -> None:
    """Show what the kept token claims; never the token, unless --token says so."""
    from bridge.license.entry import read_entry
    from keys.tokens import claims_of
    from spool.durable import explained

    session.begin("license", as_json=as_json)
    keys = session.signing_key.own_keys
    try:
        entry = read_entry(session.config.spool.path, session.config.node, keys)
    except OSError as error:
        raise explained(error, "read the license token") from error
    if entry is None or not entry.token:
        session.note("No token is kept; bridge license status says more.")
        session.finish(8)
        session.result({"claims": None}, lambda: None)
        return
    claims = claims_of(entry.token.encode())
    answer: dict[str, Any] = {"claims": claims, "got_at": rfc3339(entry.got_at)}
    if with_token:
        answer["token"] = entry.token
    session.result(answer, lambda: show_claims(session, claims, entry.token if with_token else ""))


def _states(session: Session) -> "tuple[LicenseState, ...]":
    from bridge.daemon.licensestate import license_states
    from spool.durable import explained

    try:
        return license_states(session.config, session.license_keys)
    except FileNotFoundError as error:
        raise ConfigError(
            "key.missing",
            "There is no node.pub.pem in the folder keys.path names.",
            "Make one with `bridge init`, or correct keys.path.",
        ) from error
    except OSError as error:
        raise explained(error, "read the license token") from error


def _keeper(session: Session) -> "LicenseKeeper":
    from bridge.daemon.tokens import keeper_for

    return keeper_for(session.config, session.signing_key)


def _tell_import(session: Session, standing: str, taken: "Taken | None") -> None:
    answer: dict[str, Any] = {"standing": standing, "kept": taken is not None and taken.kept}
    if taken is not None:
        answer |= {"state": str(taken.judgement.state), "served": taken.judgement.served}

    def tell() -> None:
        if taken is None:
            session.say(f"The token is {standing}; nothing was kept.")
        elif not taken.kept:
            session.say("What is kept already is as good or better; it stays.")
        elif taken.judgement.served:
            session.say("The token is kept, and served from now on.")
        else:
            session.say(f"The token is kept, and not served: it is {taken.judgement.state}.")

    session.result(answer, tell)
    if taken is not None and not taken.judgement.served:
        session.note("bridge license status says what to do.")
        session.finish(NOT_SERVED)
