"""The golden bundles: read as ``docs/bundles.md`` says, refused as it says, made by our writer too."""

import json
import re
from pathlib import Path

import pytest

from bridge.transfer import manifest as manifests
from bridge.transfer import receipt as receipts
from bridge.transfer.bundle import Bundle, ReturnBundle, opened
from keys.ed25519 import PublicKey
from keys.errors import VerificationError
from keys.truststore import TrustStore
from spool.frames import FrameDecoder
from spool.statement import Statement
from tests.golden import bundles as golden
from tests.golden.build import HERE, SIGNER, STRANGER, Key, compact

ROWS: list[dict[str, str]] = json.loads((HERE / "bundles.json").read_bytes())
DOCUMENT = (HERE.parents[1] / "docs" / "bundles.md").read_text(encoding="utf-8")


def trusting(*known: tuple[str, str, Key]) -> TrustStore:
    store = TrustStore()
    for role, name, key in known:
        store = store.with_key(role, name, PublicKey.from_pem(key.pem), key.id)
    return store


keys = trusting(("node", "prod-1", SIGNER), ("relay", "relay-1", STRANGER)).keys_for


def outcome(path: Path) -> str:
    try:
        with opened(path, keys, None, None) as found:
            if isinstance(found, Bundle):
                held: dict[tuple[str, str], list[Statement]] = {}
                for packed in found.manifest.members:
                    with found.segment(packed) as segment:
                        segment.check_digest()
                        segment.check_signature(keys("node", packed.node, found.rotations))
                        for _ in segment.raw_frames(FrameDecoder()):
                            pass
                        held.setdefault(packed.lane, []).append(segment.statement)
                for problem in manifests.unlike(found.manifest, held):
                    raise problem
    except VerificationError as error:
        return error.id
    return ""


@pytest.mark.parametrize("file", [row["file"] for row in ROWS])
def test_a_golden_bundle_is_accepted_or_refused_as_it_must_be(file: str) -> None:
    (error,) = (row["error"] for row in ROWS if row["file"] == file)
    assert outcome(HERE / file) == error


def test_the_document_names_every_refusal_of_the_golden_files() -> None:
    for row in ROWS:
        if row["error"]:
            assert f"`{row['error']}`" in DOCUMENT, row
            assert Path(row["file"]).stem in DOCUMENT, row


def test_our_codec_makes_the_bytes_that_were_made_by_hand() -> None:
    said = compact(golden.manifest())
    assert manifests.encode(manifests.decode(said)) == said
    told = compact(golden.receipt())
    assert receipts.encode_receipt(receipts.decode_receipt(told)) == told


def test_the_examples_of_the_document_are_the_golden_ones() -> None:
    blocks = re.findall(r"^```json\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert [json.loads(block) for block in blocks[:2]] == [golden.manifest(), golden.receipt()]
    with opened(HERE / "bundles" / "good.agr", keys, None, None) as found:
        assert isinstance(found, ReturnBundle)
        assert json.loads(blocks[2]) == json.loads(receipts.encode_return(found.manifest))
    assert json.loads(blocks[3]) == golden.rotation()


def test_the_limits_of_the_document_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| [^|]+ \| (\d+) \| `(bridge[\w.]+)` \|$", DOCUMENT, re.MULTILINE)
    assert len(rows) >= 8
    for number, name in rows:
        module, _, constant = name.rpartition(".")
        found = __import__(module, fromlist=[constant])
        assert getattr(found, constant) == int(number), name
