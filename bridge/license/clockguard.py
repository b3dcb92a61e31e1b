"""What time it is at least, whatever the wall clock says; pure.

Anchors hold the latest time that was believed, with the boot and the age of the machine's boot at that
moment, and the latest time that the vendor signed. Within a boot time passes as fast as the boot's own
clock, which nobody can set and which counts while the machine sleeps. Across boots it does not go back.
So a wall clock that was set back neither lengthens anything nor goes unseen; one that was put right by
less than the tolerance (leap seconds, small steps of NTP) costs that much and is no alarm.

All times in ms; wall times since 1970 UTC, so that a time zone has no say.
"""

from dataclasses import dataclass, replace

DENIED_MAX = 64
"""Refused nodes that are remembered here, the latest; each entry says it too."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The clocks at a moment: the wall's, which boot it is, and the ms since it (asleep included)."""

    wall: int
    boot_id: str
    since_boot: int


@dataclass(frozen=True, slots=True)
class Anchors:
    """What was believed last.

    ``believed`` is the time at ``since_boot`` of the boot ``boot_id``; ``signed`` the latest ``iat`` of
    a token, or time of a receipt, that was in order. Times in the spool's own records up to
    ``doubted_records`` are not believed any more: a wrong clock wrote them. 0 for what never was.
    ``denied`` are the nodes whose license the beacon refused, and when.
    """

    believed: int
    boot_id: str
    since_boot: int
    signed: int = 0
    doubted_records: int = 0
    denied: tuple[tuple[str, int], ...] = ()

    def denied_at(self, node: str) -> int:
        """When the beacon refused the license of ``node``; 0 if it did not."""
        return dict(self.denied).get(node, 0)

    def with_denied(self, node: str, at: int) -> "Anchors":
        """The same after a refusal at ``at``, or without one (0)."""
        others = [each for each in self.denied if each[0] != node]
        kept = [*others, (node, at)] if at else others
        return replace(self, denied=tuple(kept[-DENIED_MAX:]))


@dataclass(frozen=True, slots=True)
class Now:
    """The time to judge by; ``rolled_back`` if the wall clock is behind it by more than it may be."""

    at: int
    rolled_back: bool


def now_of(anchors: Anchors | None, reading: Reading, records: int, tolerance: int) -> Now:
    """The time at ``reading``, not before any anchor nor the spool's latest record (0: none)."""
    least = _least(anchors, reading, records)
    return Now(max(reading.wall, least), reading.wall < least - tolerance)


def advanced(anchors: Anchors | None, reading: Reading, records: int) -> Anchors:
    """The anchors after ``reading``; none of them ever goes back by it."""
    at = max(reading.wall, _least(anchors, reading, records))
    base = anchors or Anchors(0, "", 0)
    return replace(base, believed=at, boot_id=reading.boot_id, since_boot=reading.since_boot)


def signed_at(
    anchors: Anchors, reading: Reading, records: int, signed: int, tolerance: int
) -> Anchors:
    """The anchors after a token or receipt in order that was signed at ``signed``, seen now.

    One that is later than all before it ends a doubt: while the wall clock is behind what was believed,
    but not behind the signature, the wall clock was wrong before and is right now. The time is
    believed anew from the signature on.
    """
    if signed <= anchors.signed:
        return anchors
    is_behind = now_of(anchors, reading, records, tolerance).rolled_back
    known = replace(anchors, signed=signed)
    if not is_behind or reading.wall < signed - tolerance:
        return known
    return replace(
        known,
        believed=signed,
        boot_id=reading.boot_id,
        since_boot=reading.since_boot,
        # What was written meanwhile may still wait to be sealed; its times are up to this one.
        doubted_records=max(anchors.doubted_records, _least(anchors, reading, records)),
    )


def merged(first: Anchors | None, second: Anchors | None) -> Anchors | None:
    """Of two copies the one that was written last, as far as one can tell: none holds time back."""
    if first is None or second is None:
        return first or second
    return max(first, second, key=lambda each: (each.signed, each.believed))


def _least(anchors: Anchors | None, reading: Reading, records: int) -> int:
    if anchors is None:
        return records
    passed = 0
    if reading.boot_id == anchors.boot_id:
        passed = max(0, reading.since_boot - anchors.since_boot)
    believed_records = records if records > anchors.doubted_records else 0
    return max(anchors.believed + passed, anchors.signed, believed_records)
