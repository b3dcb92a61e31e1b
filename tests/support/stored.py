"""What a crash would find at this moment: the whole lines in a stream's open files."""

import os
from contextlib import suppress
from pathlib import Path

from spool.lane import Lane
from spool.openfile import open_files
from spool.rewriting import examine, good_lines, reader


def open_lines(spool: Path, stream: str, *, node: str = "n") -> list[bytes]:
    """Every line that lies unsealed, in the order of files and lines."""
    found: list[bytes] = []
    for path in open_files(Lane(spool, node, stream)):
        # One that was sealed meanwhile holds nothing unsealed.
        with suppress(FileNotFoundError), path.open("rb") as file:
            good = examine(read := reader(file.fileno()), os.fstat(file.fileno()).st_size)
            found += b"".join(good_lines(read, good)).splitlines()
    return found
