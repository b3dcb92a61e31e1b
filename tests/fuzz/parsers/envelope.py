"""The signed envelope around every control document."""

import base64
import json

from keys import dsse
from keys.ed25519 import SIGNATURE_SIZE
from keys.errors import VerificationError
from tests.fuzz.harness import Harness
from tests.golden.build import SIGNER, STRANGER, envelope, signature

LIMIT = 64 * 1024


def tried(data: bytes) -> bool:
    """Against Python's own JSON and base64."""
    try:
        found = dsse.parse(data, limit=LIMIT)
    except VerificationError:
        return False
    told = json.loads(data)
    assert sorted(told) == ["payload", "payloadType", "signatures"]
    assert told["payloadType"] == found.payload_type
    assert told["payload"] == base64.b64encode(found.payload).decode()
    assert 1 <= len(found.signatures) <= dsse.SIGNATURES_MAX
    for said, each in zip(told["signatures"], found.signatures, strict=True):
        assert said == {"keyid": each.keyid, "sig": base64.b64encode(each.sig).decode()}
        assert len(each.sig) == SIGNATURE_SIZE
    return True


def seeds() -> list[bytes]:
    """With one signature, with two, and with none."""
    payload = b'{"v":1}'
    both = [signature(payload), signature(payload, STRANGER)]
    return [envelope(payload), envelope(payload, both), envelope(payload, [])]


HARNESS = Harness(
    "envelope",
    "An envelope has one reading, the one that JSON and base64 give it, or is refused.",
    tried,
    seeds,
    (b'"payload":"', b'"payloadType":', b'"signatures":[', b'"sig":"', b"==", b",", b"\\u0070",
     SIGNER.id.encode()),
    rounds=20000,
)  # fmt: skip
