"""Small members of a container that its manifest names by size and SHA-256."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass

from bridge.transfer import ustar
from keys.errors import VerificationError
from keys.rotation import Rotation, read_rotation
from keys.strictjson import Fields

ROTATION = r"keys/[0-9]{6}\.dsse\.json"
DIGEST = r"[0-9a-f]{64}"


@dataclass(frozen=True, slots=True)
class Enclosed:
    """A member as the manifest names it."""

    name: str
    size: int
    sha256: str

    @classmethod
    def of(cls, name: str, data: bytes) -> "Enclosed":
        """What a manifest says of the member ``name`` that holds ``data``."""
        return cls(name, len(data), hashlib.sha256(data).hexdigest())

    def out(self) -> dict[str, object]:
        """As JSON."""
        return {"name": self.name, "size": self.size, "sha256": self.sha256}

    def read(self, fd: int, member: ustar.Member) -> bytes:
        """The bytes of ``member``, if they are those that were named.

        Raises :class:`VerificationError` ``bundle.members`` or ``bundle.digest``.
        """
        if (member.name, member.size) != (self.name, self.size):
            raise refused("members", "its members are not those that the manifest names")
        data = os.pread(fd, member.size, member.offset)
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise refused("digest", f"{self.name} is not what the manifest names")
        return data


def enclosed_in(item: Fields, names: str, size_max: int) -> Enclosed:
    """What a manifest says of a member whose name matches ``names``; raises ``document.*``."""
    found = Enclosed(
        item.text("name", names), item.integer("size", 1, size_max), item.text("sha256", DIGEST)
    )
    item.done()
    return found


def rotation_members(statements: Sequence[bytes]) -> list[tuple[Enclosed, bytes]]:
    """The members that carry rotation statements, in order."""
    return [
        (Enclosed.of(f"keys/{number:06d}.dsse.json", each), each)
        for number, each in enumerate(statements, 1)
    ]


def read_rotations(
    fd: int, members: Sequence[ustar.Member], said: Sequence[Enclosed]
) -> tuple[Rotation, ...]:
    """The rotation statements among ``members``, each signed by both of its keys.

    Raises :class:`VerificationError` as :meth:`Enclosed.read` and :func:`read_rotation` do.
    """
    if len(members) < len(said):
        raise refused("members", "its members are not those that the manifest names")
    return tuple(
        read_rotation(each.read(fd, member)) for member, each in zip(members, said, strict=False)
    )


def refused(problem: str, why: str) -> VerificationError:
    """The error ``bundle.…`` of a container that is not what its manifest says."""
    return VerificationError(
        f"bundle.{problem}",
        f"The bundle is refused: {why}.",
        "Take the file from its source again; compare its SHA-256 with the slip.",
    )
