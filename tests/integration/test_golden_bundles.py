"""The golden bundles: read as ``docs/bundles.md`` says, refused as it says, made by our writer too."""

import json
import re
from pathlib import Path

import pytest
from pyrage.x25519 import Identity

from bridge.transfer import manifest as manifests
from bridge.transfer import receipt as receipts
from bridge.transfer.bundle import Bundle, ReturnBundle, opened
from bridge.transfer.importing import Importer
from bridge.transfer.returnmanifest import encode_return
from keys.ed25519 import PublicKey
from keys.errors import BridgeError
from keys.truststore import TrustStore
from spool.durable import OS_DISK
from spool.ledger import Ledger
from tests.golden import bundles as golden
from tests.golden.build import HERE, SIGNER, STRANGER, SUCCESSOR, Key, compact
from tests.support.spools import HandClock

ROWS: list[dict[str, str]] = json.loads((HERE / "bundles.json").read_bytes())
DOCUMENT = (HERE.parents[1] / "docs" / "bundles.md").read_text(encoding="utf-8")


def trusting(*known: tuple[str, str, Key]) -> TrustStore:
    store = TrustStore()
    for role, name, key in known:
        store = store.with_key(role, name, PublicKey.from_pem(key.pem), key.id)
    return store


trust = trusting(("node", "prod-1", SIGNER), ("relay", "relay-1", STRANGER))
keys = trust.keys_for


def trust_for(name: str) -> TrustStore:
    """Whom the reader trusts when it gets the file ``name``."""
    if name == "revoked.agb":
        successor = PublicKey.from_pem(SUCCESSOR.pem)
        return trust.with_key("node", "prod-1", successor, successor.id).revoke(SIGNER.id, {})
    if name == "rotated-again.agb":
        with opened(HERE / "bundles" / "rotated.agb", keys, None, None) as found:
            return trusting(("node", "prod-1", SIGNER)).rotated("prod-1", found.rotations)
    return trust


def outcome(path: Path, spool: Path) -> str:
    """The error that ``relay-1`` refuses the file with, or something of it; empty if it takes it."""
    store = trust_for(path.name)
    try:
        with opened(path, store.keys_for, Identity.generate(), None) as found:
            if isinstance(found, Bundle):
                after = store.rotated(found.manifest.sender, found.rotations)
                with Ledger.open(spool, clock=HandClock()) as ledger:
                    importer = Importer(spool, ledger, after, "relay-1", OS_DISK)
                    told = importer.take(found, dry_run=True)
                for refusal in told.refused:
                    raise refusal.error
                for problem in told.problems:
                    raise problem
    except BridgeError as error:
        return error.id
    return ""


@pytest.mark.parametrize("file", [row["file"] for row in ROWS])
def test_a_golden_bundle_is_accepted_or_refused_as_it_must_be(file: str, tmp_path: Path) -> None:
    (error,) = (row["error"] for row in ROWS if row["file"] == file)
    assert outcome(HERE / file, tmp_path) == error


def test_the_document_names_every_refusal_of_the_golden_files() -> None:
    for row in ROWS:
        if row["error"]:
            assert f"`{row['error']}`" in DOCUMENT, row
            assert f"`{Path(row['file']).name.partition('.')[0]}`" in DOCUMENT, row


def test_our_codec_makes_the_bytes_that_were_made_by_hand() -> None:
    said = compact(golden.manifest())
    assert manifests.encode(manifests.decode(said)) == said
    said = compact(golden.manifest_2())
    assert manifests.encode(manifests.decode(said, 2)) == said
    told = compact(golden.receipt())
    assert receipts.encode_receipt(receipts.decode_receipt(told)) == told


def test_the_examples_of_the_document_are_the_golden_ones() -> None:
    blocks = re.findall(r"^```json\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert [json.loads(block) for block in blocks[:3]] == [
        golden.manifest(), golden.manifest_2()["elsewhere"], golden.receipt(),
    ]  # fmt: skip
    with opened(HERE / "bundles" / "good.agr", keys, None, None) as found:
        assert isinstance(found, ReturnBundle)
        assert json.loads(blocks[3]) == json.loads(encode_return(found.manifest))
    assert json.loads(blocks[4]) == golden.rotation()


def test_the_limits_of_the_document_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| [^|]+ \| (\d+) \| `(bridge[\w.]+)` \|$", DOCUMENT, re.MULTILINE)
    assert len(rows) >= 8
    for number, name in rows:
        module, _, constant = name.rpartition(".")
        found = __import__(module, fromlist=[constant])
        assert getattr(found, constant) == int(number), name
