"""What holds for every test: no way out, no settings from the machine, no clock in the verdict.

pytest-socket refuses every socket but Unix ones. A test marked ``enable_socket`` may connect, and
to the loopback addresses alone.
"""

import gc
import os
import signal
import sys
from collections.abc import Generator

import hypothesis
import pytest
import pytest_socket

LOOPBACK = ["127.0.0.1", "::1"]
FOREIGN_SETTINGS = ("BRIDGE_", "BEACON_", "PHONE_HOME_", "XDG_")
"""Beginnings of environment names that the bridge obeys."""
FOREIGN_NAMES = frozenset(
    {"CREDENTIALS_DIRECTORY", "NO_COLOR", "FORCE_COLOR"}
    | {f"{kind}_proxy" for kind in ("http", "https", "all", "no")}
)

# Where nothing is kept compiled, each of some thousand processes compiles the whole bridge first.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A deadline, or a complaint about slow examples, would make the speed of the machine a verdict.
hypothesis.settings.register_profile(
    "bridge",
    deadline=None,
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("bridge")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    # Thousands of tests are made, and all of them stay: looking for garbage among them is in vain.
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Each worker begins with an equal part of the list. Where the slow tests stand first in each part,
    # none of them is left to a single worker when all others have ended.
    slow = [item for item in items if item.get_closest_marker("slow")]
    others = [item for item in items if not item.get_closest_marker("slow")]
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    items[:] = [
        item
        for n in range(workers)
        for item in (
            *slow[n::workers],
            *others[len(others) * n // workers : len(others) * (n + 1) // workers],
        )
    ]


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_the_machine() -> None:
    for name in list(os.environ):
        if name.startswith(FOREIGN_SETTINGS) or {name, name.lower()} & FOREIGN_NAMES:
            del os.environ[name]


@pytest.fixture(scope="session", autouse=True)
def _interrupts_as_usual() -> None:
    # A shell that runs this in the background lets it, and all its children, ignore them.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _loopback_only(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("enable_socket"):
        pytest_socket.socket_allow_hosts(LOOPBACK, allow_unix_socket=True)
