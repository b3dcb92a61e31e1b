"""``scripts/audit.sh`` and our reader give the same verdict on well signed nonsense.

Frames and statements are changed at random (always the same way) and sealed with the right key, so
that signature and digest are good and everything after them is put to the test.
"""

import random
import subprocess
from pathlib import Path

import pytest

from keys.ed25519 import SigningKey
from keys.errors import VerificationError
from spool.frames import FrameDecoder
from spool.segment import Segment
from tests.golden.build import (
    HERE,
    LINES,
    ZEROS,
    compact,
    envelope,
    frame,
    seal,
    signed,
    statement,
    windowed,
)

SCRIPT = HERE.parents[1] / "scripts" / "audit.sh"
KEYS = {key.id: key for key in [SigningKey(bytes(range(32))).public]}
FRAMES = frame(LINES) + windowed(LINES)
VALUES: tuple[object, ...] = (
    *(None, True, 0, 1, -1, 1.5, 2**53 - 1, "", "0", "1" * 64, ZEROS, "0" * 32, [], {}),
    *("recovered", "loss", "heartbeat", "license", "prod-1\n", "2026-11-23T09:00:60.000Z"),
    *("1969-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z", "2026-11-23T09:00:09.250Z"),
    {"records": 0, "raw_size": 0},
    {"ranges": "1", "records": 1, "raw_size": 2, "why": "x"},
    {"chain": "1" * 32, "seq": 0, "digest": ZEROS, "why": "moved"},
)
CASES = 30
"""Of each kind; one run of the script judges all of them."""


def _changed_frames(chance: random.Random) -> bytes:
    frames = bytearray(FRAMES)
    first = len(frame(LINES))
    at = chance.choice([chance.randrange(14), first + chance.randrange(14)])
    frames[at] ^= 1 << chance.randrange(8)
    return signed(bytes(frames), statement(bytes(frames), LINES * 2))


def _changed_fields(chance: random.Random) -> bytes:
    said = statement(FRAMES, LINES * 2)
    said[chance.choice([*said, "follows", "lost", "of"])] = chance.choice(VALUES)
    if chance.randrange(2):
        said["seq"] = chance.choice([1, 2, 10**6])
        said["prev"] = chance.choice([ZEROS, "1" * 64])
    return signed(FRAMES, said)


def _changed_text(chance: random.Random) -> bytes:
    payload = bytearray(compact(statement(FRAMES, LINES * 2)))
    payload[chance.randrange(len(payload))] = chance.randrange(0x21, 0x7F)
    return FRAMES + seal(envelope(bytes(payload)))


def _ours(path: Path) -> str:
    try:
        with Segment.open(path) as segment:
            segment.check_digest()
            segment.check_signature(KEYS)
            list(segment.raw_frames(FrameDecoder()))
    except VerificationError:
        return "BAD"
    return "ok"


@pytest.mark.parametrize("change", [_changed_frames, _changed_fields, _changed_text])
def test_the_script_and_our_reader_agree(change: object, tmp_path: Path) -> None:
    assert callable(change)
    chance = random.Random(20261123)
    paths = []
    for n in range(CASES):
        # A folder each: they are no chain.
        (tmp_path / f"{n:03}").mkdir()
        paths.append(tmp_path / f"{n:03}" / "changed.ndjson.zst")
        paths[-1].write_bytes(change(chance))
    (tmp_path / "000" / "changed.ndjson.zst").write_bytes(
        signed(FRAMES, statement(FRAMES, LINES * 2))
    )
    done = subprocess.run(
        [SCRIPT, HERE / "keys" / "signer.pub.pem", *paths],
        capture_output=True,
        text=True,
        check=False,
    )
    theirs = [line.partition(" ")[0] for line in done.stdout.splitlines()]
    assert theirs == [_ours(path) for path in paths]
    assert theirs[0] == "ok"
    assert "BAD" in theirs
