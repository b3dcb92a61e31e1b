"""A command that is shown can be typed as it stands there."""

from pathlib import Path

import pytest

from bridge.cli.commands import COMMANDS, WITHOUT_CONFIGURATION, pasteable

FILE = Path("/etc/my bridge/bridge.yaml")


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - WITHOUT_CONFIGURATION))
def test_a_command_that_reads_a_configuration_names_the_one_that_was_named(name: str) -> None:
    shown = pasteable(f"Look at `bridge {name}`; then run bridge {name} --again.", FILE)
    typed = f"bridge --config '{FILE}' {name}"
    assert shown == f"Look at `{typed}`; then run {typed} --again."


@pytest.mark.parametrize(
    "text",
    [
        *(f"Run bridge {name}." for name in sorted(WITHOUT_CONFIGURATION)),
        "The bridge has stopped.",
        "bridge.yaml",
        "airgap-bridge-key",
        "bridge statuses",
    ],
)
def test_what_names_no_such_command_stays_as_it_is(text: str) -> None:
    assert pasteable(text, FILE) == text


def test_who_named_no_file_is_told_none() -> None:
    assert pasteable("Run bridge status.", None) == "Run bridge status."
