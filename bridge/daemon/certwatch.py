"""Follows the certificate's files: takes a new pair into use, says what it cannot take, and warns.

A pair that cannot be taken is said once it lies still: somebody may be in the middle of exchanging
its files. It is tried again for as long as it lies there, because some of what is wrong heals by
itself.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from bridge.config import Config
from bridge.egress.event import Event
from bridge.intake.tls import IntakeTls, PairStat
from bridge.operate.certificate import WARN_MS
from keys.errors import ConfigError
from spool.clock import MS, Clock, rfc3339
from spool.durable import Disk, explained
from spool.troublefile import Trouble, write_trouble

LOOK_EVERY_S = 1.0
"""Seconds between two looks at the files, at least."""
WARN_EVERY_MS = 24 * 3600 * 1000
"""Between two warnings of one end."""


def tls_for(config: Config, clock: Clock) -> IntakeTls | None:
    """The configured pair; None where there is none. Raises :class:`ConfigError` ``tls.*``."""
    files = config.intake.tls
    if files.cert is None or files.key is None:
        return None
    host = urlsplit(config.beacon.url).hostname or ""
    return IntakeTls(
        files.cert, files.key, host, lambda: datetime.fromtimestamp(clock.wall_ms() / MS, UTC)
    )


class CertificateWatch:
    """Watches over the pair of one intake; :meth:`look` is called often, from one thread."""

    def __init__(
        self,
        tls: IntakeTls,
        spool: Path,
        *,
        disk: Disk,
        clock: Clock,
        tell: Callable[[Event], None],
    ) -> None:
        self._tls = tls
        self._spool = spool
        self._disk = disk
        self._clock = clock
        self._tell = tell
        self._seen = self._used = tls.stat()
        self._next = clock.monotonic()
        self._asked = False
        self._refused: Trouble | None = None
        self._told = False
        self._failed = ""
        self._warned: int | None = None
        self._put()
        self._warn()

    def ask(self) -> None:
        """Look at the next occasion, changed or not; callable from a signal handler."""
        self._asked = True

    def is_due(self) -> bool:
        """Whether a look has something to do: another pair lies there, or one that is refused."""
        return self._refused is not None or self._tls.stat() != self._used

    def look(self) -> None:
        """Take what is new into use, if it is time."""
        asked, self._asked = self._asked, False
        if not asked and self._clock.monotonic() < self._next:
            return
        self._next = self._clock.monotonic() + LOOK_EVERY_S
        found = self._tls.stat()
        if asked or found != self._used:
            self._try(found, is_still=asked or found == self._seen)
        self._seen = found
        if not self._told:
            self._put()
        self._warn()

    def _try(self, found: PairStat, *, is_still: bool) -> None:
        try:
            served = self._tls.reload()
        except ConfigError as error:
            refused = Trouble.of(error)
            if is_still and refused != self._refused:
                self._refused, self._told = refused, False
                self._tell(
                    Event(
                        "tls.refused",
                        f"{error.message} {error.hint}",
                        {"error": error.id, "ends_at": rfc3339(self._ends_ms())},
                    )
                )
            return
        is_news = found != self._used or self._refused is not None
        self._used = found
        self._told &= self._refused is None
        self._refused = None
        if not is_news:
            return
        self._warned = None
        self._tell(
            Event(
                "tls.taken",
                "New connections are given the new certificate.",
                {"names": " ".join(served.names), "ends_at": rfc3339(self._ends_ms())},
            )
        )

    def _ends_ms(self) -> int:
        return int(self._tls.served.ends.timestamp()) * MS

    def _put(self) -> None:
        try:
            write_trouble(self._disk, self._spool, "tls", self._refused)
        except OSError as error:
            message = explained(error, "tell of the certificate").message
            if message != self._failed:
                self._failed = message
                self._tell(Event("tls.untold", message))
            return
        self._told, self._failed = True, ""

    def _warn(self) -> None:
        """Say that the end is near, at first and then daily."""
        now, end = self._clock.wall_ms(), self._ends_ms()
        if now < end - WARN_MS:
            return
        if self._warned is not None and 0 <= now - self._warned < WARN_EVERY_MS:
            return
        self._warned = now
        fields: dict[str, object] = {"ends_at": rfc3339(end)}
        if now >= end:
            message = "The intake's certificate has ended; producers do not connect any more."
            self._tell(Event("tls.expired", message, fields))
        else:
            message = "The intake's certificate ends soon; see `bridge init --tls --renew`."
            self._tell(Event("tls.expiring", message, fields))
