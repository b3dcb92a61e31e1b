"""The memory of one request serves the next one.

What a request's lines took is freed when they are sent. glibc gives it back to the system at once, and
the next request then has every page of it cleared anew: a sixth of what a drain costs. How much it
keeps follows from the largest block that it ever got from the system alone and gave back.
"""

from functools import cache

KEPT = 16 * 1024 * 1024
"""Bytes of a block that is more than a request needs at once; twice as much is kept for a thread at
most, of what it used before."""


@cache
def keep_memory() -> None:
    """Let this process keep what it frees.

    The block comes from the system alone, is never touched, and costs nothing; a second one, which is
    never made, would come from what is kept.
    """
    bytes(KEPT)
