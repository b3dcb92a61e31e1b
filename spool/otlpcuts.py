"""OTLP elements cut apart and put together again: by size, by severity, around what is secret.

Nothing is written anew: each piece is the sender's bytes, under the resource and scope that it came
with.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from spool.abandoning import checkpoint
from spool.jsonparts import cut_at, elements
from spool.secrets import SecretGuard

ENVELOPE_MAX = 256 * 1024
"""Bytes of a resource or scope that are repeated in each piece; more could multiply a body."""

Wanted = Callable[[Mapping[str, Any]], bool]
"""Whether a record, parsed, is kept."""


def only_wanted(
    raws: Iterable[msgspec.Raw],
    values: Iterable[Mapping[str, Any]],
    names: tuple[str, ...],
    wanted: Wanted,
) -> list[bytes]:
    """Those of ``raws``, whose parsed ``values`` are given too, that hold what is wanted.

    Where nothing goes, nothing is written anew.
    """
    kept: list[bytes] = []
    for element, value in zip(map(bytes, raws), values, strict=True):
        checkpoint()
        if not names:
            if wanted(value):
                kept.append(element)
            continue
        inner = _array_in(element, names)
        if inner is None:
            kept.append(element)
            continue
        before, children, after = inner
        some = only_wanted(children, value[names[0]], names[1:], wanted)
        if some == list(map(bytes, children)):
            kept.append(element)
        elif some:
            kept.append(b"%b%b%b" % (before, b",".join(some), after))
    return kept


def without_secrets(
    raws: Iterable[msgspec.Raw], names: tuple[str, ...], guard: SecretGuard
) -> tuple[list[bytes], int]:
    """Those of ``raws`` that hold no secret, whole or in part, and how many records went."""
    kept: list[bytes] = []
    dropped = 0
    for element in map(bytes, raws):
        checkpoint()
        if not guard.found_in(element):
            kept.append(element)
            continue
        inner = _array_in(element, names)
        if inner is None:
            dropped += 1
            continue
        before, children, after = inner
        some, gone = without_secrets(children, names[1:], guard)
        rest = b"%b%b%b" % (before, b",".join(some), after)
        if guard.found_in(rest):
            dropped += max(1, count(element, names))
        else:
            dropped += gone
            kept += [rest] * bool(some)
    return kept, dropped


def count(element: bytes, names: tuple[str, ...]) -> int:
    """How many records an element holds; a record is one."""
    checkpoint()
    if not names:
        return 1
    inner = _array_in(element, names)
    return 0 if inner is None else sum(count(bytes(raw), names[1:]) for raw in inner[1])


def pieces(raws: Iterable[msgspec.Raw], names: tuple[str, ...], room: int) -> Iterator[bytes]:
    """``raws`` in their order, those over ``room`` bytes in pieces where they can be split."""
    for raw in raws:
        checkpoint()
        inner = None if len(raw) <= room else _array_in(raw, names)
        if inner is None or len(inner[0]) + len(inner[2]) > ENVELOPE_MAX:
            yield bytes(raw)
            continue
        before, children, after = inner
        left = room - len(before) - len(after)
        for group in packed(pieces(children, names[1:], left), left):
            yield b"%b%b%b" % (before, group, after)


def packed(pieces: Iterable[bytes], room: int) -> Iterator[bytes]:
    """``pieces`` joined by commas, as many as ``room`` bytes hold; a larger one stands alone."""
    group: list[bytes] = []
    held = 0
    for piece in pieces:
        if group and held + len(piece) > room:
            yield b",".join(group)
            group, held = [], 0
        group.append(piece)
        held += len(piece) + 1
    if group:
        yield b",".join(group)


def _array_in(
    element: bytes | msgspec.Raw, names: tuple[str, ...]
) -> tuple[bytes, list[msgspec.Raw], bytes] | None:
    """What stands around the elements of the array ``names[0]``, and they; None without it."""
    cut = cut_at(element, names[0]) if names else None
    if cut is None or bytes(cut[1]) == b"null":
        return None
    before, array, after = cut
    return before + b"[", elements(array), b"]" + after
