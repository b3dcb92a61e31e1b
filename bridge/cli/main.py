"""``bridge``: finds the command, runs it, shows what went wrong, and sets the exit code."""

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from bridge.cli.commands import COMMANDS
from bridge.cli.session import Session
from bridge.cli.standardfiles import OutputError, make_sure_of_standard_files
from bridge.garbage import collect_seldom
from keys.errors import BridgeError
from spool.outoffiles import out_of_files_behind

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 and the number of SIGINT."""
PIPE_CLOSED = 141
"""Exit code when nobody reads the output any more: 128 and the number of SIGPIPE."""


class _NobodyReadsError(Exception):
    """The reader of our output has gone; click would turn the :class:`OSError` into a plain 1."""


@contextmanager
def _nobody_may_read() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise _NobodyReadsError from error


class _Commands(click.Group):
    """Imports a command's file when it is called, so that ``bridge append`` starts quickly."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with _nobody_may_read():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own signature
        # Before the command's file is imported: -v shall show where that fails.
        ctx.obj.verbosity = int(ctx.params["verbose"]) - int(ctx.params["quiet"])
        with _nobody_may_read():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        file = {"import": "import_"}.get(cmd_name, cmd_name)
        found: click.Command = importlib.import_module(f"bridge.cli.{file}").command
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


def _show_version(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        click.echo(f"bridge, version {version('airgap-bridge')}")
        ctx.exit()


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The configuration; else ./bridge.yaml, ~/.config/bridge, /etc/bridge.",
)
@click.option("-v", "--verbose", is_flag=True, help="Log more; show where an error came from.")
@click.option("-q", "--quiet", is_flag=True, help="Errors only.")
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
@click.pass_obj
def bridge(session: Session, config_file: Path | None, *, verbose: bool, quiet: bool) -> None:
    """Carry LangSmith's billing and telemetry to the beacon, across outages and air gaps."""
    if verbose and quiet:
        raise click.UsageError("-v and -q exclude each other.")
    session.config_file = config_file


def main() -> None:
    """Run the command line and exit."""
    make_sure_of_standard_files()
    collect_seldom()
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run the command line; its exit code."""
    session = Session()
    # Also before a command could say so itself: wrong usage is answered in JSON too.
    session.as_json = "--json" in arguments
    session.command = next((word for word in arguments if word in COMMANDS), session.command)
    try:
        return _ended(session, arguments)
    except OutputError as error:
        _let_go_of_output()
        session.show_error(error)
        return error.exit_code
    except (BrokenPipeError, _NobodyReadsError):
        _let_go_of_output()
        return PIPE_CLOSED


def _let_go_of_output() -> None:
    """Nothing more is written to stdout: the interpreter would complain once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _ended(session: Session, arguments: list[str]) -> int:
    """Run the command line, and tell of its errors but those that come of telling; its exit code."""
    try:
        code = bridge.main(arguments, prog_name="bridge", standalone_mode=False, obj=session)
        sys.stdout.flush()
    except click.exceptions.Abort:
        return INTERRUPTED
    except click.ClickException as error:
        _show_usage(session, error)
        return error.exit_code
    except (OutputError, BrokenPipeError, _NobodyReadsError):
        raise
    except BridgeError as error:
        shown = out_of_files_behind(error) or error
        session.show_error(shown)
        return shown.exit_code
    except Exception as error:  # noqa: BLE001 - people get a sentence, and the way to the rest
        shown = out_of_files_behind(error) or BridgeError(
            "internal",
            f"This is a fault of the program ({type(error).__name__}).",
            "Run the command again with `bridge -v` before it, and report what it prints.",
        )
        session.show_error(shown)
        if session.verbosity > 0:
            session.show_trace(error)
        return shown.exit_code
    # An option like --help ends with a code of its own.
    return code if isinstance(code, int) and code else session.exit_code


def _show_usage(session: Session, error: click.ClickException) -> None:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = "bridge" if context is None else context.command_path
    session.show_error(BridgeError("usage", error.format_message(), f"See `{path} --help`."))


if __name__ == "__main__":
    main()
