"""``bridge doctor``: what is wrong on this machine, and on the way to the beacon."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from bridge.cli.peers import trust_of
from bridge.cli.session import Session, json_option
from bridge.config import Config
from bridge.license.pinned import rules_of
from bridge.operate import doctor
from bridge.operate.checks import Check, Finding, NotLookedAtError, exit_code, run
from bridge.operate.reach import Answered, Ask, Reach, Target, addresses_of
from bridge.terminal import counted
from keys.errors import BridgeError, ConfigError, shown
from keys.keyfile import PRIVATE_NAME, PUBLIC_NAME, read_public_key
from spool.clock import MS, SYSTEM_CLOCK
from spool.usage import held_by

ASKED = "/v1/beacon/verify"
"""Asked without a body and without a license: the beacon refuses it, and nothing else happens."""
ASK_S = 15.0
"""Seconds for the one request: a person waits for it."""
_PORTS = {"http": 80, "https": 443}
_MARKS = {True: "ok", False: "wrong", None: "-"}


@click.command("doctor")
@click.option(
    "--firewall",
    is_flag=True,
    help="Print what a firewall has to let through, host, address and port, and nothing else.",
)
@json_option
@click.pass_obj
def command(session: Session, *, firewall: bool, as_json: bool) -> None:
    """Check configuration, permissions, disk, clock, TLS and the way to the beacon.

    Names exactly what is wrong. Offline nothing is looked up and no connection is made.
    """
    session.begin("doctor", as_json=as_json)
    if firewall:
        _print_target(session)
        return
    findings = []
    for finding in run(_checks(session)):
        findings.append(finding)
        if not as_json:
            _show(session, finding)
    code = exit_code(findings)
    answer = {"ok": code == 0, "checks": [_answer(finding) for finding in findings]}
    wrong = sum(finding.ok is False for finding in findings)
    last = f"{wrong} of {len(findings)} checks found something wrong." if wrong else "All is well."
    session.result(answer, lambda: session.say(last))
    session.finish(code)


def _checks(session: Session) -> Iterator[Check]:
    """The checks, made as they are asked for: what the configuration says decides the rest."""
    found: list[Config] = []

    def configuration() -> str:
        found.append(session.config)
        return str(session.config.source)

    yield Check("config", configuration)
    if not found:
        return
    config = found[0]
    now = SYSTEM_CLOCK.wall_ms
    spool, keys = config.spool, config.keys.path
    yield Check("config.private", lambda: _only_ours_writes(config))
    yield Check("keys.folder", lambda: doctor.check_folder(keys))
    yield Check("keys.node", lambda: _node_key(session))
    yield Check("license", lambda: _license(session))
    yield Check("license.private", lambda: doctor.check_private(_license_files(config)))
    yield Check("license.jwks", lambda: _vendor_keys(config))
    yield Check("spool.folder", lambda: doctor.check_folder(spool.path))
    if spool.path.is_dir():
        yield Check(
            "spool.disk",
            lambda: doctor.check_disk(
                spool.path,
                used=held_by(spool.path),
                max_size=spool.max_size,
                min_free=spool.min_free,
            ),
        )
        yield Check(
            "spool.sealed",
            lambda: doctor.check_sealed(spool.path, config.node, session.signing_key.own_keys),
        )
        yield Check("clock", lambda: doctor.check_clock(spool.path, now()))
    for name, folder in (("inbox", config.transfer.inbox), ("outbox", config.transfer.outbox)):
        if folder is not None:
            yield Check(f"transfer.{name}", partial(doctor.check_carried, folder))
    yield Check("beacon.ca_file", lambda: doctor.check_authorities(config.beacon.ca_file))
    tls = config.intake.tls
    yield Check("intake.tls", lambda: doctor.check_certificate(tls.cert, tls.key, now()))
    yield from _reach(session, config)


def _only_ours_writes(config: Config) -> str:
    doctor.check_not_writable(config.source)
    return f"nobody else may write {config.source.name}"


def _node_key(session: Session) -> str:
    public = session.signing_key.public
    path = session.config.keys.path / PUBLIC_NAME
    if not path.exists():
        return f"key {public.id}; {PUBLIC_NAME} is not beside it"
    if read_public_key(path) != public:
        raise ConfigError(
            "key.pair",
            f"{shown(str(path))} is not the public half of {PRIVATE_NAME} beside it.",
            f"Move {PUBLIC_NAME} away and run `bridge init` there to have it made anew.",
        )
    return f"key {public.id}"


def _license(session: Session) -> str:
    config, others = session.config, trust_of(session).present("node")
    lacks = [node for node in others if not session.license_keys.known(node)]
    known = session.license_keys.known(config.node)
    if config.egress.mode != "online":
        return f"there is a key for {config.node}" if known else "offline needs none"
    if lacks:
        raise doctor.no_license(lacks[0], f"licenses: {{{lacks[0]}: [FILE]}}")
    if not known and not others:
        raise doctor.no_license(config.node, "license_key_file: FILE")
    return f"there is a key for {', '.join([*others, *[config.node] * known])}"


def _license_files(config: Config) -> list[Path]:
    folder = config.source.parent
    named = [folder / name for names in config.licenses.values() for name in names]
    own = [config.license_key_file, config.data_plane_auth_file]
    given = [*named, *(path for path in own if path is not None)]
    return [path for path in given if path.exists()]  # the check before this one names the others


def _vendor_keys(config: Config) -> str:
    keys = rules_of(config.license).keys
    if not keys:
        raise NotLookedAtError("no license.jwks_file; a token that a courier brings is not served")
    return f"{counted(len(keys), 'key', 'keys')} of the vendor's in {config.license.jwks_file}"


def _reach(session: Session, config: Config) -> Iterator[Check]:
    if config.egress.mode == "offline":
        yield Check("beacon", _offline)
        return
    try:
        ask, trust = _asking(session, config)
    except OSError as error:
        why = f"beacon.ca_file cannot be used: {error.strerror}"
        yield Check("beacon", lambda: _not_looked_at(why))
        return
    host, port, scheme = _connects_to(config)
    target = Target(
        host,
        port,
        config.beacon.addresses,
        config.beacon.proxy is not None,
        trust() if scheme == "https" else None,
    )
    yield from Reach(target, config.intake.listen, ask).checks()


def _offline() -> str:
    return _not_looked_at("egress is offline; nothing was looked up, no connection was made")


def _not_looked_at(why: str) -> str:
    raise NotLookedAtError(why)


def _asking(session: Session, config: Config) -> tuple[Ask, Callable[[], Any]]:
    """One request as the daemon would make it, and the trust that it has in servers."""
    from bridge.daemon.serving import pseudonym_of
    from bridge.egress.answers import Answer
    from bridge.egress.client import BeaconClient, trusting

    try:
        via = pseudonym_of(session.signing_key.public)
    except BridgeError:  # a check of its own says so
        via = None
    client = BeaconClient(
        config.beacon.url,
        deadline_s=min(config.egress.deadline / MS, ASK_S),
        ca_file=config.beacon.ca_file,
        proxy=config.beacon.proxy,
        addresses=config.beacon.addresses,
        via=via,
    )

    def ask() -> Answered | str:
        try:
            reply = client.post(ASKED, {}, b"")
        finally:
            client.close()
        if isinstance(reply, Answer):
            return Answered(reply.status, reply.content_type, reply.body)
        return reply.reason

    return ask, lambda: trusting(config.beacon.ca_file)


def _connects_to(config: Config) -> tuple[str, int, str]:
    """Host, port and scheme of whom this machine connects to: the proxy, if there is one."""
    parts = urlsplit(config.beacon.proxy or config.beacon.url)
    assert parts.hostname is not None  # noqa: S101 - the configuration was judged
    return parts.hostname, parts.port or _PORTS[parts.scheme], parts.scheme


def _print_target(session: Session) -> None:
    """Host, address, port; the address is left out where it is not known and may not be looked up."""
    config = session.config
    host, port, _ = _connects_to(config)
    addresses: Sequence[str] = config.beacon.addresses
    if not addresses and config.egress.mode == "online":
        addresses = addresses_of(host, port)
    answer = {"host": host, "addresses": list(addresses), "port": port}

    def text() -> None:
        for address in addresses:
            session.say(f"{host} {address} {port}")
        if not addresses:
            session.say(f"{host} {port}")

    session.result(answer, text)


def _answer(finding: Finding) -> Mapping[str, Any]:
    problem = finding.problem
    return {
        "id": finding.id,
        "ok": finding.ok,
        "note": finding.note if problem is None else None,
        "problem": None
        if problem is None
        else {"id": problem.id, "message": problem.message, "hint": problem.hint},
    }


def _show(session: Session, finding: Finding) -> None:
    session.say(f"{_MARKS[finding.ok]:6}{finding.id:16} {finding.note}")
    if finding.problem is not None:
        session.say(f"{'':22} [{finding.problem.id}] {session.hint(finding.problem.hint)}")
