"""What every command shares: how it finds its configuration, speaks, and fails.

A command is a click command in a file of its own, called ``command``, that takes a :class:`Session`
first (``@click.pass_obj``), calls :meth:`Session.begin` first, and imports what it alone needs inside
the function. What the session reads (configuration, keys) is read on first use. A command raises
:class:`BridgeError` and returns; :mod:`bridge.cli.main` shows errors and sets the exit code. Results
go to stdout through :meth:`Session.result` and :meth:`Session.say`, everything else to stderr through
:meth:`Session.note`.
"""

import logging
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from bridge.cli.commands import pasteable
from bridge.cli.standardfiles import OutputError
from bridge.terminal import safe, safe_json
from keys.errors import BridgeError, ConfigError

if TYPE_CHECKING:
    from bridge.config import Config
    from bridge.config.licensekeys import LicenseKeys
    from keys.ed25519 import SigningKey

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
        self._secrets: Sequence[str] = ()

    @cached_property
    def config(self) -> "Config":
        """The configuration; raises :class:`ConfigError`."""
        from bridge.config import find_file, load

        return load(find_file(self.config_file, self.environment), self.environment)

    @cached_property
    def license_keys(self) -> "LicenseKeys":
        """The configured license keys; raises :class:`ConfigError`."""
        from bridge.config.licensekeys import VARIABLE, load_license_keys
        from bridge.operate.logs import configure, log

        keys = load_license_keys(self.config, self.environment)
        self._secrets = keys.revealed()
        if keys.from_environment:
            configure(self.config.log.format, self.verbosity, self._secrets)
            message = f"{VARIABLE} is seen by every process of this user; use license_key_file."
            log("license.environment", message, {}, level=logging.WARNING)
        return keys

    @cached_property
    def signing_key(self) -> "SigningKey":
        """The node's key; raises :class:`ConfigError`."""
        from keys.keyfile import PRIVATE_NAME
        from keys.ownkey import read_own_key

        try:
            return read_own_key(self.config.keys.path)
        except FileNotFoundError as error:
            raise ConfigError(
                "key.missing",
                f"There is no {PRIVATE_NAME} in the folder keys.path names.",
                "Make one with `bridge init`, or correct keys.path.",
            ) from error
        except OSError as error:
            raise ConfigError(
                "key.unreadable",
                f"{PRIVATE_NAME} in the folder keys.path names cannot be read: {error.strerror}.",
                "Run this as the user that owns the key, a regular file of mode 0600.",
            ) from error

    def begin(self, command: str, *, as_json: bool = False) -> None:
        """To be called first by each command: its name, and whether it answers in JSON."""
        self.command = command
        self.as_json = as_json

    def result(self, answer: Mapping[str, Any], text: Callable[[], None]) -> None:
        """The answer of a reporting command: ``answer`` as JSON, or what ``text`` says."""
        if self.as_json:
            self._write({"schema": f"bridge.{self.command}/1", **self._hinted(answer)})
        else:
            text()

    def say(self, line: str = "") -> None:
        """A line of a result for people, on stdout."""
        click.echo(safe(line))

    def write(self, json: str) -> None:
        """A piece of a JSON answer that is too large to be held, on stdout."""
        # As bytes: JSON is UTF-8, whatever the terminal's encoding is.
        click.echo(safe_json(json).encode(), nl=False)

    def hint(self, text: str) -> str:
        """What to do next, with this run's ``--config`` in the commands that it names."""
        return pasteable(text, self.config_file)

    def note(self, line: str) -> None:
        """A line about the work, on stderr; quiet with ``-q``.

        Where it cannot be written (its disk is full), the work goes on without it, as without a line of
        the log. Raises :class:`BrokenPipeError` where nobody reads.
        """
        if self.verbosity >= 0:
            _tell(safe(self.hint(line)))

    def finish(self, exit_code: int) -> None:
        """End with ``exit_code`` after the result was written."""
        self.exit_code = exit_code

    def show_error(self, error: BridgeError) -> None:
        """An error as two lines on stderr, or as the JSON answer."""
        message, hint = self._masked(error.message), self.hint(self._masked(error.hint))
        if self.as_json and not isinstance(error, OutputError):
            said = {"id": error.id, "message": message, "hint": hint}
            self._write({"schema": f"bridge.{self.command}/1", "error": said})
            return
        mark = click.style("error:", fg="red", bold=True) if _colored() else "error:"
        _tell(f"{mark} {safe(message)} [{error.id}]")
        _tell(f"hint: {safe(hint)}")

    def show_trace(self, error: Exception) -> None:
        """Where a fault of ours came from, on stderr, without a license key."""
        for line in "".join(traceback.format_exception(error)).splitlines():
            _tell(safe(self._masked(line)))

    def keep_out(self, secrets: Sequence[str]) -> Sequence[str]:
        """Show these no more than those before them; all that are not shown."""
        self._secrets = list(dict.fromkeys([*self._secrets, *secrets]))
        return self._secrets

    def _hinted(self, answer: Any) -> Any:  # noqa: ANN401 - a tree of JSON
        """``answer`` with every hint in it as :meth:`hint` gives it."""
        if isinstance(answer, Mapping):
            return {
                key: self.hint(value)
                if key == "hint" and isinstance(value, str)
                else self._hinted(value)
                for key, value in answer.items()
            }
        return [*map(self._hinted, answer)] if isinstance(answer, list | tuple) else answer

    def _masked(self, text: str) -> str:
        if not self._secrets:
            return text
        from bridge.operate.logs import masked

        return masked(text, self._secrets)

    def _write(self, answer: Mapping[str, Any]) -> None:
        data = orjson.dumps(_encodable(answer), option=orjson.OPT_APPEND_NEWLINE)
        self.write(data.decode())


def _tell(line: str) -> None:
    """Write to stderr what can be written."""
    try:
        click.echo(line, err=True)
    except BrokenPipeError:
        raise
    except OSError:
        return


def _encodable(value: Any) -> Any:  # noqa: ANN401 - a tree of JSON
    """``value`` with file names that are no UTF-8 escaped; everything else is left as it is."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encodable(item) for item in value]
    return value


def _colored() -> bool:
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR")
