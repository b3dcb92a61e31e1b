"""The manifest of a return bundle: the receipt that it carries, and what its relay reads."""

from dataclasses import dataclass

import orjson

from bridge.transfer.enclosing import Enclosed, enclosed_in
from bridge.transfer.fields import COUNT_MAX, ID, NODE, moment_in
from bridge.transfer.manifest import rotations_in
from bridge.transfer.receipt import RECEIPT_MAX, nonsense
from keys.strictjson import Fields, loads
from spool.clock import rfc3339

RETURN_TYPE = "application/vnd.airgap-bridge.return.v1+json"
RETURN_MAX = 64 * 1024
"""Bytes of the envelope of a return bundle's manifest."""
TOKEN_MAX = 16 * 1024
"""Bytes of a license token."""
FORMATS = ("segment.v1", "bundle.v1", "bundle.v2")
"""What this version reads."""


@dataclass(frozen=True, slots=True)
class Return:
    """The manifest of a return bundle: its members, and the formats that the relay reads."""

    id: str
    serial: int
    made_at: int
    sender: str
    recipient: str
    accepts: tuple[str, ...]
    members: tuple[Enclosed, ...]
    rotations: tuple[Enclosed, ...] = ()
    """The statements by which the relay's keys took over from one another."""


def encode_return(manifest: Return) -> bytes:
    """The bytes that are signed."""
    return orjson.dumps(
        {
            "v": 1,
            "id": manifest.id,
            "serial": manifest.serial,
            "made_at": rfc3339(manifest.made_at),
            "from": manifest.sender,
            "to": manifest.recipient,
            "accepts": list(manifest.accepts),
            "rotations": [each.out() for each in manifest.rotations],
            "members": [each.out() for each in manifest.members],
        }
    )


def decode_return(data: bytes) -> Return:
    """The manifest of a return bundle in ``data``; errors as of a receipt."""
    fields = Fields(loads(data, limit=RETURN_MAX), "manifest")
    fields.integer("v", 1, 1)
    manifest = Return(
        fields.text("id", ID),
        fields.integer("serial", 1, COUNT_MAX),
        moment_in(fields, "made_at", nonsense),
        fields.text("from", NODE),
        fields.text("to", NODE),
        tuple(fields.texts("accepts", r"[a-z]{1,16}\.v[0-9]{1,4}", 64)),
        tuple(
            enclosed_in(item, r"receipt\.dsse\.json|token\.jwt", RECEIPT_MAX)
            for item in fields.objects("members", 1, 2)
        ),
        rotations_in(fields),
    )
    fields.done()
    names = [each.name for each in manifest.members]
    if names not in (["receipt.dsse.json"], ["receipt.dsse.json", "token.jwt"]):
        raise nonsense("its members are not a receipt and perhaps a token")
    return manifest
