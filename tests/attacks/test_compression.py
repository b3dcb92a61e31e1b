"""Compression and lines (48 to 61): no memory for what bytes merely claim; whole lines or nothing."""

import pytest

from tests.attacks.segments import golden_segments
from tests.support.attacks import Arena, Attack, each
from tests.support.crossings import relay

ATTACKS = list(
    golden_segments(
        {
            48: ["bomb-1-gib", "claims-8-mib-and-one", "window-16-mib", "block-too-large"],
            49: ["bomb-without-size", "no-content-size"],
            51: ["claims-4-gib", "bomb-that-lies", "holds-less-than-stated", "holds-more-than-stated"],
            53: [
                "truncated-by-a-byte", "truncated-in-the-seal", "frame-truncated",
                "frame-truncated-in-a-block", "frame-truncated-in-the-header", "frame-without-end",
            ],
            55: ["checksum-flipped", "no-checksum"],
            56: ["dictionary"],
            58: ["gzip", "plain-text", "gzip-under-a-seal", "old-magic", "other-skippable-magic"],
            59: ["line-without-end", "line-over-two-frames"],
            61: ["line-blank", "line-blank-first"],
        }
    )
)  # fmt: skip


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Arena:
    return Arena(tmp_path_factory.mktemp("relays"), relay)


@each(ATTACKS)
def test_attack(arena: Arena, attack: Attack) -> None:
    arena.check(attack)
