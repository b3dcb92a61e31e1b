"""One producer: ``SPOOL GROUPS``; ready, it prints a line, and begins when its input ends."""

import sys
from pathlib import Path

from records import STREAMS, records
from spools import GROUP, groups_of, writer


def main() -> None:
    """Append, and print how many bytes it was once they are durable."""
    stream = STREAMS[0]
    some = groups_of(records(stream, int(sys.argv[2]) * GROUP))
    with writer(Path(sys.argv[1]), stream) as target:
        target.append(some[0][:1])
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.read()
        for group in some:
            target.append(group)
        sys.stdout.write(f"{sum(len(line) + 1 for group in some for line in group)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
