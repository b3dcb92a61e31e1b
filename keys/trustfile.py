"""Changing the trust store on disk: what another process changed meanwhile stays.

The daemon follows rotations while people trust and revoke. Each change is made to the store as it is at
that moment, under a lock that ends with its process.
"""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from keys.truststore import TrustStore


def change_store(path: Path, change: Callable[[TrustStore], TrustStore]) -> TrustStore:
    """What ``change`` makes of the store at ``path``, which holds it from now on.

    Raises what ``change`` does, and as :meth:`TrustStore.load` and :meth:`TrustStore.save` do.
    """
    # On the folder: a store that was never written has no file, and a lock file would be one more.
    fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        held = TrustStore.load(path)
        changed = change(held)
        if changed != held:
            changed.save(path)
    finally:
        os.close(fd)
    return changed
