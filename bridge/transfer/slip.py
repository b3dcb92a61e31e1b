"""What lies beside a bundle: checksums, and a page of plain text for whoever carries it."""

import os
from contextlib import suppress
from pathlib import Path

from bridge.terminal import counted
from bridge.transfer.manifest import Manifest
from bridge.transfer.writing import Medium, take_away
from spool.clock import rfc3339

SUMS = "SHA256SUMS"
_SUMS_MAX = 1 << 20


def slip_of(path: Path, told: Manifest, medium: Medium) -> None:
    """Write the slip of the bundle at ``path``, and its line among the checksums.

    Raises :class:`OSError`; then the bundle is gone, too: it would look complete.
    """
    try:
        _put(path.with_name(path.name + ".txt"), _text(path.name, told, medium))
        sum_of(path, medium)
    except BaseException:
        take_away(path)
        with suppress(OSError):
            drop_slip(path)
        raise


def sum_of(path: Path, medium: Medium) -> None:
    """Write the line of the file at ``path`` among the checksums beside it.

    Raises :class:`OSError`; then the file is gone, too: it would look complete.
    """
    try:
        _add_sum(path, medium)
    except BaseException:
        take_away(path)
        raise


def _add_sum(path: Path, medium: Medium) -> None:
    sums = path.with_name(SUMS)
    lines = []
    if sums.is_file() and sums.stat().st_size <= _SUMS_MAX:
        lines = _without(sums, path.name)
    _put(sums, "".join(f"{line}\n" for line in [*lines, f"{medium.sha256}  {path.name}"]))


def drop_slip(path: Path) -> None:
    """Take away slip and checksum of the bundle at ``path``, which is gone. Raises :class:`OSError`."""
    path.with_name(path.name + ".txt").unlink(missing_ok=True)
    sums = path.with_name(SUMS)
    if sums.is_file() and sums.stat().st_size <= _SUMS_MAX:
        left = _without(sums, path.name)
        if left:
            _put(sums, "".join(f"{line}\n" for line in left))
        else:
            sums.unlink()


def _without(sums: Path, name: str) -> list[str]:
    return [line for line in sums.read_text().splitlines() if not line.endswith(f"  {name}")]


def _text(name: str, told: Manifest, medium: Medium) -> str:
    records = sum(lane.records for lane in told.lanes)
    return f"""\
AIRGAP BRIDGE: COURIER'S SLIP

file      {name}
size      {medium.size} bytes
sha256    {medium.sha256}

from      {told.sender}
to        {told.recipient}
serial    {told.serial}
made      {rfc3339(told.made_at)}
holds     {counted(records, "record", "records")} in {counted(len(told.members), "segment", "segments")}
note      {told.note or "-"}

AT THE OTHER SIDE
1. Compare the checksum:   sha256sum -c {SUMS} --ignore-missing
2. Hand it in:             bridge import {name}
3. Later, ask {told.recipient} for the return bundle, and bring it back:
                           bridge export --for {told.sender} --to DIR
   Until it is back, {told.sender} counts these records as not confirmed.

If the file is lost, nothing is: {told.sender} still holds everything, and can export it again
(bridge export --again --to DIR).
"""


def _put(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".part")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
