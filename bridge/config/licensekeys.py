"""License keys: read from files, compared in constant time, never shown.

Each configured key belongs to one node name. The first of a node's keys is sent with its records, the
others are accepted too, so that a key can be exchanged without a gap. A hosted data plane presents a
credential of its own with its telemetry; it is held here as well.
"""

import hmac
from collections.abc import Mapping
from pathlib import Path

from bridge.config.model import Config
from bridge.config.namedfile import read_named
from keys.errors import ConfigError, shown
from spool.lane import Lane
from spool.secrets import SECRET_MIN, SecretGuard
from spool.streams import STREAMS

KEY_MAX = 4096
"""Bytes of a license key: the vendor's offline keys are long, but not this long."""
CREDENTIAL = "license_key"
_AROUND = " \"'"
"""What a shell or an editor leaves around a key; no producer sends it, so all would be refused."""
ONLINE_KEY = "lcl_"
"""What the vendor's online keys begin with."""
VARIABLE = "BRIDGE_LICENSE_KEY"
"""Every process of this user can read another's environment: the last choice, with a warning."""


class LicenseKey:
    """One key; only :meth:`reveal` gives it away."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The key itself, for the moment of sending."""
        return self._value

    def __repr__(self) -> str:
        return "LicenseKey(…)"


class LicenseKeys:
    """The keys of each node; ``data_plane`` is the credential of ``node``, which is this one.

    ``from_environment`` says that one came in a variable, to be warned of.
    """

    def __init__(
        self,
        keys: Mapping[str, tuple[LicenseKey, ...]],
        *,
        node: str = "",
        data_plane: LicenseKey | None = None,
        from_environment: bool = False,
    ) -> None:
        self._keys = keys
        self._node = node
        self._data_plane = data_plane
        self.from_environment = from_environment

    def to_send(self, node: str) -> str | None:
        """The key that goes with the node's records; None where there is none."""
        keys = self._keys.get(node, ())
        return keys[0].reveal() if keys else None

    def sendable(self, lane: Lane) -> bool:
        """Whether there is something to send the lane's records with."""
        own_telemetry = lane.node == self._node and STREAMS[lane.stream].kind == "operational"
        return self.known(lane.node) or (own_telemetry and self._data_plane is not None)

    def known(self, node: str) -> bool:
        """Whether the node has a key."""
        return bool(self._keys.get(node))

    def accepts(self, node: str, presented: str) -> bool:
        """Whether ``presented`` is one of the node's keys; takes as long whichever it is."""
        given = presented.encode("utf-8", "surrogatepass")
        found = [
            hmac.compare_digest(key.reveal().encode(), given) for key in self._keys.get(node, ())
        ]
        return any(found)

    @property
    def data_plane_auth(self) -> str | None:
        """What this node's telemetry is sent with instead of a license key; None: with that."""
        return None if self._data_plane is None else self._data_plane.reveal()

    def nodes(self) -> tuple[str, ...]:
        """The nodes that have a key, by name."""
        return tuple(sorted(node for node, keys in self._keys.items() if keys))

    def accepted(self, node: str) -> list[str]:
        """The keys of the node, the one to send first."""
        return self._of(node)

    def same_as(self, other: "LicenseKeys") -> bool:
        """Whether both hold the same for each node, in the same order."""
        nodes = self._keys.keys() | other._keys.keys()  # noqa: SLF001 - one of ours
        return self.data_plane_auth == other.data_plane_auth and all(
            self._of(node) == other._of(node)  # noqa: SLF001
            for node in nodes
        )

    def _of(self, node: str) -> list[str]:
        return [key.reveal() for key in self._keys.get(node, ())]

    def revealed(self) -> list[str]:
        """Every key and credential, for whoever has to keep them out of something."""
        keys = [key.reveal() for keys in self._keys.values() for key in keys]
        return keys if self._data_plane is None else [*keys, self._data_plane.reveal()]

    def guard(self) -> SecretGuard:
        """Knows every key, so that none is ever stored."""
        return SecretGuard(self.revealed())


def load_license_keys(config: Config, environment: Mapping[str, str]) -> LicenseKeys:
    """The keys that ``config`` names, and the systemd credential where it names none.

    Raises :class:`ConfigError` ``license.file`` or ``license.form``; messages hold no key.
    """
    folder = config.source.parent
    keys = {
        node: tuple(_read(folder / name) for name in names)
        for node, names in config.licenses.items()
    }
    own = []
    from_environment = False
    credentials = environment.get("CREDENTIALS_DIRECTORY")
    if config.license_key_file is not None:
        own.append(_read(config.license_key_file))
    elif credentials and _is_there(Path(credentials) / CREDENTIAL):
        own.append(_read(Path(credentials) / CREDENTIAL))
    elif environment.get(VARIABLE):
        own.append(_judged(environment[VARIABLE], VARIABLE))
        from_environment = True
    if own:
        keys[config.node] = (*own, *keys.get(config.node, ()))
    data_plane = config.data_plane_auth_file
    return LicenseKeys(
        keys,
        node=config.node,
        data_plane=None if data_plane is None else _read(data_plane),
        from_environment=from_environment,
    )


def _is_there(credential: Path) -> bool:
    """Whether there is one, also where nobody can tell: to read it says why."""
    try:
        return credential.is_file()
    except OSError:
        return True


def _read(path: Path) -> LicenseKey:
    try:
        data = read_named(path, KEY_MAX + 2)
    except OSError as error:
        # Whoever wrote the key where its file belongs shall not find it in a log.
        name = "" if path.name.startswith(ONLINE_KEY) else f" {shown(str(path))}"
        raise ConfigError(
            "license.file",
            f"The key file{name} cannot be read: {error.strerror}.",
            "Put the key there, readable for this user alone, or correct the path.",
        ) from error
    return _judged(data.decode("latin-1").removesuffix("\n").removesuffix("\r"), str(path))


def _judged(text: str, where: str) -> LicenseKey:
    alone = text == text.strip(_AROUND)
    if alone and SECRET_MIN <= len(text) <= KEY_MAX and text.isascii() and text.isprintable():
        return LicenseKey(text)
    raise ConfigError(
        "license.form",
        f"What {shown(where)} holds is no key: {SECRET_MIN} to {KEY_MAX} printable "
        "characters on one line, without spaces or quotes around them.",
        "Store the key alone, as the vendor gave it.",
    )
