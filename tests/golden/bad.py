"""The bad golden files: one for each defect, named after it, with the error that it must give."""

import base64
import gzip
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from tests.golden.bad_frames import bad_frames
from tests.golden.bad_statements import bad_statements
from tests.golden.build import (
    LINES,
    SIGNER,
    STRANGER,
    TYPE,
    compact,
    envelope,
    frame,
    seal,
    signature,
    signed,
    statement,
)

FRAME = frame(LINES)
SAID = statement(FRAME, LINES)
PAYLOAD = compact(SAID)
GOOD = signed(FRAME, SAID)
SEAL = GOOD[len(FRAME) :]
ENVELOPE = envelope(PAYLOAD)
SIGNED = signature(PAYLOAD)
_RAW_SIGNATURE = base64.b64decode(str(SIGNED["sig"]))


@dataclass(frozen=True, slots=True)
class Bad:
    """A file (or a spool: a name with slashes) that must give this error, and why."""

    name: str
    error: str
    why: str
    data: bytes


def _flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def _total(value: int) -> bytes:
    return GOOD[:-4] + value.to_bytes(4, "little")


def bad() -> Iterator[Bad]:
    """Every bad file."""
    yield from _seals()
    yield from _envelopes()
    for name, error, why, payload in bad_statements():
        yield Bad(name, error, why, FRAME + seal(envelope(payload)))
    for name, error, why, frames, lines, changes in bad_frames():
        yield Bad(name, error, why, signed(frames, statement(frames, lines, **changes)))
    yield from _spools()


def _seals() -> Iterator[Bad]:
    none = "segment.no_seal"
    yield Bad("empty", "segment.blank", "a crash before the data: no bytes", b"")
    yield Bad("nul-filled", "segment.blank", "a crash before the data: only zeros", bytes(4096))
    yield Bad("no-seal", none, "frames alone: never sealed, or its seal was cut off", FRAME)
    yield Bad("plain-text", none, "records without compression, named like a segment", LINES)
    yield Bad(
        "gzip", none, "another compression, named like a segment", gzip.compress(LINES, mtime=0)
    )
    yield Bad("trailing-byte", none, "something was added after the seal", GOOD + b"\n")
    yield Bad("trailing-zeros", none, "something was added after the seal", GOOD + bytes(512))
    yield Bad("truncated-by-a-byte", none, "the last byte is missing", GOOD[:-1])
    yield Bad("truncated-in-the-seal", none, "half of the seal is missing", GOOD[: -len(SEAL) // 2])
    yield Bad("total-length-one-more", none, "the two lengths disagree", _total(len(SEAL) + 1))
    yield Bad("total-length-one-less", none, "the two lengths disagree", _total(len(SEAL) - 1))
    yield Bad("total-length-zero", none, "shorter than any seal", _total(0))
    yield Bad("total-length-beyond", none, "longer than the file", _total(len(GOOD) + 1))
    yield Bad("total-length-4-gib", none, "claims a seal of 4 GiB", _total(2**32 - 1))
    inner = SEAL[:4] + (len(ENVELOPE) + 5).to_bytes(4, "little") + SEAL[8:]
    yield Bad("frame-length-one-more", none, "zstd would read past the seal", FRAME + inner)
    other = b"\x50" + SEAL[1:]
    yield Bad("other-skippable-magic", none, "a skippable frame that is not ours", FRAME + other)
    yield Bad("seal-twice", "segment.size", "a second seal after the first", GOOD + SEAL)
    yield Bad("junk-before-the-frames", "segment.size", "more before the seal", FRAME + GOOD)
    yield Bad("frame-cut-out", "segment.size", "the frames are gone, the seal stayed", SEAL)
    flipped = _flip(GOOD, len(FRAME) // 2)
    yield Bad("data-bit-flipped", "segment.digest", "one bit of a record changed", flipped)


def _envelopes() -> Iterator[Bad]:
    bad, count, base = "signature.bad", "envelope.signatures", "envelope.base64"
    field, sigs = "document.field", b'"signatures":['

    def with_envelope(name: str, error: str, why: str, inside: bytes) -> Bad:
        return Bad(name, error, why, FRAME + seal(inside))

    def with_signatures(name: str, error: str, why: str, *given: dict[str, object]) -> Bad:
        return with_envelope(name, error, why, envelope(PAYLOAD, given))

    def with_sig(name: str, error: str, why: str, raw: bytes) -> Bad:
        return with_signatures(
            name, error, why, {"keyid": SIGNER.id, "sig": base64.b64encode(raw).decode()}
        )

    other = TYPE.replace("segment", "receipt")
    yield with_envelope(
        "payload-type-of-a-receipt",
        "envelope.type",
        "well signed, but as something else",
        envelope(PAYLOAD, payload_type=other),
    )
    yield with_envelope(
        "payload-type-exchanged",
        "envelope.type",
        "the type is signed, too",
        ENVELOPE.replace(TYPE.encode(), other.encode()),
    )
    form, escaped = "envelope.form", ENVELOPE.replace(b"application/", b"application\\/", 1)
    spaced = ENVELOPE.replace(b":", b": ", 1)
    yield with_envelope("envelope-with-a-space", form, "a byte that nobody signed", spaced)
    yield with_envelope("envelope-with-an-escape", form, "another spelling", escaped)
    yield with_sig("signature-bit-flipped", bad, "not by this key", _flip(_RAW_SIGNATURE, 5))
    yield with_envelope(
        "payload-changed-after-signing",
        bad,
        "more records than were signed",
        envelope(compact(SAID | {"policy": "1" * 64}), [SIGNED]),
    )
    yield with_signatures(
        "signed-by-a-stranger", "key.untrusted", "a key nobody trusts", signature(PAYLOAD, STRANGER)
    )
    forged = signature(PAYLOAD, STRANGER) | {"keyid": SIGNER.id}
    yield with_signatures("signed-under-another-key-id", bad, "a stranger's, relabelled", forged)
    yield with_sig("signature-of-63-bytes", count, "no Ed25519 signature", _RAW_SIGNATURE[:63])
    yield with_sig("signature-of-65-bytes", count, "no Ed25519 signature", _RAW_SIGNATURE + b"\0")
    yield with_sig("signature-empty", count, "no Ed25519 signature", b"")
    yield with_signatures("no-signature", field, "stripped: anybody could have made it")
    yield with_signatures("two-signatures", count, "exactly one", SIGNED, SIGNED)
    yield with_signatures("seventeen-signatures", field, "exactly one", *[SIGNED] * 17)
    twice = ENVELOPE.replace(b'{"payload":', b'{"payload":"e30=","payload":', 1)
    yield with_envelope("envelope-key-twice", "json.duplicate_key", "two payloads, one read", twice)
    more = ENVELOPE.replace(b'{"payload":', b'{"more":1,"payload":', 1)
    yield with_envelope(
        "envelope-unknown-key", "document.unknown_key", "a field that nobody signed", more
    )
    sig = str(SIGNED["sig"])
    # 64 bytes leave four bits of the last digit unused; they must be zero.
    loose = sig[:-3] + chr(ord(sig[-3]) + 1) + sig[-2:]
    yield with_signatures(
        "base64-with-loose-bits", base, "two spellings of one signature", SIGNED | {"sig": loose}
    )
    yield with_signatures(
        "base64-without-padding", base, "another spelling", SIGNED | {"sig": sig.rstrip("=")}
    )
    yield with_signatures(
        "base64-with-a-space", field, "another spelling", SIGNED | {"sig": sig[:8] + " " + sig[8:]}
    )
    yield with_signatures(
        "base64-of-urls", field, "another alphabet", SIGNED | {"sig": "-_" + sig[2:]}
    )
    upper = SIGNED | {"keyid": SIGNER.id.upper()}
    yield with_signatures("key-id-in-capitals", field, "another spelling", upper)
    yield with_envelope(
        "envelope-bom", "json.form", "bytes before the document", b"\xef\xbb\xbf" + ENVELOPE
    )
    yield with_envelope(
        "envelope-trailing", "json.trailing", "bytes after the document", ENVELOPE + b"{}"
    )
    yield with_envelope(
        "envelope-not-utf-8", "json.text", "no text", ENVELOPE.replace(b"keyid", b"keyi\xff")
    )
    listed = ENVELOPE.replace(sigs, sigs + b"[],", 1)
    yield with_envelope("signature-is-a-list", "document.form", "no signature", listed)
    yield with_envelope(
        "envelope-is-a-list", "document.form", "no envelope", b"[" + ENVELOPE + b"]"
    )


def _spools() -> Iterator[Bad]:
    """Two segments of one lane each, both of them good by themselves."""
    first = statement(FRAME, LINES)
    before = {"records": 2, "raw_size": len(LINES)}
    digest = _digest(first)
    second = statement(FRAME, LINES, seq=2, prev=digest, before=before)
    chain = "chain.broken"
    for name, why, changes in (
        ("link-to-another", "the first was exchanged for another", {"prev": "1" * 64}),
        (
            "link-totals",
            "records between them are gone",
            {"before": {"records": 1, "raw_size": 85}},
        ),
        ("link-chain", "the second is of another chain", {"chain": "ab" * 16}),
    ):
        yield from _spool(name, chain, why, first, second | changes)
    yield from _spool("another-place", "segment.place", "moved to another number", first, first)
    elsewhere = second | {"node": "prod-2"}
    yield from _spool("another-lane", "segment.place", "moved to another lane", first, elsewhere)


def _digest(said: dict[str, object]) -> str:
    return hashlib.sha256(compact(said)).hexdigest()


def _spool(
    name: str, error: str, why: str, first: dict[str, object], second: dict[str, object]
) -> Iterator[Bad]:
    folder = f"{name}/prod-1/transactions/sealed/00000000"
    for seq, said in ((1, first), (2, second)):
        yield Bad(f"{folder}/{seq:012d}", error, why, signed(FRAME, said))
