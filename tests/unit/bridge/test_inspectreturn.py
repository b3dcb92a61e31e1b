"""Who lets a return bundle in has read every word in it that is not ours."""

from bridge.cli.inspectreturn import return_told
from bridge.transfer.bundle import ReturnBundle
from bridge.transfer.receipt import Fork, LaneReceipt, Receipt, Refused, Span
from bridge.transfer.returnmanifest import FORMATS, Return
from keys.ed25519 import SigningKey
from keys.rotation import read_rotation, seal_rotation

OLD, NEW = SigningKey(bytes([1]) * 32), SigningKey(bytes([2]) * 32)


def test_the_beacons_words_on_forks_are_shown_like_all_others_and_so_are_changes_of_keys() -> None:
    span = Span("c" * 32, 7, 7, "delivered", "d" * 64)
    lane = LaneReceipt(
        "logs",
        (),
        (Refused(3, 0, 422, "refused", "of the lane"),),
        (),
        0,
        (Fork(span, (Refused(7, 1, 413, "too_large", "of the fork"),)),),
    )
    manifest = Return("a" * 32, 1, 0, "relay-1", "inside", FORMATS, ())
    change = read_rotation(seal_rotation(1, "relay-1", "2026-11-23T09:00:00.000Z", OLD, NEW))
    receipt = Receipt(1, 0, "relay-1", "inside", (lane,))
    answer, lines = return_told(ReturnBundle(manifest, receipt, None, NEW.public, (change,)))
    (told,) = answer["lanes"]
    assert told["texts"] == ["of the fork", "of the lane"]
    text = "\n".join(lines)
    assert "the beacon's words: of the fork" in text
    assert "2 records refused (refused, too_large)" in text
    assert f"key {NEW.public.id[:16]} took over from {OLD.public.id[:16]}" in text
