"""Judges the segments of a bundle that is open, a few of them side by side: in the order of a reader.

Signature, revocation, digest, frames; and once a segment's bytes were copied, that the copy is it.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

from bridge.transfer.bundle import Bundle
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


class Judge:
    """Judges the segments of ``bundle`` by the keys in ``trust``; from any thread.

    ``known`` are digests that were imported, ``vouched`` those to which segments of good keys link.
    """

    def __init__(
        self,
        bundle: Bundle,
        trust: TrustStore,
        known: AbstractSet[str],
        vouched: AbstractSet[str],
    ) -> None:
        self._bundle = bundle
        self._known = known
        self._trust = trust
        self._vouched = vouched
        self._decoders: SimpleQueue[FrameDecoder] = SimpleQueue()
        for _ in range(AT_ONCE):
            self._decoders.put(FrameDecoder())

    def check(self, packed: Packed) -> Statement:
        """What the segment's seal says, if all of it is good; else :class:`VerificationError`."""
        if packed.stream not in STREAMS:
            raise VerificationError(
                "stream.unknown",
                f"There is no stream {shown(packed.stream)} here.",
                "The node may run a newer version; update this one, and import again.",
            )
        decoder = self._decoders.get()
        try:
            with self._bundle.segment(packed) as segment:
                segment.check_digest()
                self._check_signer(segment, packed)
                for _ in segment.raw_frames(decoder):
                    pass
                return segment.statement
        finally:
            self._decoders.put(decoder)

    def _check_signer(self, segment: Segment, packed: Packed) -> None:
        signer = segment.check_signature(keys_of(self._trust, packed.node))
        if packed.digest in self._known:  # it counted when it came
            return
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


def keys_of(trust: TrustStore, node: str) -> Mapping[str, PublicKey]:
    """The keys that ever spoke for ``node``, by id; revocation is judged by number."""
    return {key.public.id: key.public for key in trust.named("node", node)}


def side_by_side(
    work: Callable[[Packed], Any], members: Sequence[Packed]
) -> Generator[tuple[Packed, Any]]:
    """What ``work`` makes of each of ``members``, in order: its answer or the error it raised.

    Only a :class:`VerificationError` is an answer; anything else ends it, with nothing still running.
    """
    with ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="judge") as pool:
        waiting = [(each, pool.submit(work, each)) for each in members]
        try:
            for packed, future in waiting:
                try:
                    yield packed, future.result()
                except VerificationError as error:
                    yield packed, error
        finally:
            pool.shutdown(cancel_futures=True)
