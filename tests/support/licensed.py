"""A license cache with clocks that a test turns."""

from dataclasses import dataclass, field
from pathlib import Path

from bridge.license.clockguard import Reading
from bridge.license.judgement import Judgement, Licensed, Rules
from bridge.license.keeping import LicenseKeeper, Taken
from keys.ed25519 import SigningKey
from keys.jwks import PinnedKey
from spool.durable import Disk
from tests.support.disks import FastDisk
from tests.support.tokens import AUDIENCE, DAY_S, ED, ISSUER, NOW_S, claims

MS = 1000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
NODE = "n"
KEY = "lcl_EXAMPLE_of_this_node"
LICENSED = Licensed.by([KEY])
SIGNER = SigningKey(bytes(range(32)))
PINNED = ED.pinned()


class TurnedClock:
    """Wall, boot and monotonic clocks that only a test moves."""

    def __init__(self) -> None:
        self.wall = NOW_S * MS
        self.boot = 1
        self.since_boot = DAY_MS
        self.mono = 1000.0

    def pass_ms(self, ms: int) -> None:
        self.wall += ms
        self.since_boot += ms
        self.mono += ms / MS

    def reboot(self) -> None:
        self.boot += 1
        self.since_boot = 60_000

    def reading(self) -> Reading:
        return Reading(self.wall, f"{self.boot:08x}", self.since_boot)

    def wall_ms(self) -> int:
        return self.wall

    def monotonic(self) -> float:
        return self.mono


def rules(keys: tuple[PinnedKey, ...] = PINNED) -> Rules:
    return Rules(keys, ISSUER, AUDIENCE, 300_000, 14 * DAY_MS, 400 * DAY_MS)


@dataclass
class Cache:
    """A keeper on ``spool`` with a clock."""

    spool: Path
    keys: tuple[PinnedKey, ...] = PINNED
    disk: Disk = field(default_factory=FastDisk)
    clock: TurnedClock = field(default_factory=TurnedClock)

    def __post_init__(self) -> None:
        self.spool.mkdir(exist_ok=True)
        self.keeper = self.restarted()

    def restarted(self) -> LicenseKeeper:
        """A keeper that remembers only what is on the disk."""
        self.keeper = LicenseKeeper(
            self.disk, self.spool, NODE, SIGNER, rules(self.keys), self.clock
        )
        return self.keeper

    def token(self, *, days: float = 30, ago_s: int = 0, **more: object) -> str:
        """One of the vendor's, issued by the wall clock of now less ``ago_s``."""
        iat = self.clock.wall // MS - ago_s
        return ED.sign(None, claims(**{"iat": iat, "exp": iat + int(days * DAY_S), **more}))

    def took(self, token: str, source: str = "beacon") -> Taken:
        key = KEY if source == "beacon" else None
        return self.keeper.took(NODE, token, source, key, LICENSED)  # type: ignore[arg-type]

    def now(self, *, failed: bool = False) -> Judgement:
        return self.keeper.reader.judgement(NODE, LICENSED, refresh_failed=failed)

    @property
    def file(self) -> Path:
        return self.spool / "license" / f"{NODE}.json"
