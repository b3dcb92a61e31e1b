"""SIGKILL at each system call by which a token or a refusal is kept, on the real disk.

What a power cut leaves is another question: tests/crash/test_license_crash.py, on a simulated disk.
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.license.judgement import Judgement, Licensed, Rules
from bridge.license.keeping import LicenseKeeper
from bridge.license.readings import SYSTEM_GUARD_CLOCK
from bridge.license.states import State
from keys.ed25519 import SigningKey
from spool.durable import OS_DISK
from tests.support.commands import environment
from tests.support.tokens import ED, jwks

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not here")
CALLS = {"pwritev,pwritev2": 3, "fdatasync": 3, "rename": 3, "fsync": 3}
"""How often at least: three files are written, synced and renamed, and their folder is synced."""
NODE = "n"
KEY = "lcl_EXAMPLE_of_this_node"
LICENSED = Licensed.by([KEY])
_PROGRAM = """
import sys
from pathlib import Path
from bridge.license.judgement import Licensed, Rules
from bridge.license.keeping import LicenseKeeper
from bridge.license.readings import SYSTEM_GUARD_CLOCK
from keys.ed25519 import SigningKey
from keys.jwks import load_jwks
from spool.durable import OS_DISK

spool, keys, token, key = sys.argv[1:]
pinned = load_jwks(Path(keys).read_bytes())
rules = Rules(pinned, None, None, 300_000, 0, 400 * 86_400_000)
signer = SigningKey(bytes(range(32)))
keeper = LicenseKeeper(OS_DISK, Path(spool), "n", signer, rules, SYSTEM_GUARD_CLOCK)
if token:
    keeper.took("n", token, "beacon", key, Licensed())
else:
    keeper.refused("n", 403, key)
"""


def _keeper(spool: Path) -> LicenseKeeper:
    spool.mkdir(exist_ok=True)
    rules = Rules(ED.pinned(), None, None, 300_000, 0, 400 * 86_400_000)
    signer = SigningKey(bytes(range(32)))
    return LicenseKeeper(OS_DISK, spool, NODE, signer, rules, SYSTEM_GUARD_CLOCK)


def _token(hours: int) -> str:
    now_s = int(time.time())
    return ED.sign(None, {"iat": now_s, "exp": now_s + hours * 3600})


def _was_killed(spool: Path, keys: Path, token: str, call: str, at: int) -> bool:
    """Keep ``token``, or a refusal without one, in a process that is killed at its call ``at``."""
    inject = f"inject={call}:signal=KILL:when={at}"
    program = [sys.executable, "-B", "-c", _PROGRAM, str(spool), str(keys), token, KEY]
    done = subprocess.run(
        ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", inject, *program],
        env=environment(), capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode in (0, -9, 137), done.stderr
    return done.returncode != 0


def _each_kill(tmp_path: Path, token: str, check: Callable[[Judgement, str], None]) -> None:
    """Check what is found after each kill, with the token from before."""
    (tmp_path / "jwks.json").write_bytes(jwks(ED.jwk()))
    for call, least in CALLS.items():
        for at in range(1, 20):
            spool = tmp_path / f"spool-{call}-{at}"
            keeper, old = _keeper(spool), _token(10)
            assert keeper.took(NODE, old, "beacon", KEY, LICENSED).kept
            was_killed = _was_killed(spool, tmp_path / "jwks.json", token, call, at)
            found = _keeper(spool).reader.judgement(NODE, LICENSED)
            assert not found.anchors_lost
            if not was_killed:
                assert at > least
                break
            check(found, old)
            assert _keeper(spool).took(NODE, _token(30), "beacon", KEY, LICENSED).kept


def test_a_kill_at_any_write_of_a_token_leaves_the_old_or_the_new_one_whole(
    tmp_path: Path,
) -> None:
    new = _token(20)
    seen = []

    def check(found: Judgement, old: str) -> None:
        assert found.state is State.VALID
        assert found.token in (old, new)
        seen.append(found.token == new)

    _each_kill(tmp_path, new, check)
    assert set(seen) == {False, True}


def test_a_kill_at_any_write_of_a_refusal_leaves_the_token_or_the_refusal(tmp_path: Path) -> None:
    seen = []

    def check(found: Judgement, old: str) -> None:
        assert found.state in (State.VALID, State.DENIED)
        assert found.token in (old, None)
        seen.append(found.state is State.DENIED)

    _each_kill(tmp_path, "", check)
    assert set(seen) == {False, True}
