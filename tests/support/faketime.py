"""Debian's faketime, for processes whose environment a test sets by itself."""

import subprocess


def preloaded() -> str:
    """What faketime has processes load: the value of ``LD_PRELOAD``."""
    said = subprocess.run(
        ["faketime", "-f", "+0", "sh", "-c", 'echo "$LD_PRELOAD"'],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return said.stdout.strip()
