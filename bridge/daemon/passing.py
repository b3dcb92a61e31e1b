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

    The answer comes within the deadline also where a thread hangs in the system's name look-up. Who
    asks about a key that is being asked about gets the same answer.
    """
    under_way: dict[str, asyncio.Task[Passed | None]] = {}

    async def ask_once(key: str) -> Passed | None:
        loop = asyncio.get_running_loop()
        asked = loop.run_in_executor(pool, verify, client, key)
        try:
            async with asyncio.timeout(DEADLINE_S):
                answer = await asked
        except TimeoutError:
            return None
        return None if answer is None else Passed(answer.status, answer.body)

    async def ask(license_key: str) -> Passed | None:
        key = own_key or license_key
        task = under_way.get(key)
        if task is None:
            task = under_way[key] = asyncio.create_task(ask_once(key))
            task.add_done_callback(lambda _: under_way.pop(key))
        # One that is gone does not take the answer from the others.
        return await asyncio.shield(task)

    return ask
