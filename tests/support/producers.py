"""What other processes do in tests: importable, for ``spawn`` and for ``python -m``."""

import resource
import sys
import traceback
from pathlib import Path

from spool.errors import SpoolError
from spool.writer import Writer
from tests.support.disks import FastDisk
from tests.support.spools import KEY, records


def append_some(spool: Path, name: str, count: int) -> None:
    """Append ``count`` records, ten at a time, sealing now and then; what is raised stands in a file.

    A child that was forked out of a test has no stderr that anybody reads.
    """
    made = records(count, name)
    try:
        with Writer(
            spool, "transactions", node="n", signer=KEY, seal_size=2000, disk=FastDisk()
        ) as writer:
            for first in range(0, count, 10):
                writer.append(made[first : first + 10])
    except BaseException:
        (spool / f"{name}.raised").write_text(traceback.format_exc())
        raise


def append_and_say(spool: Path) -> None:
    """Append for ever; every record is named on stdout when it is acknowledged."""
    writer = Writer(spool, "transactions", node="n", signer=KEY, seal_size=4000)
    for record in records(1_000_000):
        writer.append([record])
        sys.stdout.buffer.write(record + b"\n")
        sys.stdout.buffer.flush()


def append_under_a_size_limit(spool: Path) -> None:
    """Append with files of at most 4 KiB; what is acknowledged is named on stdout."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    writer = Writer(spool, "transactions", node="n", signer=KEY)
    for record in records(100, filler=300):
        try:
            writer.append([record])
        except SpoolError:
            continue
        sys.stdout.buffer.write(record + b"\n")
    try:
        writer.close()
    except SpoolError:
        sys.stderr.write("not sealed\n")


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]))
