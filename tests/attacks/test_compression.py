"""Compression and lines (48 to 61): no memory for what bytes merely claim; whole lines or nothing."""

import lzma
from collections.abc import Callable

import pytest

from tests.attacks.segments import golden_segments
from tests.golden.bad import GOOD
from tests.golden.build import LINES, signed, statement
from tests.support.attacks import Arena, Attack, Command, Home, each, ids
from tests.support.crossings import SIGNER, VERIFY_GOOD, relay, verifying

REFUSED = 4
GOLDEN = list(
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
ATTACKS = [
    *GOLDEN,
    Attack(58, "xz", verifying(lzma.compress(LINES * 20)), "segment.no_seal", REFUSED, VERIFY_GOOD),
]


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Arena:
    return Arena(tmp_path_factory.mktemp("relays"), relay)


@each(ATTACKS)
def test_attack(arena: Arena, attack: Attack) -> None:
    arena.check(attack)


FRAMES = GOOD[: GOOD.index(b"\x5b\x2a\x4d\x18")]
SEAL = GOOD[len(FRAMES) :]
CUTS: dict[str, tuple[Callable[[int], bytes], int, set[str]]] = {
    "the-file": (lambda size: GOOD[:size], len(GOOD), {"segment.blank", "segment.no_seal"}),
    "its-frames": (lambda size: FRAMES[:size] + SEAL, len(FRAMES), {"segment.size"}),
}


@pytest.mark.parametrize("what", list(CUTS))
def test_attack_053_a_segment_cut_at_any_byte_is_refused(arena: Arena, what: str) -> None:
    cut, whole, errors = CUTS[what]

    def laid(sizes: range) -> Callable[[Home], Command]:
        def made(home: Home) -> Command:
            folder = home.stick / "cut"
            folder.mkdir()
            for size in sizes:
                (folder / f"{size:05d}.ndjson.zst").write_bytes(cut(size))
            return ("verify", "--json", "--key", home.put("k.pem", SIGNER.public.pem()), folder)

        return made

    attack = Attack(
        53, what, laid(range(whole)), min(errors), REFUSED, laid(range(whole, whole + 1))
    )
    told = arena.check(attack)
    assert set(ids(told)) == errors
    assert len(ids(told)) == whole == len(told.answer["items"])


def test_attack_053_frames_cut_at_any_byte_are_refused_also_where_the_node_signed_them(
    arena: Arena,
) -> None:
    home = arena.fresh()
    before = home.state()
    for size in range(1, len(FRAMES)):
        cut = FRAMES[:size]
        told = home.run(*verifying(signed(cut, statement(cut, LINES)))(home))
        assert (told.code, ids(told)) == (REFUSED, ["frame.truncated"]), size
    assert home.state() == before
    assert home.run(*verifying(signed(FRAMES, statement(FRAMES, LINES)))(home)).code == 0
