"""Loads the configuration: the file, then the environment, then the flags; all judged by one table.

Raises :class:`ConfigError` ``config.*`` that names where, which key, what is allowed, an example.
"""

import dataclasses
import os
import re
import stat
import types
import typing
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bridge.config.keys import KEYS, SECTIONS
from bridge.config.licensekeys import ONLINE_KEY
from bridge.config.model import Config
from bridge.config.yamlfile import FILE_MAX, Setting, read_settings, value_of
from keys.errors import ConfigError, shown

PREFIX = "BRIDGE_"
FILE_NAME = "bridge.yaml"
ANY_PORT = 0
"""As a port: whichever is free."""
_OWN_VARIABLES = frozenset({"BRIDGE_LICENSE_KEY"})
"""Variables with our prefix that are no configuration keys."""
_VENDOR_SWITCHES = {
    "BEACON_LOGGING_ENABLED": "config.telemetry.logs",
    "BEACON_METRICS_ENABLED": "config.telemetry.metrics",
    "BEACON_TRACING_ENABLED": "config.telemetry.traces",
    "PHONE_HOME_USAGE_REPORTING_ENABLED": "snapshots.enabled",
}
"""The vendor's own words in the environment, and the keys that say the same."""
_BILLING = ("billing", "transactions", "langgraph", "usage", "ingest", "verif")
"""Words in a key of no other meaning here: whoever writes it wants to switch billing off."""
_BILLING_VARIABLE = re.compile(
    r"(?:BEACON|PHONE_HOME|LANGGRAPH|LANGSMITH)(?:_[A-Z]+)*"
    r"_(?:BILLING|TRANSACTIONS?|INGEST|USAGE|USAGE_REPORTING|LANGGRAPH|LICENSE|VERIFY|VERIFICATION)"
    r"_(?P<end>ENABLED|DISABLED)|(?:BEACON|PHONE_HOME)_(?P<all>ENABLED|DISABLED)"
)
"""Variables in the vendor's style that would switch billing off, if there were such switches."""


def find_file(explicit: Path | None, environment: Mapping[str, str]) -> Path:
    """The configuration file to use; see ``bridge --help`` for where it is looked for."""
    if explicit is not None:
        return explicit.absolute()
    here = Path(FILE_NAME).absolute()
    for path in (here, *_elsewhere(environment)):
        try:
            found = path.is_file()
        except OSError:  # a folder that is closed to this user holds no configuration for it
            continue
        if found and (path != here or _safe_here(path)):
            return path
    raise ConfigError(
        "config.missing",
        "There is no bridge.yaml here, in ~/.config/bridge or in /etc/bridge.",
        "Make one with `bridge init`, or name one with --config FILE.",
    )


def _elsewhere(environment: Mapping[str, str]) -> Iterator[Path]:
    base = environment.get("XDG_CONFIG_HOME")
    if base:
        yield Path(base) / "bridge" / FILE_NAME
    else:
        with suppress(RuntimeError):  # a user without a home, as containers have
            yield Path.home() / ".config" / "bridge" / FILE_NAME
    yield Path("/etc/bridge") / FILE_NAME


def _safe_here(path: Path) -> bool:
    """Whether a file in the working folder may speak: only its owner, us or root, can write it."""
    status, link = path.stat(), path.lstat()
    ours = {status.st_uid, link.st_uid} <= {os.geteuid(), 0}
    if ours and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return True
    raise ConfigError(
        "config.unsafe",
        f"{shown(str(path))} belongs to another user, or others may write it.",
        "Name it with --config if you trust it, or: chmod go-w bridge.yaml.",
    )


def load(path: Path, environment: Mapping[str, str]) -> Config:
    """The configuration in ``path`` and ``environment``.

    What is switched off in one place stays off: the vendor's chart sets its variables to true by
    default, and a default is no consent.
    """
    try:
        with path.open("rb") as file:
            data = file.read(FILE_MAX + 1)
    except FileNotFoundError as error:
        raise ConfigError(
            "config.missing",
            f"There is no configuration {shown(str(path))}.",
            "Name another with --config FILE, or make one with `bridge init`.",
        ) from error
    except OSError as error:
        raise ConfigError(
            "config.unreadable",
            f"The configuration {shown(str(path))} cannot be read: {os.strerror(error.errno or 0)}.",
            "Run this as a user who may read it, or name another file with --config FILE.",
        ) from error
    settings = dict(read_settings(data, path.name, SECTIONS.__contains__))
    for key, setting in _from_environment(environment):
        if key in _VENDOR_SWITCHES.values() and key in settings and not _is_on(key, settings[key]):
            _judged(key, setting)
            continue
        settings[key] = setting
    return parse(settings, path.absolute())


def _is_on(key: str, switch: Setting) -> bool:
    return _judged(key, switch) is True


def _from_environment(environment: Mapping[str, str]) -> Iterator[tuple[str, Setting]]:
    for name, text in sorted(environment.items()):
        where = f"environment {name}"
        if name in _VENDOR_SWITCHES:
            yield _VENDOR_SWITCHES[name], Setting(text, where)
        elif name.startswith(PREFIX) and name not in _OWN_VARIABLES:
            key = name.removeprefix(PREFIX).lower().replace("__", ".")
            yield key, Setting(value_of(text, where), where)
        elif _switches_billing_off(name, text):
            raise _billing(where, name)


def _switches_billing_off(name: str, text: str) -> bool:
    found = _BILLING_VARIABLE.fullmatch(name)
    if found is None:
        return False
    meant = text.strip().lower()
    if (found["end"] or found["all"]) == "ENABLED":
        return meant in {"false", "no", "off", "0"}
    return meant in {"true", "yes", "on", "1"}


def parse(settings: Mapping[str, Setting], source: Path) -> Config:
    """The configuration that ``settings`` make, with defaults for the rest; nothing is read."""
    for key, setting in settings.items():
        if key not in KEYS:
            raise _unknown(key, setting)
    if "node" not in settings:
        raise ConfigError(
            "config.node",
            f"{source.name}: `node` is missing; each machine needs a name of its own.",
            "Write e.g. `node: prod-1`.",
        )
    values = {key: _judged(key, settings.get(key)) for key in KEYS}
    if values["beacon.addresses"] and values["beacon.proxy"]:
        raise ConfigError(
            "config.addresses",
            f"{settings['beacon.addresses'].where}: with `beacon.proxy` it is the proxy that connects "
            "to the beacon, and `beacon.addresses` would mean nothing.",
            "Leave one of the two out.",
        )
    if (values["intake.tls.cert"] is None) != (values["intake.tls.key"] is None):
        given = "cert" if values["intake.tls.key"] is None else "key"
        raise ConfigError(
            "config.tls",
            f"{settings[f'intake.tls.{given}'].where}: `intake.tls` has a `{given}` and not the other "
            "of the two.",
            "Write e.g. `tls: {cert: tls/cert.pem, key: tls/key.pem}`.",
        )
    values["source"] = source
    config = _build(Config, "", values, source.parent)
    assert isinstance(config, Config)  # noqa: S101 - the type that was asked for
    if config.intake.listen == config.admin.listen and config.intake.listen[1] != ANY_PORT:
        key = "admin.listen" if "admin.listen" in settings else "intake.listen"
        raise ConfigError(
            "config.listen",
            f"{settings[key].where}: `intake.listen` and `admin.listen` are one address and port.",
            "Give one of them another port, e.g. `admin: {listen: 127.0.0.1:8481}`.",
        )
    return config


def _judged(key: str, setting: Setting | None) -> object:
    row = KEYS[key]
    if setting is None:
        return row.unset
    try:
        value = row.parse(setting.value)
    except (ValueError, TypeError):
        found = "" if row.secret else f"; it is {_shown(setting.value)}"
        raise ConfigError(
            "config.value",
            f"{setting.where}: `{key}` must be {row.allowed}{found}.",
            f"Write e.g. `{key.rpartition('.')[2]}: {row.example}`.",
        ) from None
    return value


def _shown(written: object) -> str:
    """What somebody wrote, but for a license key: that shall not be found in a log."""
    return f"'{ONLINE_KEY}…'" if ONLINE_KEY in str(written) else shown(written)


def _unknown(key: str, setting: Setting) -> ConfigError:
    inner = setting.value if isinstance(setting.value, dict) else {}
    last = key.rpartition(".")[2]
    if any(word in name for name in (last, *map(str, inner)) for word in _BILLING):
        return _billing(setting.where, key)
    section = key.rpartition(".")[0]
    near = sorted(k for k in KEYS if k.rpartition(".")[0] == section) or sorted(KEYS)
    return ConfigError(
        "config.unknown_key",
        f"{setting.where}: {_shown(key)} is no key of the configuration.",
        f"Use one of: {', '.join(near)}.",
    )


def _billing(where: str, name: str) -> ConfigError:
    return ConfigError(
        "config.billing",
        f"{where}: {shown(name)} would switch billing off, and there is no such switch: the license "
        "asks for usage reports and license verification.",
        "Leave it out; logs, metrics, traces and snapshots have switches, see docs/configuration.md.",
    )


def _build(kind: type[Any], prefix: str, values: Mapping[str, object], folder: Path) -> object:
    """An instance of the dataclass ``kind`` from the flat ``values`` below ``prefix``."""
    given: dict[str, object] = {}
    for field in dataclasses.fields(kind):
        key = f"{prefix}{field.name}"
        if dataclasses.is_dataclass(field.type):
            assert isinstance(field.type, type)  # noqa: S101 - a class, not an instance
            given[field.name] = _build(field.type, f"{key}.", values, folder)
        else:
            value = values[key]
            is_path = Path in _kinds(field.type) and isinstance(value, str)
            given[field.name] = folder / str(value) if is_path else value
    return kind(**given)


def _kinds(annotation: object) -> tuple[object, ...]:
    if isinstance(annotation, types.UnionType):
        return typing.get_args(annotation)
    return (annotation,)
