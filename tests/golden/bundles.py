"""Bundles and return bundles by hand: one that is good, and one for each defect.

Every byte from the description in ``docs/bundles.md``, none from our writer.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.golden.build import CHAIN, SIGNER, STRANGER, SUCCESSOR, Key, compact, signature
from tests.golden.good import Good, good

BUNDLE = "application/vnd.airgap-bridge.bundle.v1+json"
BUNDLE_2 = "application/vnd.airgap-bridge.bundle.v2+json"
RECEIPT = "application/vnd.airgap-bridge.receipt.v1+json"
ROTATION = "application/vnd.airgap-bridge.rotation.v1+json"
RETURN = "application/vnd.airgap-bridge.return.v1+json"
RELAY = STRANGER
"""Whose receipts the node trusts; the stranger of the segments."""
FIRST, SECOND = "transactions-000000000001-age", "transactions-000000000002-size"
Members = Sequence[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Made:
    """A file, and the id of the error that it must be refused with; empty if it is good."""

    name: str
    data: bytes
    error: str


def ustar(members: Members) -> bytes:
    """The container, header by header as POSIX has it."""
    found = b""
    for name, data in members:
        prefix, _, base = name.rpartition("/")
        head = base.encode().ljust(100, b"\0") + b"0000644\x000000000\x000000000\0"
        head += b"%011o\x0000000000000\0" % len(data) + b" " * 8 + b"0" + bytes(100)
        head += b"ustar\x0000" + bytes(64) + b"0000000\x000000000\0"
        head += prefix.encode().ljust(155, b"\0") + bytes(12)
        head = head[:148] + b"%06o\0 " % sum(head) + head[156:]
        found += head + data + bytes(-len(data) % 512)
    return found + bytes(1024)


def envelope(payload: bytes, kind: str, signer: Key) -> bytes:
    """A signed envelope in the form of our writer."""
    return compact(
        {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": kind,
            "signatures": [signature(payload, signer, kind)],
        }
    )


@cache
def _good() -> Mapping[str, Good]:
    return {each.name.partition(".")[0]: each for each in good()}


def _segments() -> list[tuple[dict[str, Any], bytes, str]]:
    held = [_good()[name] for name in (FIRST, SECOND)]
    return [(dict(each.said), each.data, each.digest) for each in held]


def manifest(**changes: object) -> dict[str, Any]:
    """The manifest of the good bundle, with ``changes``."""
    held = _segments()
    said: dict[str, Any] = {
        "v": 1,
        "id": "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
        "serial": 7,
        "made_at": "2026-11-23T12:00:00.000Z",
        "from": "prod-1",
        "to": "relay-1",
        "note": "week 48",
        "received": 6,
        "rotations": [],
        "lanes": [
            {
                "node": "prod-1",
                "stream": "transactions",
                "ranges": "1-2",
                "records": sum(one["records"] for one, _, _ in held),
                "raw_size": sum(one["raw_size"] for one, _, _ in held),
                "first_at": held[0][0]["first_at"],
                "last_at": held[1][0]["last_at"],
                "head": {"chain": CHAIN, "seq": 2, "digest": held[1][2]},
                "lost": [],
            }
        ],
        "members": [
            {"name": _place(one["seq"]), "size": len(data), "digest": digest}
            for one, data, digest in held
        ],
    }
    return said | changes


def manifest_2(**changes: object) -> dict[str, Any]:
    """The same in version 2: its sender sent four more segments to the beacon itself."""
    first, second = (
        {"stream": "transactions", "chain": CHAIN, "first": at, "last": at + 1, "digest": mark * 64}
        for at, mark in ((3, "a"), (7, "b"))
    )
    said = manifest(v=2)
    said["lanes"][0]["head"] = {"chain": CHAIN, "seq": 9, "digest": "c" * 64}
    return said | {"elsewhere": [first, second]} | changes


def _place(seq: int) -> str:
    return f"segments/prod-1/transactions/{seq:012d}.ndjson.zst"


def bundle_of(said: object, *, signer: Key = SIGNER, kind: str = BUNDLE) -> list[tuple[str, bytes]]:
    """The members of the good bundle under a manifest that says ``said``."""
    held = [(_place(one["seq"]), data) for one, data, _ in _segments()]
    return [("manifest.dsse.json", envelope(compact(said), kind, signer)), *held]


def receipt(**changes: object) -> dict[str, Any]:
    """A receipt for the good bundle, with ``changes``."""
    said: dict[str, Any] = {
        "v": 1,
        "serial": 3,
        "made_at": "2026-11-24T08:00:00.000Z",
        "relay": "relay-1",
        "node": "prod-1",
        "lanes": [
            {
                "stream": "transactions",
                "in_doubt": 0,
                "missing": "",
                "spans": [
                    {
                        "chain": CHAIN,
                        "first": 1,
                        "last": 2,
                        "state": "delivered",
                        "digest": _segments()[1][2],
                    }
                ],
                "refused": [{"seq": 2, "line": 0, "status": 422, "code": "refused", "text": ""}],
                "forks": [],
            }
        ],
    }
    return said | changes


def forked() -> dict[str, Any]:
    """A receipt that tells of another segment with the number 2."""
    said = receipt()
    said["lanes"][0]["forks"] = [
        {
            "chain": CHAIN,
            "first": 2,
            "last": 2,
            "state": "pending",
            "digest": "f" * 64,
            "refused": [],
        }
    ]
    return said


def return_manifest(sealed: bytes, **changes: object) -> bytes:
    """What the manifest of a return bundle says that carries the receipt ``sealed``."""
    said: dict[str, Any] = {
        "v": 1,
        "id": "00112233445566778899aabbccddeeff",
        "serial": 3,
        "made_at": "2026-11-24T08:00:00.000Z",
        "from": "relay-1",
        "to": "prod-1",
        "accepts": ["segment.v1", "bundle.v1"],
        "rotations": [],
        "members": [
            {
                "name": "receipt.dsse.json",
                "size": len(sealed),
                "sha256": hashlib.sha256(sealed).hexdigest(),
            }
        ],
    }
    return compact(said | changes)


def return_of(sealed: bytes, outer: bytes) -> list[tuple[str, bytes]]:
    """The members of a return bundle: the envelope of its manifest, and its receipt."""
    return [("manifest.dsse.json", outer), ("receipt.dsse.json", sealed)]


def answer_of(
    told: object, *, by: Key = RELAY, inner: Key | None = None, **changes: object
) -> list[tuple[str, bytes]]:
    """The members of a return bundle whose receipt says ``told``."""
    sealed = envelope(compact(told), RECEIPT, inner or by)
    return return_of(sealed, envelope(return_manifest(sealed, **changes), RETURN, by))


def bundles() -> Iterator[Made]:
    """All of them."""
    yield from _manifests()
    yield from _rotations()
    yield from _containers()
    yield from _returns()
    yield from _unwelcome()


def _manifests() -> Iterator[Made]:
    whole = bundle_of(manifest())
    name, sealed = whole[0]
    yield Made("good.agb", ustar(whole), "")
    yield Made("stranger.agb", ustar(bundle_of(manifest(), signer=STRANGER)), "key.untrusted")
    yield Made("another-kind.agb", ustar(bundle_of(manifest(), kind=RECEIPT)), "envelope.type")
    changed = json.loads(sealed)
    changed["payload"] = base64.b64encode(compact(manifest(serial=8))).decode()
    other = [(name, compact(changed)), *whole[1:]]
    yield Made("changed-after-signing.agb", ustar(other), "signature.bad")
    doubled = compact(manifest()).replace(b'"serial":7', b'"serial":7,"serial":7')
    twice = [(name, envelope(doubled, BUNDLE, SIGNER)), *whole[1:]]
    yield Made("key-twice.agb", ustar(twice), "json.duplicate_key")
    yield Made("unknown-key.agb", ustar(bundle_of(manifest(more=1))), "document.unknown_key")
    yield Made("serial-float.agb", ustar(bundle_of(manifest(serial=7.5))), "json.number")
    yield Made("note-bidi.agb", ustar(bundle_of(manifest(note="a\u202eb"))), "document.field")
    yield Made("version-2.agb", ustar(bundle_of(manifest(v=2))), "document.field")
    yield Made(
        "anothers-lane.agb", ustar(bundle_of(manifest(**{"from": "prod-2"}))), "manifest.sense"
    )
    lying = manifest()
    lying["lanes"][0]["records"] = 3
    yield Made("records-unlike-segments.agb", ustar(bundle_of(lying)), "manifest.sums")
    later = bundle_of(manifest_2(), kind=BUNDLE_2)
    yield Made("elsewhere.agb", ustar(later), "")
    runs = manifest_2()["elsewhere"]
    for name, told in (
        ("elsewhere-twice", [runs[0], runs[0]]),
        ("elsewhere-out-of-order", runs[::-1]),
        ("elsewhere-backwards", [runs[0] | {"first": 5}]),
    ):
        odd = bundle_of(manifest_2(elsewhere=told), kind=BUNDLE_2)
        yield Made(f"{name}.agb", ustar(odd), "manifest.sense")
    earlier = bundle_of(manifest_2(v=1))
    yield Made("elsewhere-in-version-1.agb", ustar(earlier), "document.unknown_key")
    lacking = manifest(v=2)
    yield Made("elsewhere-missing.agb", ustar(bundle_of(lacking, kind=BUNDLE_2)), "document.field")
    unlike = manifest()
    unlike["lanes"][0]["ranges"] = "1-3"
    yield Made("ranges-unlike-members.agb", ustar(bundle_of(unlike)), "manifest.sense")


def _unwelcome() -> Iterator[Made]:
    """Well made, and not for this reader: ``relay-1``, who has one identity and trusts some keys.

    It knows the successor's key as well; in ``revoked.agb`` it was told that the signer's is stolen, in
    ``rotated-again.agb`` that the successor followed it.
    """
    yield Made("for-another.agb", ustar(bundle_of(manifest(to="relay-2"))), "bundle.recipient")
    yield Made("revoked.agb", ustar(bundle_of(manifest(), signer=SUCCESSOR)), "key.revoked")
    again = _rotated(SIGNER, STRANGER, by=SUCCESSOR, new=_spki(STRANGER))
    yield Made("rotated-again.agb", ustar(again), "rotation.fork")
    line = b"A" * 43 + b"\n"
    scrypt = b"-> scrypt rF0/NwblUHHTpgQgRpe5CQ 30\n"
    first, mac = b"age-encryption.org/v1\n", b"--- " + line
    yield Made("by-passphrase.agb.age", first + scrypt + line + mac + bytes(99), "age.header")
    x25519 = b"-> X25519 " + line
    yield Made("for-no-identity.agb.age", first + x25519 + line + mac + bytes(99), "age.failed")


def rotation(**changes: object) -> dict[str, Any]:
    """The statement that the successor took over from the signer, with ``changes``."""
    said: dict[str, Any] = {
        "v": 1,
        "number": 1,
        "name": "prod-1",
        "made_at": "2026-11-23T11:00:00.000Z",
        "old": _spki(SIGNER),
        "new": _spki(SUCCESSOR),
    }
    return said | changes


def _spki(key: Key) -> str:
    der = key.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()


def _rotated(*signers: Key, by: Key = SUCCESSOR, **changes: object) -> list[tuple[str, bytes]]:
    payload = compact(rotation(**changes))
    statement = compact(
        {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": ROTATION,
            "signatures": [signature(payload, each, ROTATION) for each in signers],
        }
    )
    named = {
        "name": "keys/000001.dsse.json",
        "size": len(statement),
        "sha256": hashlib.sha256(statement).hexdigest(),
    }
    whole = bundle_of(manifest(rotations=[named]), signer=by)
    return [whole[0], ("keys/000001.dsse.json", statement), *whole[1:]]


def _rotations() -> Iterator[Made]:
    """The segments are the signer's, the manifest is the successor's."""
    whole = _rotated(SIGNER, SUCCESSOR)
    yield Made("rotated.agb", ustar(whole), "")
    yield Made("rotated-by-old-alone.agb", ustar(_rotated(SIGNER)), "rotation.keys")
    yield Made("rotated-by-new-alone.agb", ustar(_rotated(SUCCESSOR)), "rotation.keys")
    forged = _rotated(SIGNER, SUCCESSOR, by=STRANGER, new=_spki(STRANGER))
    yield Made("rotated-to-a-stranger.agb", ustar(forged), "rotation.keys")
    from_stranger = _rotated(STRANGER, SUCCESSOR, old=_spki(STRANGER))
    yield Made("rotated-from-a-stranger.agb", ustar(from_stranger), "key.untrusted")
    another = _rotated(SIGNER, SUCCESSOR, name="prod-2")
    yield Made("rotated-for-another.agb", ustar(another), "rotation.name")
    yield Made("rotation-missing.agb", ustar([whole[0], *whole[2:]]), "bundle.members")
    yield Made(
        "rotation-not-named.agb", ustar([bundle_of(manifest())[0], *whole[1:]]), "bundle.members"
    )


def _containers() -> Iterator[Made]:
    whole = bundle_of(manifest())
    _, sealed = whole[0]
    yield Made("member-missing.agb", ustar(whole[:2]), "bundle.members")
    yield Made("members-exchanged.agb", ustar([whole[0], whole[2], whole[1]]), "bundle.members")
    yield Made("manifest-not-first.agb", ustar(whole[1:] + whole[:1]), "bundle.manifest")
    climbing = [*whole, ("../x", b"x")]
    yield Made("member-climbs.agb", ustar(climbing), "container.member")
    yield Made("member-twice.agb", ustar([*whole, whole[1]]), "container.repeated")
    yield Made("trailing-byte.agb", ustar(whole) + b"\0", "container.end")
    yield Made("one-zero-block.agb", ustar(whole)[:-512], "container.truncated")
    mode = bytearray(ustar(whole))
    mode[104] = ord("7")
    yield Made("header-mode.agb", bytes(mode), "container.header")
    padded = bytearray(ustar(whole))
    padded[512 + len(sealed)] = 1
    yield Made("padding.agb", bytes(padded), "container.padding")


def _returns() -> Iterator[Made]:
    yield Made("good.agr", ustar(answer_of(receipt())), "")
    yield Made("by-a-node.agr", ustar(answer_of(receipt(), by=SIGNER)), "key.untrusted")
    mixed = answer_of(receipt(), inner=SIGNER)
    yield Made("receipt-by-a-node.agr", ustar(mixed), "key.untrusted")
    yield Made("receipt-of-another.agr", ustar(answer_of(receipt(node="prod-2"))), "bundle.receipt")
    back = answer_of(receipt())
    yield Made(
        "receipt-exchanged.agr",
        ustar([back[0], answer_of(receipt(serial=4))[1]]),
        "bundle.digest",
    )
    spans = receipt()
    spans["lanes"][0]["spans"] *= 2
    yield Made("spans-overlap.agr", ustar(answer_of(spans)), "receipt.sense")
    state = receipt()
    state["lanes"][0]["spans"][0]["state"] = "lost"
    yield Made("state-unknown.agr", ustar(answer_of(state)), "document.field")
    yield Made("forked.agr", ustar(answer_of(forked())), "")
    wide = forked()
    wide["lanes"][0]["forks"][0]["first"] = 1
    yield Made("fork-of-two.agr", ustar(answer_of(wide)), "receipt.sense")
    twice = forked()
    twice["lanes"][0]["forks"] *= 2
    yield Made("fork-twice.agr", ustar(answer_of(twice)), "receipt.sense")
    lane = receipt()
    lane["lanes"] *= 2
    yield Made("lane-twice.agr", ustar(answer_of(lane)), "receipt.sense")
    text = receipt()
    text["lanes"][0]["refused"][0]["answer"] = "what the beacon said"
    yield Made("text-of-others.agr", ustar(answer_of(text)), "document.unknown_key")


def document() -> bytes:
    """What each must be refused with."""
    rows = [{"file": f"bundles/{each.name}", "error": each.error} for each in bundles()]
    return json.dumps(rows, indent=1).encode() + b"\n"
