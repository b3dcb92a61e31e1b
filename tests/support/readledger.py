"""Prints the spans of the ledger in the folder that is its argument, opened to be read."""

import sys
from pathlib import Path

from spool.clock import SYSTEM_CLOCK
from spool.ledger import Ledger
from tests.support.ledgers import lane, rows

if __name__ == "__main__":
    spool = Path(sys.argv[1])
    with Ledger.open_to_read(spool, clock=SYSTEM_CLOCK) as ledger:
        for first, last, state in rows(ledger, lane(spool)):
            sys.stdout.write(f"{first}-{last} {state.value}\n")
