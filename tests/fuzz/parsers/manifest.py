"""The manifest of a bundle, as if its signature were good."""

import json

from bridge.transfer import manifest
from bridge.transfer.fields import SEGMENTS_MAX
from keys.errors import VerificationError
from tests.fuzz.harness import Harness
from tests.golden import bundles as golden
from tests.golden.build import compact


def tried(data: bytes) -> bool:
    """Read, written, and read again, in both versions; and what Python's own parser reads."""
    read = {version: _read(data, version) for version in manifest.PAYLOAD_TYPES}
    return any(read.values())


def _read(data: bytes, version: int) -> bool:
    try:
        said = manifest.decode(data, version)
    except VerificationError:
        return False
    again = manifest.encode(said)
    assert manifest.decode(again, version) == said
    assert json.loads(again) == json.loads(data)
    assert len(said.members) <= SEGMENTS_MAX
    assert {each.node for each in said.members} <= {each.node for each in said.lanes}
    return True


def seeds() -> list[bytes]:
    """The golden one, and some of its kind."""
    changed = [golden.manifest(note="", received=0), golden.manifest(serial=2**53)]
    runs = golden.manifest_2()["elsewhere"]
    longer = [*runs, runs[0] | {"first": 9, "last": 9}]
    other = [runs[0] | {"stream": "logs", "chain": "0" * 32}, *runs]
    changed += [golden.manifest_2(elsewhere=each) for each in ([], runs, longer, other)]
    return [compact(each) for each in (golden.manifest(), *changed)]


HARNESS = Harness(
    "manifest",
    "A manifest reads as any JSON parser reads it, and written again says the same, or is refused.",
    tried,
    seeds,
    (b'"ranges":"1-2"', b'"members":[', b'"lost":[', b'"rotations":[', b'"elsewhere":[',
     b'"first":', b'"last":', b"9007199254740991",
     b"segments/prod-1/transactions/000000000003.ndjson.zst", b"null", b"true", b"1e3", b"../",
     b"\\u202e"),
    rounds=15000,
)  # fmt: skip
