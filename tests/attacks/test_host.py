"""What other users of the host plant (105 to 119): not followed, not waited for, not read.

What lies in a spool that a daemon serves stands in ``tests/integration/test_bad_input.py``, kills in
``tests/crash``.
"""

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from spool.clock import SYSTEM_CLOCK
from spool.lane import Lane
from spool.sender_lock import SenderLock
from tests.golden.bad import GOOD
from tests.support import crossings
from tests.support.attacks import Arena, Attack, Command, Home, each
from tests.support.crossings import IMPORT_GOOD, bundle_of, chain, golden_bundle

pytestmark = pytest.mark.timeout(30)  # a FIFO that is waited for is waited for for ever
REFUSED, LOCKED = 4, 5
ONE, TWO = chain(2)
Plant = Callable[[Path], None]


def link_to_passwd(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def link_to_good(path: Path) -> None:
    """The target itself would be taken."""
    target = path.with_name("target")
    target.write_bytes(golden_bundle("good.agb") if path.suffix == ".agb" else GOOD)
    path.symlink_to(target)


def fifo(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def importing(plant: Plant) -> Callable[[Home], Command]:
    def made(home: Home) -> Command:
        plant(home.stick / "came.agb")
        return ("import", "--json", home.stick / "came.agb")

    return made


def in_place(plant: Plant) -> Callable[[Home], Command]:
    """To verify the spool, where the second segment was exchanged for that."""

    def made(home: Home) -> Command:
        path = Lane(home.spool, "prod-1", "transactions").segment(2)
        path.unlink()
        plant(path)
        return ("verify", "--json", home.spool)

    return made


def whole(path: Path) -> None:
    path.write_bytes(TWO.data)


def of_another(path: Path) -> None:
    whole(path)
    os.chown(path, 4711, 4711)


PLANTS: dict[str, tuple[int, Plant]] = {
    "link": (105, link_to_passwd), "link-to-a-good-one": (105, link_to_good), "fifo": (106, fifo),
    "device": (106, device),
}  # fmt: skip
IMPORTED = [
    Attack(number, f"{name}-imported", importing(plant), "file.kind", REFUSED, IMPORT_GOOD)
    for name, (number, plant) in PLANTS.items()
]
IN_PLACE = [
    Attack(number, f"{name}-in-place", in_place(plant), "file.kind", REFUSED, in_place(whole))
    for name, (number, plant) in PLANTS.items()
]


@pytest.fixture(scope="module")
def relays(tmp_path_factory: pytest.TempPathFactory) -> Arena:
    return Arena(tmp_path_factory.mktemp("relays"), crossings.relay)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Arena:
    return Arena(tmp_path_factory.mktemp("nodes"), crossings.node)


@each(IMPORTED)
def test_attack(relays: Arena, attack: Attack) -> None:
    told = relays.check(attack)
    assert b"root:" not in told.out


@each(IN_PLACE)
def test_attack_in_a_spool(nodes: Arena, attack: Attack) -> None:
    told = nodes.check(attack)
    assert b"root:" not in told.out


@contextmanager
def swapping(path: Path, *kinds: bytes) -> Iterator[None]:
    """One file after the other is put in this place, without a pause."""
    stop = threading.Event()

    def swap() -> None:
        for data in itertools.cycle(kinds):
            path.with_name("next").write_bytes(data)
            path.with_name("next").rename(path)
            if stop.is_set():
                return

    path.write_bytes(kinds[0])
    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


RACES: dict[str, tuple[str, bytes, bytes, tuple[str, ...]]] = {
    "a-segment": ("came.ndjson.zst", ONE.data, TWO.data, ("inspect", "--records", "--json")),
    "a-bundle": (
        "came.agb",
        bundle_of(ONE),
        bundle_of(ONE, TWO),
        ("import", "--dry-run", "--json"),
    ),
}


@pytest.mark.parametrize("race", list(RACES))
def test_attack_108_a_file_that_is_swapped_all_the_time_is_read_as_one_or_the_other(
    relays: Arena, race: str
) -> None:
    name, first, second, command = RACES[race]
    home = relays.fresh()
    wanted = []
    for data in (first, second):
        told = home.run(*command, home.put(name, data))
        assert told.code == 0, told
        wanted.append(told.out)
    assert wanted[0] != wanted[1]
    before = home.state()
    seen: list[bytes] = []
    end = time.monotonic() + 10
    with swapping(home.stick / name, first, second):
        while (len(seen) < 50 or len(set(seen)) < 2) and time.monotonic() < end:
            told = home.run(*command, home.stick / name)
            assert told.code == 0, told
            seen.append(told.out)
    assert set(seen) == set(wanted)
    assert home.state() == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_attack_110_a_segment_of_another_user_is_refused(nodes: Arena) -> None:
    attack = Attack(110, "owner", in_place(of_another), "file.kind", REFUSED, in_place(whole))
    nodes.check(attack)


def locked(home: Home) -> Command:
    lock = SenderLock(home.spool, version="1", config="bridge.yaml", now_ms=SYSTEM_CLOCK.wall_ms())
    HELD.append(lock)
    return ("run", "--once")


def unlocked(home: Home) -> Command:
    locked(home)
    HELD.pop().release()
    return ("run", "--once")


HELD: list[SenderLock] = []


def test_attack_117_a_second_daemon_is_refused(nodes: Arena) -> None:
    try:
        nodes.check(Attack(117, "second", locked, "spool.locked", LOCKED, unlocked))
    finally:
        HELD.pop().release()


@pytest.mark.parametrize(
    "name", [".tmp", "x.ndjson.zst~", ".000000000002.ndjson.zst.swp", "2.ndjson.zst", "notes.txt"]
)
def test_attack_119_other_names_in_a_folder_of_segments_are_passed_over(
    nodes: Arena, name: str
) -> None:
    home = nodes.fresh()
    path = Lane(home.spool, "prod-1", "transactions").segment(1)
    path.with_name(name).write_bytes(b"not ours")
    before = home.state()
    told = home.run("verify", home.spool)
    assert (told.code, b"not ours" in told.out) == (0, False)
    assert b"2 segments are good" in told.out
    assert home.state() == before
