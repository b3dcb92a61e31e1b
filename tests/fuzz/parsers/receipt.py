"""The receipt of a relay and the manifest of its return bundle, as if their signatures were good."""

import json
import os
from itertools import pairwise

from bridge.transfer import receipt, returnmanifest, ustar
from keys import dsse
from keys.errors import VerificationError
from tests.fuzz.harness import Harness
from tests.golden import bundles as golden
from tests.golden.build import HERE, compact


def tried(data: bytes) -> bool:
    """Both readers; each read, written, and read again."""
    return _receipt(data) or _return(data)


def _receipt(data: bytes) -> bool:
    try:
        said = receipt.decode_receipt(data)
    except VerificationError:
        return False
    again = receipt.encode_receipt(said)
    assert receipt.decode_receipt(again) == said
    assert json.loads(again) == json.loads(data)
    for lane in said.lanes:
        spans = [(span.first, span.last) for span in lane.spans]
        assert all(first <= last for first, last in spans)
        assert all(one[1] < two[0] for one, two in pairwise(spans))
    return True


def _return(data: bytes) -> bool:
    try:
        said = returnmanifest.decode_return(data)
    except VerificationError:
        return False
    again = returnmanifest.encode_return(said)
    assert returnmanifest.decode_return(again) == said
    assert json.loads(again) == json.loads(data)
    return True


def seeds() -> list[bytes]:
    """The golden ones."""
    path = HERE / "bundles" / "good.agr"
    with path.open("rb") as file:
        first = next(ustar.members(file.fileno(), path.stat().st_size))
        envelope = dsse.parse(os.pread(file.fileno(), first.size, first.offset), limit=first.size)
    return [compact(golden.receipt()), compact(golden.receipt(lanes=[])), envelope.payload]


HARNESS = Harness(
    "receipt",
    "A receipt reads as any JSON parser reads it, its spans in order, or is refused.",
    tried,
    seeds,
    (b'"state":"pending"', b'"state":"quarantined"', b'"missing":"3-4"', b'"spans":[',
     b'"refused":[', b'"text":""', b'"accepts":[', b"null", b"true", b"1e3"),
    rounds=10000,
)  # fmt: skip
