"""What every command shares: how it finds its configuration, speaks, and fails.

A command is a click command in a file of its own, called ``command``, that takes a :class:`Session`
first (``@click.pass_obj``). It raises :class:`BridgeError` and returns; :mod:`bridge.cli.main` shows
errors and sets the exit code. Results go to stdout through :meth:`Session.result` and
:meth:`Session.say`, everything else to stderr through :meth:`Session.note`.
"""

import os
import sys
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import click
import orjson

from bridge.config import Config, find_file, load
from bridge.config.licensekeys import LicenseKeys, load_license_keys
from bridge.terminal import safe, safe_json
from keys.ed25519 import SigningKey
from keys.errors import BridgeError, ConfigError
from keys.keyfile import PRIVATE_NAME, read_signing_key

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Answer with one JSON object on stdout."
)


class Session:
    """One run of the command line.

    ``config_file`` is what ``--config`` named. ``verbosity`` is -1 (errors only), 0, or 1 (debug).
    ``command`` is the name of the command, for the schema of its JSON.
    """

    def __init__(self) -> None:
        self.config_file: Path | None = None
        self.verbosity = 0
        self.command = "bridge"
        self.as_json = False
        self.exit_code = 0
        self.environment: Mapping[str, str] = os.environ

    @cached_property
    def config(self) -> Config:
        """The configuration; raises :class:`ConfigError`."""
        return load(find_file(self.config_file, self.environment), self.environment)

    @cached_property
    def license_keys(self) -> LicenseKeys:
        """The configured license keys; raises :class:`ConfigError`."""
        return load_license_keys(self.config, self.environment)

    @cached_property
    def signing_key(self) -> SigningKey:
        """The node's key; raises :class:`ConfigError`."""
        path = self.config.keys.path / PRIVATE_NAME
        try:
            return read_signing_key(path)
        except FileNotFoundError as error:
            raise ConfigError(
                "key.missing",
                f"There is no {PRIVATE_NAME} in the folder keys.path names.",
                "Make one with `bridge init`, or correct keys.path.",
            ) from error

    def begin(self, command: str, *, as_json: bool = False) -> None:
        """To be called first by each command: its name, and whether it answers in JSON."""
        self.command = command
        self.as_json = as_json

    def result(self, answer: Mapping[str, Any], text: Callable[[], None]) -> None:
        """The answer of a reporting command: ``answer`` as JSON, or what ``text`` says."""
        if self.as_json:
            self._write({"schema": f"bridge.{self.command}/1", **answer})
        else:
            text()

    def say(self, line: str = "") -> None:
        """A line of a result for people, on stdout."""
        click.echo(safe(line))

    def note(self, line: str) -> None:
        """A line about the work, on stderr; quiet with ``-q``."""
        if self.verbosity >= 0:
            click.echo(safe(line), err=True)

    def finish(self, exit_code: int) -> None:
        """End with ``exit_code`` after the result was written."""
        self.exit_code = exit_code

    def show_error(self, error: BridgeError) -> None:
        """An error as two lines on stderr, or as the JSON answer."""
        if self.as_json:
            said = {"id": error.id, "message": error.message, "hint": error.hint}
            self._write({"schema": f"bridge.{self.command}/1", "error": said})
            return
        mark = click.style("error:", fg="red", bold=True) if _colored() else "error:"
        click.echo(f"{mark} {safe(error.message)} [{error.id}]", err=True)
        click.echo(f"hint: {safe(error.hint)}", err=True)

    def _write(self, answer: Mapping[str, Any]) -> None:
        text = orjson.dumps(answer, option=orjson.OPT_APPEND_NEWLINE).decode()
        click.echo(safe_json(text), nl=False)


def _colored() -> bool:
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR")
