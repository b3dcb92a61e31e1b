"""Takes a changed configuration up while the daemon runs: what can change at once, changes at once.

The whole of it is judged first, as at a start; what would keep the daemon from starting is refused,
and everything stays as it was. What is read once at the start (the node, the spool, the sockets, the
way to the beacon) needs a new start, and is named.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

from bridge.config import Config
from bridge.config.keys import KEYS
from bridge.config.licensekeys import LicenseKeys
from bridge.config.model import Tls
from bridge.daemon.serving import Serving
from bridge.egress.event import Event
from bridge.intake.tls import IntakeTls
from keys.errors import BridgeError
from spool.durable import explained

AT_RUN_TIME = frozenset(
    {
        "license_key_file", "licenses", "intake.require_license",
        "config.telemetry.logs", "config.telemetry.metrics", "config.telemetry.traces",
        "snapshots.enabled", "spool.max_size", "spool.min_free",
    }
)  # fmt: skip
"""The keys that act at once."""
TLS = frozenset({"intake.tls.cert", "intake.tls.key"})
"""These too where TLS is spoken before and after: a socket that speaks it speaks nothing else."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the configuration is read again, and the license keys that one names.

    Each raises :class:`ConfigError` where it would keep the daemon from starting.
    """

    config: Callable[[], Config]
    license_keys: Callable[[Config], LicenseKeys]


@dataclass(frozen=True, slots=True)
class Change:
    """From one configuration to the next: the one to go by now, and the keys that differ."""

    config: Config
    at_once: tuple[str, ...]
    at_restart: tuple[str, ...]

    @classmethod
    def of(cls, running: Config, found: Config) -> "Change":
        """What becomes of ``running`` when ``found`` is in the file."""
        speaks_tls = running.intake.tls.cert is not None and found.intake.tls.cert is not None
        live = AT_RUN_TIME | TLS if speaks_tls else AT_RUN_TIME
        differing = [key for key in KEYS if attrgetter(key)(running) != attrgetter(key)(found)]
        config = running
        for key in live.intersection(differing):
            config = _with(config, key.split("."), attrgetter(key)(found))
        at_once = tuple(key for key in differing if key in live)
        return cls(config, at_once, tuple(key for key in differing if key not in live))

    def event(self, *, new_keys: bool) -> Event:
        """One line for people; ``new_keys`` says that a key's file has another content."""
        at_once = [*self.at_once, *(["the license keys"] if new_keys else [])]
        message = f"Configuration reloaded: {', '.join(at_once) or 'nothing'} changed."
        if self.at_restart:
            message = f"{message[:-1]}; {', '.join(self.at_restart)} only after a restart."
        fields: dict[str, object] = {
            "changed": " ".join(at_once),
            "restart": " ".join(self.at_restart),
        }
        return Event("config.reloaded", message, fields)


class Reloading:
    """For one daemon; :meth:`look` is called often, by the thread that keeps house.

    ``config`` and ``licenses`` are those that it goes by.
    """

    def __init__(
        self,
        sources: Sources,
        config: Config,
        licenses: LicenseKeys,
        serving: Serving,
        tls: IntakeTls | None,
        tell: Callable[[Event], None],
    ) -> None:
        self._sources = sources
        self.config = config
        self.licenses = licenses
        self._serving = serving
        self._tls = tls
        self._tell = tell
        self._asked = False

    def ask(self) -> None:
        """Have it read at the next look; callable from a signal handler."""
        self._asked = True

    def look(self) -> bool:
        """Read it if somebody asked; whether there is something new to go by."""
        if not self._asked:
            return False
        self._asked = False
        try:
            change = Change.of(self.config, self._sources.config())
            licenses = self._sources.license_keys(change.config)
            take_up = self._serving.prepare(change.config, licenses)
            if not TLS.isdisjoint(change.at_once):
                self._move(change.config.intake.tls)
        except OSError as error:
            self._refuse(explained(error, "read the configuration again"))
            return False
        except BridgeError as error:
            self._refuse(error)
            return False
        take_up()
        self._tell(change.event(new_keys=not licenses.same_as(self.licenses)))
        self.config, self.licenses = change.config, licenses
        return True

    def _move(self, files: Tls) -> None:
        if self._tls is not None and files.cert is not None and files.key is not None:
            self._tls.move(files.cert, files.key)

    def _refuse(self, error: BridgeError) -> None:
        said = f"The new configuration is refused, the old one stays: {error.message} {error.hint}"
        self._tell(Event("config.refused", said, {"error": error.id}))


def _with(part: Any, path: Sequence[str], value: object) -> Any:  # noqa: ANN401 - any section
    name, *rest = path
    return replace(part, **{name: _with(getattr(part, name), rest, value) if rest else value})
