"""The commands there are, and how one is written so that it can be pasted."""

import re
import shlex
from pathlib import Path

COMMANDS = {
    "append": "Append records from a file or stdin; returns when they are durable.",
    "backfill": "Take usage that was never reported from the vendor's CSV exports.",
    "audit": "List what left, when, where to, and what was answered.",
    "demo": "The whole journey on this machine, with kills and an outage.",
    "doctor": "Check this machine and the way to the beacon; names what is wrong.",
    "export": "Pack what waits into bundles for a courier; on a relay, what goes back.",
    "import": "Take in bundles on a relay, and return bundles on a node.",
    "keys": "This machine's key, and the keys of others that it trusts.",
    "init": "Make a node: configuration, keys, spool.",
    "inspect": "Show what a file holds, exactly as it will leave.",
    "license": "Look after the license key and its tokens.",
    "replay": "Send again on purpose; without a selection, what waits, now.",
    "run": "Run the daemon: take, seal, send.",
    "status": "Say how things stand.",
    "testbeacon": "Run the reference beacon, for trials.",
    "verify": "Verify signatures, digests and chains.",
}
WITHOUT_CONFIGURATION = frozenset({"demo", "init", "testbeacon"})
"""Those that read none."""
_NAMED = re.compile(
    rf"\bbridge (?=(?:{'|'.join(sorted(COMMANDS.keys() - WITHOUT_CONFIGURATION))})\b)"
)


def pasteable(text: str, config: Path | None) -> str:
    """``text`` with the commands in it as somebody has to type them who named the file ``config``."""
    if config is None:
        return text
    named = f"bridge --config {shlex.quote(str(config))} "
    return _NAMED.sub(lambda _: named, text)
