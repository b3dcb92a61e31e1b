"""Inputs near good ones, the same for the same seed: a short run for the tests, without an engine."""

import random
from collections.abc import Iterator, Sequence

CHANGES_MAX = 4
SPAN_MAX = 32


def mutations(
    inputs: Sequence[bytes], words: Sequence[bytes], *, rounds: int, size_max: int, seed: int
) -> Iterator[bytes]:
    """``rounds`` changed copies of ``inputs``, at most ``size_max`` bytes each."""
    dice = random.Random(seed)
    for _ in range(rounds):
        data = dice.choice(inputs)
        for _ in range(dice.randint(1, CHANGES_MAX)):
            data = _changed(data, inputs, words, dice)
        yield data[:size_max]


def _changed(
    data: bytes, inputs: Sequence[bytes], words: Sequence[bytes], dice: random.Random
) -> bytes:
    at = dice.randint(0, len(data))
    end = min(at + dice.randint(0, SPAN_MAX), len(data))
    other = dice.choice(inputs)
    start = dice.randint(0, len(other))
    bit = bytes([data[at] ^ 1 << dice.randrange(8)]) if at < len(data) else b""
    new, rest = dice.choice(
        (
            (bit, data[at + 1 :]),
            (dice.randbytes(dice.randint(1, 4)), data[end:]),
            (b"", data[end:]),
            (data[at:end], data[at:]),
            (other[start : start + dice.randint(1, 8 * SPAN_MAX)], data[end:]),
            (dice.choice(words), data[dice.choice((at, end)) :]),
            (dice.choice((b"0", b"9", b"-", b"\0", b"\xff", b"\n")), data[at + 1 :]),
        )
    )
    return data[:at] + new + rest
