"""How many bytes lie below a folder, as the names there say."""

import os
from pathlib import Path


def bytes_below(folder: Path | str) -> int:
    """The sizes of all files below ``folder``; no link is followed. Raises :class:`OSError`."""
    total = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                if entry.is_dir(follow_symlinks=False):
                    total += bytes_below(entry.path)
                else:
                    total += entry.stat(follow_symlinks=False).st_size
            except FileNotFoundError:
                continue  # sealed or deleted meanwhile
    return total
