"""Machines of the golden files, and bundles around a segment: what attacks on a crossing are made of.

``relay-1`` trusts the golden signer as node ``prod-1``; ``prod-1`` trusts the golden stranger as relay
``relay-1`` and holds the segments that the golden receipt is about.
"""

import hashlib
import io
import json
import re
import tarfile
from base64 import b64decode
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spool.head import Head, folder_mark, write_head
from spool.lane import Lane
from spool.ranges import Range, format_ranges, join_ranges
from spool.totals import Totals
from tests.golden import build
from tests.golden import bundles as golden
from tests.golden.bad import GOOD
from tests.golden.build import CHAIN, LINES, compact, statement
from tests.golden.good import good
from tests.support.attacks import Command, Home, golden_key, make_home
from tests.support.spools import FAST

SIGNER, STRANGER, SUCCESSOR = (golden_key(name) for name in ("signer", "stranger", "successor"))
NODE, RELAY, LANE = "prod-1", "relay-1", "spool/prod-1"
"""Names, and where the node's lanes lie in the state of a home."""


def relay(folder: Path) -> Home:
    """The relay; it has taken nothing yet."""
    home = make_home(folder, RELAY, STRANGER)
    home.trust("node", NODE, SIGNER.public)
    return home


def node(folder: Path) -> Home:
    """The node, with two segments that it sealed."""
    home = make_home(folder, NODE, SIGNER)
    home.trust("relay", RELAY, STRANGER.public)
    lane = Lane(home.spool, NODE, "transactions")
    held = chain(2)
    for each in held:
        path = lane.segment(each.seq)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(each.data)
    lane.open.mkdir()
    set_head(lane, held)
    assert home.run("export", "--to", home.stick, "--dry-run").code == 0
    return home


def set_head(lane: Lane, held: Sequence["Held"]) -> None:
    """The head of a lane that holds these from its beginning on."""
    lines = b"".join(each.lines for each in held)
    after = Totals(lines.count(b"\n"), len(lines))
    head = Head(CHAIN, 1, held[-1].seq, held[-1].digest, after, folder_mark(lane))
    write_head(FAST, lane, head)


def payload_of(segment: bytes) -> bytes:
    """The statement of a segment, if it can be found at all."""
    with suppress(ValueError, KeyError, TypeError, IndexError):
        total = int.from_bytes(segment[-4:], "little")
        return b64decode(json.loads(segment[-total + 8 : -4])["payload"])
    return b""


@dataclass(frozen=True, slots=True)
class Held:
    """A segment in a bundle: under which number, its bytes, and the lines that it should have."""

    seq: int
    data: bytes
    lines: bytes

    @property
    def digest(self) -> str:
        return hashlib.sha256(payload_of(self.data)).hexdigest()

    @property
    def name(self) -> str:
        return f"segments/prod-1/transactions/{self.seq:012d}.ndjson.zst"


def bundle_of(*held: Held, **changes: object) -> bytes:
    """A bundle with these segments, as a node would write it that took them for good."""
    said = golden.manifest(**changes)
    said["members"] = [
        {"name": each.name, "size": len(each.data), "digest": each.digest} for each in held
    ]
    told = [statement_of(each.data) for each in held]
    times = [one for one in told if one["first_at"]] or [statement_of(b"")]
    some = any(each.lines for each in held)
    said["lanes"][0] |= {
        "ranges": format_ranges(join_ranges(Range(each.seq, each.seq) for each in held)),
        "records": sum(each.lines.count(b"\n") for each in held),
        "raw_size": sum(len(each.lines) for each in held),
        "first_at": times[0]["first_at"] if some else None,
        "last_at": times[-1]["last_at"] if some else None,
        "head": {"chain": told[-1]["chain"], "seq": held[-1].seq, "digest": held[-1].digest},
        "lost": [
            {"ranges": one["lost"]["ranges"], "records": one["lost"]["records"]}
            for one in told
            if one["reason"] == "loss" and "lost" in one and one["lost"]["ranges"] == ""
        ],
    }
    sealed = golden.envelope(compact(said), golden.BUNDLE, build.SIGNER)
    members = [(each.name, each.data) for each in held]
    return golden.ustar([("manifest.dsse.json", sealed), *members])


def statement_of(segment: bytes) -> dict[str, Any]:
    """What the seal of a segment says; of one that says nothing, what the good one says."""
    with suppress(ValueError):
        told = json.loads(payload_of(segment))
        if isinstance(told, dict) and re.fullmatch("[0-9a-f]{32}", str(told.get("chain"))):
            return statement(b"", LINES) | told
    found: dict[str, Any] = json.loads(payload_of(GOOD))
    return found


def chain(count: int) -> list[Held]:
    """The first segments of the golden chain."""
    found = [each for each in good() if each.name.startswith("transactions-00000000000")]
    return [Held(seq, each.data, each.lines) for seq, each in enumerate(found[:count], 1)]


def importing(data: bytes, name: str = "came.agb") -> Callable[[Home], Command]:
    """To import these bytes."""
    return lambda home: ("import", "--json", home.put(name, data))


def verifying(data: bytes) -> Callable[[Home], Command]:
    """To verify these bytes as a segment of the node."""
    return lambda home: (
        "verify", "--json", "--key", home.put("key.pem", SIGNER.public.pem()),
        home.put("came.ndjson.zst", data),
    )  # fmt: skip


VERIFY_GOOD = verifying(GOOD)
IMPORT_ONE = importing(bundle_of(Held(1, GOOD, LINES)))
"""The twins of every bad segment."""
_HELD = {each.name: each.data for each in golden.bundles()}
IMPORT_GOOD = importing(_HELD["good.agb"])
IMPORT_RETURN = importing(_HELD["good.agr"])


def members_of(name: str) -> list[tuple[str, bytes]]:
    """The members of the golden bundle of this name."""
    with tarfile.open(fileobj=io.BytesIO(_HELD[name])) as tar:
        return [(each.name, tar.extractfile(each).read()) for each in tar]  # type: ignore[union-attr]


def spki(raw: bytes) -> bytes:
    """The DER of a public key that has these 32 bytes, whatever they are (RFC 8410)."""
    return bytes.fromhex("302a300506032b6570032100") + raw


def golden_bundle(name: str) -> bytes:
    """The golden bundle of this name."""
    return _HELD[name]
