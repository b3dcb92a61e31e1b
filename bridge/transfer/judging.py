"""Judges the segments of a bundle that is open, a few of them side by side: in the order of a reader.

Place, digest, signature, revocation, frames.
"""

from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from queue import SimpleQueue
from typing import Any

from bridge.transfer.bundle import check_named
from bridge.transfer.manifest import Packed
from keys.ed25519 import PublicKey
from keys.errors import VerificationError, shown
from keys.truststore import TrustStore
from spool.frames import FrameDecoder
from spool.segment import Segment
from spool.statement import Statement
from spool.streams import STREAMS

AT_ONCE = 2
"""Segments that are judged side by side; each holds a frame of at most 8 MiB in memory."""
_THREADS = 2 * AT_ONCE
"""While some are judged, as many are copied, or wait for the disk."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What the seal of a good segment says, and the id of the key that signed it."""

    said: Statement
    key: str


class Judge:
    """Judges segments by the keys in ``trust``; from any thread.

    ``known`` are digests that were imported, ``vouched`` those to which segments of good keys link.
    """

    def __init__(
        self,
        trust: TrustStore,
        known: AbstractSet[str],
        vouched: AbstractSet[str],
    ) -> None:
        self._known = known
        self._trust = trust
        self._vouched = vouched
        self._decoders: SimpleQueue[FrameDecoder] = SimpleQueue()
        for _ in range(AT_ONCE):
            self._decoders.put(FrameDecoder())

    def check(self, packed: Packed, segment: Segment) -> Judged:
        """What the seal of ``segment`` says, if it is the one that was ``packed``, and good.

        Else :class:`VerificationError`.
        """
        decoder = self._decoders.get()
        try:
            check_named(segment, packed)
            segment.check_digest()
            signer = self._check_signer(segment, packed)
            segment.check_frames(decoder)
            return Judged(segment.statement, signer.id)
        finally:
            self._decoders.put(decoder)

    def _check_signer(self, segment: Segment, packed: Packed) -> PublicKey:
        signer = segment.check_signature(keys_of(self._trust, packed.node))
        if packed.digest in self._known:  # it counted when it came
            return signer
        trusted = self._trust.find(signer.id)
        if trusted is None or not trusted.may_speak(f"{packed.node}/{packed.stream}", packed.seq):
            raise VerificationError(
                "key.revoked",
                f"Key {signer.id[:16]} of {packed.node} is revoked from this number on.",
                "Ask the node's operator; if the segment is good, it is sealed anew with a good key.",
            )
        if trusted.revoked is not None and packed.digest not in self._vouched:
            raise VerificationError(
                "key.revoked",
                f"Key {signer.id[:16]} of {packed.node} is revoked, and nothing a good key signed "
                "links to this.",
                "Import what follows it, then this again; the next receipt asks for it.",
            )
        return signer


def check_stream(packed: Packed) -> None:
    """Raise :class:`VerificationError` ``stream.unknown`` for a segment of a stream not known here."""
    if packed.stream not in STREAMS:
        raise VerificationError(
            "stream.unknown",
            f"There is no stream {shown(packed.stream)} here.",
            "The node may run a newer version; update this one, and import again.",
        )


def keys_of(trust: TrustStore, node: str) -> Mapping[str, PublicKey]:
    """The keys that ever spoke for ``node``, by id; revocation is judged by number."""
    return {key.public.id: key.public for key in trust.named("node", node)}


def side_by_side(
    work: Callable[[Packed], Any], members: Sequence[Packed], *, ahead: int
) -> Generator[tuple[Packed, Any]]:
    """What ``work`` makes of each of ``members``, in order: its answer or the error it raised.

    It works on at most ``ahead`` more than were taken. Only a :class:`VerificationError` is an answer;
    anything else ends it, with nothing still running.
    """
    with ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="judge") as pool:
        waiting: deque[tuple[Packed, Future[Any]]] = deque()
        left = iter(members)
        try:
            for each in islice(left, ahead):
                waiting.append((each, pool.submit(work, each)))
            while waiting:
                packed, future = waiting.popleft()
                try:
                    answer = future.result()
                except VerificationError as error:
                    answer = error
                yield packed, answer
                waiting.extend((each, pool.submit(work, each)) for each in islice(left, 1))
        finally:
            pool.shutdown(cancel_futures=True)
