"""How often the interpreter looks for garbage that refers to itself."""

import gc

YOUNG_MAX = 20_000
"""Objects that may be new before it looks through them. By default it is 700, which three requests hold
while they wait for the disk: so each batch of requests was looked through many times in vain, and
what outlived two looks was looked through with all that the process holds. A look through 20,000
takes about a millisecond."""


def collect_seldom() -> None:
    """For a process that does many things at a time; what nobody refers to any more goes at once.

    What is in a cycle stays longer: that of a connection that has ended, some kilobytes.
    """
    gc.set_threshold(YOUNG_MAX)
