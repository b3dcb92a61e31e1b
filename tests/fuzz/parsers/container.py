"""The container of a bundle."""

import io
import os
import tarfile

from bridge.transfer import ustar
from keys.errors import VerificationError
from tests.fuzz.harness import Harness
from tests.golden.bundles import ustar as written

NAMES = (
    "manifest.dsse.json", "keys/000001.dsse.json", "receipt.dsse.json", "token.jwt",
    "segments/n/logs/000000000001.ndjson.zst",
)  # fmt: skip


def tried(data: bytes) -> bool:
    """Read, written by our writer, and read by Python's tarfile."""
    fd = os.memfd_create("container")
    try:
        os.write(fd, data)
        found = [
            (member.name, os.pread(fd, member.size, member.offset))
            for member in ustar.members(fd, len(data))
        ]
    except VerificationError:
        return False
    finally:
        os.close(fd)
    parts = [
        ustar.header(name, len(held)) + held + ustar.padding(len(held)) for name, held in found
    ]
    assert b"".join(parts) + ustar.END == data
    assert all(ustar.NAME.fullmatch(name) for name, _ in found)
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        listed = [(each.name, each.size, each.isreg()) for each in tar.getmembers()]
    assert listed == [(name, len(held), True) for name, held in found]
    return True


def seeds() -> list[bytes]:
    """From no member to one of each kind."""
    return [
        written([(name, b"x" * 20 * number) for number, name in enumerate(NAMES[:count])])
        for count in range(len(NAMES) + 1)
    ]


HARNESS = Harness(
    "container",
    "A container is byte for byte what our writer makes, and tar lists the same, or it is refused.",
    tried,
    seeds,
    (bytes(512), b"ustar\x0000", b"00000000000\0", b"77777777777", b"L", b"x", b"../",
     *(written([(name, b"")])[:512] for name in NAMES)),
    rounds=6000,
    size_max=8192,
)  # fmt: skip
