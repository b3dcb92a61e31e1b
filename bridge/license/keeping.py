"""Keeps the vendor's tokens, one a node, beside the anchors of the clock guard.

For any number of processes: whoever writes holds a lock. Everything is read and judged anew each time;
nothing that lies on the disk is believed. A token takes the place of another only if it is better, or
the beacon refused meanwhile.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bridge.license.anchors import Found, read_anchors, write_anchors
from bridge.license.clockguard import Anchors, Now, Reading, advanced, merged, now_of, signed_at
from bridge.license.entry import Entry, Source, mark_of, read_entry, write_entry
from bridge.license.judgement import Judgement, Kept, Licensed, Rules, is_better, judge_kept, why
from bridge.license.readings import GuardClock, Records
from keys.ed25519 import PublicKey, SigningKey
from keys.errors import VerificationError
from keys.tokens import TOKEN_MAX, Standing, Verdict
from spool import locks
from spool.clock import MS
from spool.durable import Disk, make_folders


@dataclass(frozen=True, slots=True)
class _Seen:
    """All that a judgement is made of."""

    node: str
    kept: Kept
    found: Found
    anchors: Anchors | None
    reading: Reading
    records: int
    now: Now


class LicenseReader:
    """Says how things stand; writes nothing. ``node`` is this one, whose seals tell times.

    ``keys`` are this node's by id: its own, and those that it took over from.
    """

    def __init__(
        self,
        spool: Path,
        node: str,
        keys: Mapping[str, PublicKey],
        rules: Rules,
        clock: GuardClock,
    ) -> None:
        self.spool = spool
        self.rules = rules
        self._keys = keys
        self._records = Records(spool, node, keys)
        self._clock = clock
        self.remembered: Anchors | None = None

    def judgement(
        self, node: str, licensed: Licensed, *, refresh_failed: bool = False
    ) -> Judgement:
        """The state of what is kept for ``node``. Raises :class:`OSError`."""
        return self.judged(self.seen(node), licensed, refresh_failed=refresh_failed)

    def judged(self, seen: _Seen, licensed: Licensed, *, refresh_failed: bool = False) -> Judgement:
        """The same of what was ``seen``."""
        has_entry = seen.kept.entry is not None
        return judge_kept(
            seen.kept,
            seen.now,
            self.rules,
            licensed,
            denied_at=0 if seen.anchors is None else seen.anchors.denied_at(seen.node),
            refresh_failed=refresh_failed,
            anchors_lost=seen.anchors is None and (has_entry or bool(seen.found.damaged)),
        )

    def judgements(self, asked: Iterable[tuple[str, Licensed, bool]]) -> list[Judgement]:
        """The same for many nodes by one look at the clocks; each with its ``refresh_failed``."""
        given = list(asked)
        return [
            self.judged(seen, licensed, refresh_failed=failed)
            for seen, (_, licensed, failed) in zip(
                self.all_seen(node for node, *_ in given), given, strict=True
            )
        ]

    def seen(self, node: str) -> _Seen:
        """What lies there, and the clocks, now. Raises :class:`OSError`."""
        return self._seen(node, self._moment())

    def all_seen(self, nodes: Iterable[str]) -> list[_Seen]:
        """The same for many nodes, by one look at the clocks."""
        moment = self._moment()
        return [self._seen(node, moment) for node in nodes]

    def _moment(self) -> tuple[Found, Reading, int]:
        found = read_anchors(self.spool, self._keys)
        reading = self._clock.reading()
        return found, reading, self._records.latest()

    def _seen(self, node: str, moment: tuple[Found, Reading, int]) -> _Seen:
        kept = self._kept(node)
        found, reading, records = moment
        anchors = merged(found.anchors, self.remembered)
        if anchors is None and kept.entry is not None:
            records = max(records, kept.entry.got_at)  # the next best, where they are lost
        now = now_of(anchors, reading, records, self.rules.leeway)
        return _Seen(node, kept, found, anchors, reading, records, now)

    def _kept(self, node: str) -> Kept:
        try:
            return Kept(read_entry(self.spool, node, self._keys))
        except VerificationError as error:
            return Kept(None, f"what is kept was changed: {error.message.removesuffix('.')}")


@dataclass(frozen=True, slots=True)
class Noted:
    """What was ``seen`` of each node when the time was noted, to be judged.

    Not ``in_order``: anchors that were damaged, or lost where there is a token, were made anew.
    """

    in_order: bool
    seen: Sequence[_Seen] = ()


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a token: whether it is ``kept`` now, its own ``verdict``, and the state then."""

    kept: bool
    verdict: Verdict
    judgement: Judgement

    @property
    def said(self) -> str:
        """For people, after words like "a token came"."""
        if not self.verdict.usable:
            return f"; it is not kept: {why(self.verdict)}"
        if not self.kept:
            return "; what is kept already is as good or better"
        return ", and is served" if self.judgement.served else f"; it is {self.judgement.state}"


class LicenseKeeper:
    """Keeps tokens; ``reader`` says how things stand. Methods raise :class:`OSError`."""

    def __init__(
        self,
        disk: Disk,
        spool: Path,
        node: str,
        signer: SigningKey,
        rules: Rules,
        clock: GuardClock,
    ) -> None:
        self.reader = LicenseReader(spool, node, signer.own_keys, rules, clock)
        self._disk = disk
        self._spool = spool
        self._signer = signer

    def note(self, nodes: Iterable[str]) -> Noted:
        """Keep what time it is at least, and what the tokens kept for ``nodes`` say of it."""
        with self._locked():
            seen = self.reader.all_seen(nodes)
            if not seen:
                return Noted(in_order=True)
            anchors = seen[0].anchors
            for each in seen:
                anchors = self._moved(anchors, each, each.kept.entry)
            self._keep(anchors)
            found = seen[0].found
            has_entry = any(each.kept.entry is not None for each in seen)
            leeway = self.reader.rules.leeway
            now = now_of(anchors, seen[0].reading, seen[0].records, leeway)
            return Noted(
                not found.damaged and not (found.anchors is None and has_entry),
                [replace(each, anchors=anchors, now=now) for each in seen],
            )

    def took(
        self, node: str, token: str, source: Source, license_key: str | None, licensed: Licensed
    ) -> Taken:
        """Keep ``token`` for ``node`` if it is better than what is kept.

        ``license_key`` is the key that it was asked for with, None if nobody knows. A token that was
        signed later than all before it puts a doubted clock right.
        """
        mark = "" if license_key is None else mark_of(license_key)
        with self._locked():
            seen = self.reader.seen(node)
            entry = Entry(node, token[: TOKEN_MAX + 1], source, seen.now.at, mark)
            anchors = self._moved(seen.anchors, seen, entry, licensed)
            now = now_of(anchors, seen.reading, 0, self.reader.rules.leeway)
            verdict = self.reader.rules.verdict(entry.token, licensed.bindings, now.at)
            entry = replace(entry, got_at=now.at)
            old = self.reader.judged(replace(seen, anchors=anchors, now=now), licensed)
            kept = seen.kept.entry
            old_verdict = None
            if kept is not None and kept.token:
                old_verdict = self.reader.rules.verdict(kept.token, licensed.bindings, now.at)
            is_new = is_better(
                verdict,
                old,
                old_verdict,
                got_here=source == "beacon",
                denied_at=anchors.denied_at(node),
            )
            if is_new:
                write_entry(self._disk, self._spool, entry, self._signer)
                anchors = anchors.with_denied(node, 0)
            if is_new or seen.anchors is None or anchors.signed > seen.anchors.signed:
                self._keep(anchors)
            return Taken(is_new, verdict, self.reader.judgement(node, licensed))

    def refused(self, node: str, status: int, license_key: str | None) -> None:
        """The beacon refused the license of ``node``: what was kept counts no more."""
        mark = "" if license_key is None else mark_of(license_key)
        with self._locked():
            seen = self.reader.seen(node)
            kept = seen.kept.entry
            if kept is not None and (kept.refused, kept.mark) == (status, mark):
                return  # said already; a producer may ask every second
            entry = Entry(node, "", "beacon", seen.now.at, mark, status)
            write_entry(self._disk, self._spool, entry, self._signer)
            anchors = self._moved(seen.anchors, seen, None)
            self._keep(anchors.with_denied(node, seen.now.at))

    def heard(self, node: str, signed: int) -> None:
        """A receipt for ``node`` that was verified was signed at ``signed``, ms since 1970 UTC."""
        with self._locked():
            seen = self.reader.seen(node)
            moved = advanced(seen.anchors, seen.reading, seen.records)
            if signed <= seen.reading.wall + self.reader.rules.leeway:
                leeway = self.reader.rules.leeway
                moved = signed_at(moved, seen.reading, seen.records, signed, leeway)
            self._keep(advanced(moved, seen.reading, seen.records))

    def _moved(
        self,
        anchors: Anchors | None,
        seen: _Seen,
        entry: Entry | None,
        licensed: Licensed | None = None,
    ) -> Anchors:
        """The anchors after what was seen, and after the time that ``entry``'s token was signed at."""
        rules = self.reader.rules
        moved = advanced(anchors, seen.reading, seen.records)
        if entry is None or not entry.token:
            return moved
        bindings = frozenset[str]() if licensed is None else licensed.bindings
        # By the wall clock: the question is whether that one is right after all.
        verdict = rules.verdict(entry.token, bindings, seen.reading.wall)
        vouched = verdict.standing is Standing.VALID or (
            verdict.standing is Standing.UNVERIFIABLE and verdict.usable
            and entry.source == "beacon"
        )  # fmt: skip
        if not vouched or verdict.issued_at is None:
            return moved
        signed = verdict.issued_at * MS
        put_right = signed_at(moved, seen.reading, seen.records, signed, rules.leeway)
        return advanced(put_right, seen.reading, seen.records)

    def _keep(self, anchors: Anchors | None) -> None:
        if anchors is not None:
            write_anchors(self._disk, self._spool, anchors, self._signer)
            self.reader.remembered = anchors

    @contextmanager
    def _locked(self) -> Iterator[None]:
        folder = self._spool / "license"
        make_folders(self._disk, self._spool, folder)
        fd = locks.take(folder / "lock")
        try:
            yield
        finally:
            if fd is not None:
                locks.let_go(fd)
