"""One request for a license token, and what becomes of the answer; for daemon and command."""

from dataclasses import replace
from random import Random

import orjson

from bridge.config import Config
from bridge.config.licensekeys import ONLINE_KEY, LicenseKeys
from bridge.daemon.sending import client_for
from bridge.daemon.serving import pseudonym_of
from bridge.egress.client import BeaconClient
from bridge.egress.verifying import verify
from bridge.license.judgement import Licensed, why
from bridge.license.keeping import LicenseKeeper
from bridge.license.pinned import rules_of
from bridge.license.readings import SYSTEM_GUARD_CLOCK
from bridge.license.refreshing import Refresh, read_refreshes, wait_ms, write_refreshes
from keys.ed25519 import SigningKey
from spool.clock import SYSTEM_CLOCK
from spool.durable import OS_DISK

OK = 200
DENIALS = frozenset({401, 403})
"""Refusals of the license; 400 and 422 say that the request is not understood."""
UNREACHABLE = "the beacon gave no answer of its own"


def keeper_for(config: Config, signer: SigningKey) -> LicenseKeeper:
    """Keeps tokens as ``config`` says. Raises :class:`ConfigError` ``license.jwks_file``."""
    return LicenseKeeper(
        OS_DISK,
        config.spool.path,
        config.node,
        signer,
        rules_of(config.license),
        SYSTEM_GUARD_CLOCK,
    )


def ask(
    client: BeaconClient, keeper: LicenseKeeper, node: str, license_key: str, licensed: Licensed
) -> str:
    """Ask once, keep what comes; why it brought nothing, empty if it did. Raises :class:`OSError`."""
    reply = verify(client, license_key)
    if reply is None:
        return UNREACHABLE
    return take(keeper, node, license_key, licensed, reply.status, reply.body)


def take(
    keeper: LicenseKeeper,
    node: str,
    license_key: str,
    licensed: Licensed,
    status: int,
    body: bytes,
) -> str:
    """Keep what the beacon itself answered to a request with ``license_key``; as :func:`ask`.

    The body was judged by :func:`verify`: with 200 it holds a token.
    """
    if status in DENIALS:
        keeper.refused(node, status, license_key)
        return f"the beacon refused the license ({status})"
    if status != OK:
        return f"the beacon answered {status}"
    token = orjson.loads(body)["token"]
    taken = keeper.took(node, token, "beacon", license_key, licensed)
    return "" if taken.verdict.usable else why(taken.verdict)


def ask_now(config: Config, signer: SigningKey, licenses: LicenseKeys) -> dict[str, str]:
    """Ask for the token of each node with an online key, beside a daemon or without one.

    What each brought, by node, as :func:`ask` says it. Raises :class:`ConfigError`, or
    :class:`OSError`.
    """
    keeper = keeper_for(config, signer)
    client = client_for(config, pseudonym_of(signer.public))
    problems = {}
    try:
        for node in licenses.nodes():
            key, licensed = licenses.to_send(node), Licensed.by(licenses.accepted(node))
            if key is not None and key.startswith(ONLINE_KEY):
                problems[node] = ask(client, keeper, node, key, licensed)
    finally:
        client.close()
    said, at = dict(read_refreshes(config.spool.path)), SYSTEM_CLOCK.wall_ms()
    for node, problem in problems.items():
        last = said.get(node)
        if last is None or last.next_at <= at:  # no daemon has a plan: what it would plan
            licensed = Licensed.by(licenses.accepted(node))
            end = keeper.reader.judgement(node, licensed).expires_at
            left = None if end is None else end - at
            wait = wait_ms(left, int(problem != ""), Random())  # noqa: S311 - only spreads requests
            last = Refresh(at, problem, at + wait)
        said[node] = replace(last, tried_at=at, problem=problem)
    write_refreshes(OS_DISK, config.spool.path, said)
    return problems
