"""Which file system a spool lies on: on one of a network, no promise about syncs and locks holds.

A server that comes back after a fault may have lost what it had called durable, and locks of two
machines may both be held.
"""

import os
import re
from pathlib import Path

from keys.errors import ConfigError, shown

NETWORK = frozenset(
    {
        "9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "fuse.ceph", "fuse.davfs2",
        "fuse.gcsfuse", "fuse.glusterfs", "fuse.juicefs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs",
        "glusterfs", "gfs2", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "smb3",
        "smbfs", "virtiofs", "vboxsf",
    }
)  # fmt: skip
"""Types as the kernel names them; what is not here counts as local."""
_MOUNTS = Path("/proc/self/mountinfo")
_ESCAPED = re.compile(rb"\\([0-7]{3})")


def kind_of(path: bytes, mounts: bytes) -> str:
    """The type of the file system that holds the absolute ``path``, by the kernel's list of mounts.

    Empty where the list does not tell. Of two mounts in one place the later one counts.
    """
    kind, length = "", -1
    for line in mounts.splitlines():
        before, _, after = line.partition(b" - ")
        fields, kinds = before.split(b" "), after.split(b" ")
        if len(fields) < 5 or not after:  # noqa: PLR2004 - the mount's place is the fifth
            continue
        place = _ESCAPED.sub(lambda match: bytes([int(match[1], 8) & 0xFF]), fields[4])
        below = place.rstrip(b"/") + b"/"
        if (path == place or path.startswith(below)) and len(place) >= length:
            kind, length = kinds[0].decode("ascii", "replace"), len(place)
    return kind


def check_local(spool: Path) -> None:
    """Nothing, unless ``spool`` lies, or will lie, on a file system of a network.

    Raises :class:`ConfigError` ``spool.network_fs``, or :class:`OSError`.
    """
    kind = kind_of(os.fsencode(spool.resolve()), _MOUNTS.read_bytes())
    if kind in NETWORK:
        raise ConfigError(
            "spool.network_fs",
            f"The spool {shown(str(spool))} lies on a network file system ({shown(kind)}), where what "
            "was synced can be lost and two machines can hold one lock.",
            "Put it on a local disk; or, if you answer for it, set spool.allow_network_fs: true.",
        )
