"""What is kept of one node's license: the vendor's token as it came, or that it was refused.

The file is sealed with the node's key (DSSE), so that a change is seen also where nobody can verify
the token itself. The seal says who kept it, not that the token is good: that is judged at every read.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import orjson

from keys import dsse
from keys.ed25519 import PublicKey, SigningKey
from keys.strictjson import Fields, loads
from keys.tokens import TOKEN_MAX
from spool.clock import WALL_MS_MAX
from spool.durable import Disk, make_folders, replace_file
from spool.safefile import read_whole

PAYLOAD_TYPE = "application/vnd.airgap-bridge.license.v1+json"
FILE_MAX = 2 * TOKEN_MAX + 8192
"""Bytes of the file: the token in base64, and little else."""
Source = Literal["beacon", "import", "return"]
SOURCES: tuple[Source, ...] = ("beacon", "import", "return")
_TOKEN = rf"[A-Za-z0-9_.-]{{0,{TOKEN_MAX}}}"
_MARK_PURPOSE = b"airgap-bridge license key 1\0"


@dataclass(frozen=True, slots=True)
class Entry:
    """A token, or a refusal (``refused`` is the beacon's status then, else 0, and the token empty).

    ``mark`` tells of which license key (:func:`mark_of`), empty where nobody knew one; ``got_at`` in
    ms since 1970 UTC.
    """

    node: str
    token: str
    source: Source
    got_at: int
    mark: str = ""
    refused: int = 0

    def __repr__(self) -> str:
        return f"Entry({self.node}, {self.source}, {self.got_at}, refused={self.refused})"


def mark_of(license_key: str) -> str:
    """A digest of the key, that says nothing of it and equals no other digest of it anywhere."""
    return hashlib.sha256(_MARK_PURPOSE + license_key.encode("utf-8", "surrogatepass")).hexdigest()


def binding_of(license_key: str) -> str:
    """How a token names its license: the SHA-256 of the key, in hex."""
    return hashlib.sha256(license_key.encode("utf-8", "surrogatepass")).hexdigest()


def entry_path(spool: Path, node: str) -> Path:
    """Where the entry of ``node`` lies."""
    return spool / "license" / f"{node}.json"


def write_entry(disk: Disk, spool: Path, entry: Entry, signer: SigningKey) -> None:
    """Put ``entry`` in the place of the last one, durably. Raises :class:`OSError`."""
    payload = orjson.dumps(
        {
            "v": 1,
            "node": entry.node,
            "token": entry.token,
            "source": entry.source,
            "got_at": entry.got_at,
            "mark": entry.mark,
            "refused": entry.refused,
        }
    )
    path = entry_path(spool, entry.node)
    make_folders(disk, spool, path.parent)
    replace_file(disk, path, dsse.seal(PAYLOAD_TYPE, payload, [signer]))


def read_entry(spool: Path, node: str, keys: Mapping[str, PublicKey]) -> Entry | None:
    """The entry of ``node``, None where there is none.

    Raises :class:`VerificationError` where what lies there is not what one of ``keys`` sealed for
    this node, or :class:`OSError`.
    """
    try:
        data = read_whole(entry_path(spool, node), FILE_MAX, own=True)
    except (FileNotFoundError, NotADirectoryError):
        return None
    envelope = dsse.parse(data, limit=FILE_MAX)
    envelope.expect(PAYLOAD_TYPE)
    envelope.verify(keys)
    fields = Fields(loads(envelope.payload, limit=FILE_MAX), "kept license")
    fields.integer("v", 1, 1)
    entry = Entry(
        node=fields.choice("node", (node,)),
        token=fields.text("token", _TOKEN),
        source=cast("Source", fields.choice("source", SOURCES)),
        got_at=fields.integer("got_at", 0, WALL_MS_MAX),
        mark=fields.text("mark", r"(?:[0-9a-f]{64})?"),
        refused=fields.integer("refused", 0, 599),
    )
    fields.done()
    return entry
