"""The seal at the end of a segment, and the statement that it holds."""

import os

from keys.ed25519 import PublicKey
from keys.errors import VerificationError
from spool.frames import FrameDecoder
from spool.segment import SEAL_MAGIC, Segment
from tests.fuzz.harness import Harness
from tests.golden.build import HERE, LINES, SIGNER, envelope, frame, seal

KEYS = {SIGNER.id: PublicKey.from_pem(SIGNER.pem)}
GOOD = sorted((HERE / "good").glob("*.zst"))
BAD = sorted((HERE / "bad").glob("*.zst"))
SAID = {path.read_bytes() for path in GOOD}


def tried(data: bytes) -> bool:
    """Every check of a reader, in its order."""
    fd = os.memfd_create("seal")
    os.write(fd, data)
    try:
        with Segment(fd) as segment:
            assert segment.stored_size == len(data)
            assert data[segment.seal_offset :].startswith(SEAL_MAGIC)
            assert segment.statement.size == segment.seal_offset
            segment.check_digest()
            segment.check_signature(KEYS)
            for _ in segment.raw_frames(FrameDecoder()):
                pass
    except VerificationError:
        return False
    assert data in SAID
    return True


def seeds() -> list[bytes]:
    """All golden files that are small; of envelopes alone, under a seal that fits."""
    held = [path.read_bytes() for path in (*GOOD, *BAD)]
    return [*(each for each in held if len(each) < 4096), frame(LINES) + seal(envelope(b"{}"))]


HARNESS = Harness(
    "seal",
    "A file is taken for a segment only if it is byte for byte one that our key sealed.",
    tried,
    seeds,
    (SEAL_MAGIC, b"\x0c\0\0\0", b'"payload":"', b'"signatures":[', b'"keyid":"', b"=="),
    rounds=5000,
)
