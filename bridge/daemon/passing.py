"""License requests of the intake, asked of the beacon in threads of their own."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from bridge.egress.client import BeaconClient
from bridge.egress.verifying import DEADLINE_S, verify
from bridge.intake.passing import Passed, Verify

AT_ONCE = 8
"""Requests that wait for the beacon at once; one node has a handful of programs that ask."""


def passing_on(client: BeaconClient, own_key: str | None, pool: ThreadPoolExecutor) -> Verify:
    """Asks the beacon about ``own_key``, or about the one presented where this node has none.

    The answer comes within the deadline also where a thread hangs in the system's name look-up.
    """

    async def ask(license_key: str) -> Passed | None:
        loop = asyncio.get_running_loop()
        asked = loop.run_in_executor(pool, verify, client, own_key or license_key)
        try:
            async with asyncio.timeout(DEADLINE_S):
                answer = await asked
        except TimeoutError:
            return None
        return None if answer is None else Passed(answer.status, answer.body)

    return ask
