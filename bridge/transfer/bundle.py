"""Reading a bundle or a return bundle: authenticated before anything in it is believed.

The first member is the manifest. Its signature is judged, then that the members are exactly those that
it names; only then is a segment looked at, in place.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile, gettempdir

from bridge.transfer import agefile, manifest, receipt, ustar
from bridge.transfer.enclosing import read_rotations, refused
from bridge.transfer.manifest import MANIFEST_MAX, Manifest, Packed
from bridge.transfer.receipt import RECEIPT_MAX, Receipt
from bridge.transfer.returnmanifest import RETURN_MAX, RETURN_TYPE, TOKEN_MAX, Return, decode_return
from keys import dsse
from keys.ed25519 import PublicKey
from keys.errors import VerificationError
from keys.rotation import Rotation
from spool.errors import SpoolError
from spool.safefile import open_regular
from spool.segment import Segment

MANIFEST_NAME = "manifest.dsse.json"
ENDINGS = (".agb", ".agr", ".agb.age", ".agr.age")
"""What the name of a bundle ends with, of a return bundle, and of either encrypted."""
Keys = Callable[[str, str, Sequence[Rotation]], Mapping[str, PublicKey]]
"""The keys, by id, that may speak in a role (``node``, ``relay``) for a name; and their successors."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """An open bundle whose manifest is authentic and agrees with its members."""

    fd: int
    manifest: Manifest
    signer: PublicKey
    members: Mapping[str, ustar.Member]
    rotations: tuple[Rotation, ...]

    def segment(self, packed: Packed) -> Segment:
        """The segment, whose statement is the one that the manifest names; it is the caller's to close.

        Raises :class:`VerificationError` ``segment.*`` or ``bundle.digest``; its signature, digest and
        frames are still to be judged.
        """
        member = self.members[packed.name]
        segment = Segment.within(self.fd, member.offset, member.size)
        try:
            check_named(segment, packed)
        except BaseException:
            segment.close()
            raise
        return segment


def check_named(segment: Segment, packed: Packed) -> None:
    """Raise ``segment.place`` or ``bundle.digest`` unless it is the one that the manifest names."""
    segment.check_place(packed.node, packed.stream, packed.seq)
    if segment.digest != packed.digest:
        raise VerificationError(
            "bundle.digest",
            f"{packed.name} is not the segment that the manifest names.",
            "Take the bundle from its source again.",
        )


@dataclass(frozen=True, slots=True)
class ReturnBundle:
    """A return bundle, read whole: all of it is authentic."""

    manifest: Return
    receipt: Receipt
    token: bytes | None
    signer: PublicKey
    rotations: tuple[Rotation, ...]


@contextmanager
def opened(
    path: Path,
    keys: Keys,
    identity: agefile.Secret | None,
    folder: Path | None,
    keep_free: int = 0,
) -> Iterator[Bundle | ReturnBundle]:
    """What the file at ``path`` is.

    ``identity`` opens it if it is encrypted, into a file without a name below ``folder`` (None: where
    temporary files are), whose disk has ``keep_free`` bytes free all the same: who made it is not
    known yet. Raises :class:`VerificationError` ``container.*``, ``age.*``, ``envelope.*``,
    ``json.*``, ``document.*``, ``key.untrusted``, ``signature.bad``, ``manifest.*``, ``bundle.*``,
    ``receipt.*`` or ``file.kind``, :class:`SpoolError` ``import.room``, or :class:`OSError`.
    """
    fd = open_regular(path, own=False)
    with os.fdopen(fd, "rb") as file:
        start = os.pread(fd, 64, 0)
        if not agefile.is_age(start):
            yield _read(fd, keys)
            return
        if identity is None:
            agefile.check_header(os.pread(fd, 1 << 14, 0))
            raise VerificationError(
                "age.no_identity",
                "It is encrypted, and there is no identity here that could open it.",
                "Give one with --identity FILE.",
            )
        free = shutil.disk_usage(folder or gettempdir()).free - keep_free
        size = os.fstat(fd).st_size
        if size > free:
            raise SpoolError(
                "import.room",
                f"It is opened into a file of {size} bytes, and there are {max(free, 0)} for that.",
                f"Make room on the disk of {folder or gettempdir()}; nothing was taken.",
            )
        with TemporaryFile(dir=folder) as clear:
            agefile.decrypt(file, clear, identity)
            clear.flush()
            yield _read(clear.fileno(), keys)


def _read(fd: int, keys: Keys) -> Bundle | ReturnBundle:
    found = list(ustar.members(fd, os.fstat(fd).st_size))
    if not found or found[0].name != MANIFEST_NAME:
        raise refused("manifest", "its first member is not the manifest")
    if found[0].size > MANIFEST_MAX:
        raise refused("manifest", f"its manifest has more than {MANIFEST_MAX} bytes")
    envelope = dsse.parse(_bytes(fd, found[0]), limit=MANIFEST_MAX)
    if envelope.payload_type == RETURN_TYPE:
        return _return(fd, envelope, found, keys)
    version = 2 if envelope.payload_type == manifest.PAYLOAD_TYPES[2] else 1
    envelope.expect(manifest.PAYLOAD_TYPES[version])
    said = manifest.decode(envelope.payload, version)
    rotations = read_rotations(fd, found[1:], said.rotations)
    signer = envelope.verify(keys("node", said.sender, rotations))
    segments = found[1 + len(rotations) :]
    if [member.name for member in segments] != [each.name for each in said.members]:
        raise refused("members", "its members are not those that the manifest names")
    for member, each in zip(segments, said.members, strict=True):
        if member.size != each.size:
            raise refused("members", f"{each.name} has another size than the manifest says")
    return Bundle(fd, said, signer, {member.name: member for member in segments}, rotations)


def _return(
    fd: int, envelope: dsse.Envelope, found: list[ustar.Member], keys: Keys
) -> ReturnBundle:
    said = decode_return(envelope.payload)
    if len(envelope.payload) > RETURN_MAX:
        raise refused("manifest", f"its manifest has more than {RETURN_MAX} bytes")
    rotations = read_rotations(fd, found[1:], said.rotations)
    signer = envelope.verify(keys("relay", said.sender, rotations))
    members = found[1 + len(rotations) :]
    if len(members) != len(said.members):
        raise refused("members", "its members are not those that the manifest names")
    held = [each.read(fd, member) for member, each in zip(members, said.members, strict=True)]
    inner = dsse.parse(held[0], limit=RECEIPT_MAX)
    inner.expect(receipt.RECEIPT_TYPE)
    told = receipt.decode_receipt(inner.payload)
    by = inner.verify(keys("relay", told.relay, rotations))
    if (told.relay, told.node, by.id) != (said.sender, said.recipient, signer.id):
        raise refused("receipt", "its receipt is another relay's, or for another node")
    token = held[1] if len(held) > 1 else None
    if token is not None and len(token) > TOKEN_MAX:
        raise refused("token", f"its token has more than {TOKEN_MAX} bytes")
    return ReturnBundle(said, told, token, signer, rotations)


def _bytes(fd: int, member: ustar.Member) -> bytes:
    if member.size > RECEIPT_MAX:
        raise refused("members", f"{member.name} has more than {RECEIPT_MAX} bytes")
    return os.pread(fd, member.size, member.offset)
