"""The file of anchors, twice: what time it was at least, sealed with the node's key.

One copy is written after the other, so that a crash leaves one whole. Where both are gone or
damaged the anchors are lost: that is said, and they begin anew at what the spool's own records and
the kept token tell. Who can put an older copy of the whole spool in place can do it with these files
too: docs/license.md says what that is worth.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from bridge.license.clockguard import DENIED_MAX, Anchors, merged
from keys import dsse
from keys.ed25519 import PublicKey, SigningKey
from keys.errors import VerificationError
from keys.strictjson import Fields, loads
from spool.clock import WALL_MS_MAX
from spool.durable import Disk, make_folders, replace_file
from spool.lane import NODE_NAME
from spool.safefile import read_whole

PAYLOAD_TYPE = "application/vnd.airgap-bridge.anchors.v1+json"
FILE_MAX = 16 * 1024
"""Bytes; ours have about 700, and 130 for each node that was refused."""
_TIME_MAX = 2 * WALL_MS_MAX
NAMES = ("anchors", "anchors.twin")


@dataclass(frozen=True, slots=True)
class Found:
    """The anchors, None where there are none; ``damaged`` names files that are not what was kept."""

    anchors: Anchors | None
    damaged: tuple[str, ...] = ()


def write_anchors(disk: Disk, spool: Path, anchors: Anchors, signer: SigningKey) -> None:
    """Keep them durably, one copy after the other. Raises :class:`OSError`."""
    sealed = dsse.seal(PAYLOAD_TYPE, _encode(anchors), [signer])
    folder = spool / "license"
    make_folders(disk, spool, folder)
    for name in NAMES:
        replace_file(disk, folder / name, sealed)


def read_anchors(spool: Path, keys: Mapping[str, PublicKey]) -> Found:
    """What one of ``keys`` sealed last. Raises :class:`OSError`."""
    found: Anchors | None = None
    damaged = []
    for name in NAMES:
        try:
            data = read_whole(spool / "license" / name, FILE_MAX, own=True)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except VerificationError:
            damaged.append(name)
            continue
        try:
            found = merged(found, _decode(data, keys))
        except VerificationError:
            damaged.append(name)
    return Found(found, tuple(damaged))


def _encode(anchors: Anchors) -> bytes:
    denied = [{"node": node, "at": at} for node, at in anchors.denied]
    return orjson.dumps({"v": 1, **asdict(anchors), "denied": denied})


def _denied(fields: Fields) -> tuple[str, int]:
    found = fields.text("node", NODE_NAME), fields.integer("at", 0, _TIME_MAX)
    fields.done()
    return found


def _decode(data: bytes, keys: Mapping[str, PublicKey]) -> Anchors:
    envelope = dsse.parse(data, limit=FILE_MAX)
    envelope.expect(PAYLOAD_TYPE)
    envelope.verify(keys)
    fields = Fields(loads(envelope.payload, limit=FILE_MAX), "file of anchors")
    fields.integer("v", 1, 1)
    anchors = Anchors(
        believed=fields.integer("believed", 0, _TIME_MAX),
        boot_id=fields.text("boot_id", r"[0-9a-f-]{0,64}"),
        since_boot=fields.integer("since_boot", 0, _TIME_MAX),
        signed=fields.integer("signed", 0, _TIME_MAX),
        doubted_records=fields.integer("doubted_records", 0, _TIME_MAX),
        denied=tuple(map(_denied, fields.objects("denied", 0, DENIED_MAX))),
    )
    fields.done()
    return anchors
