"""Encryption (97 to 104): opened by the one identity, authenticated before anything is believed."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pyrage.x25519 import Identity

from bridge.transfer.agefile import read_identity, recipient_of
from bridge.transfer.agewriting import AgeWriter, sealed_size
from tests.support import crossings
from tests.support.attacks import Arena, Attack, Command, Home, each
from tests.support.crossings import golden_bundle

REFUSED = 4
GOOD = golden_bundle("good.agb")
STANZA = b"-> scrypt rF0/NwblUHHTpgQgRpe5CQ %d\n" + b"A" * 43 + b"\n--- " + b"A" * 43 + b"\n"
"""A passphrase's stanza, as https://c2sp.org/age has it; the work doubles with each number."""


def recipient(home: Home) -> str:
    return recipient_of(read_identity(home.keys / "age.key"))


def sealed(data: bytes, *recipients: str) -> bytes:
    writer = AgeWriter(recipients)
    room = memoryview(bytearray(sealed_size(len(data))))
    return writer.start + bytes(room[: writer.seal(memoryview(data), room, last=True)])


def importing(change: Callable[[bytes], bytes], data: bytes = GOOD) -> Callable[[Home], Command]:
    """The bundle, encrypted for the home, and changed then."""
    return lambda home: (
        "import", "--json", home.put("b.agb.age", change(sealed(data, recipient(home))))
    )  # fmt: skip


def exchanged(mark: bytes, after: int) -> Callable[[bytes], bytes]:
    """The byte so far after ``mark`` is another: stanzas that mean nothing come at random places."""

    def change(data: bytes) -> bytes:
        at = data.index(mark) + len(mark) + after if mark else after % len(data)
        other = b"B" if data[at : at + 1] == b"A" else b"A"  # base64 stays base64
        return data[:at] + other + data[at + 1 :]

    return change


def cut(size: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:-size]


def by_passphrase(work: int) -> Callable[[bytes], bytes]:
    return lambda _: b"age-encryption.org/v1\n" + STANZA % work + bytes(99)


def as_it_is(data: bytes) -> bytes:
    return data


def for_another(_home: Home) -> str:
    return str(Identity.generate().to_public())


TWIN = importing(as_it_is)
X25519, MAC = b"-> X25519 ", b"\n--- "
BITS = {
    "header-version": (b"age-encryption.org/v", 0, "age.header"),
    "header-kind": (b"-> X255", 0, "age.header"),
    "header-share": (X25519, 20, "age.failed"),
    "header-file-key": (X25519, 43 + 1 + 20, "age.failed"),
    "header-mac": (MAC, 20, "age.failed"),
    "body-nonce": (MAC, 43 + 1 + 8, "age.failed"),
    "body-first": (MAC, 43 + 1 + 16, "age.failed"),
    "body-middle": (MAC, 3000, "age.failed"),
    "body-last": (b"", -1, "age.failed"),
}
ATTACKS = [
    *(
        Attack(97, name, importing(exchanged(mark, after)), error, REFUSED, TWIN)
        for name, (mark, after, error) in BITS.items()
    ),
    *(
        Attack(
            97, f"cut-by-{size}", importing(cut(size)), "age.failed",
            REFUSED, TWIN,
        )
        for size in (1, 16, 17, 3000)
    ),
    Attack(
        99, "for-another",
        lambda home: ("import", "--json", home.put("b.age", sealed(GOOD, for_another(home)))),
        "age.failed", REFUSED, TWIN,
    ),
    *(
        Attack(
            101, f"passphrase-{work}",
            importing(by_passphrase(work)),
            "age.header", REFUSED, TWIN,
        )
        for work in (10, 30, 64)
    ),
    Attack(
        101, "plugin",
        importing(lambda data: data.replace(b"-> X25519 ", b"-> yubikey ", 1)),
        "age.header", REFUSED, TWIN,
    ),
    Attack(
        102, "anything-by-a-stranger", importing(as_it_is, b"x" * 2048), "container.member",
        REFUSED, TWIN,
    ),
    Attack(
        102, "a-bundle-signed-by-a-stranger", importing(as_it_is, golden_bundle("stranger.agb")),
        "key.untrusted", REFUSED, TWIN,
    ),
    Attack(
        102, "a-bundle-within-a-bundle",
        lambda home: (
            "import", "--json",
            home.put("b.age", sealed(sealed(GOOD, recipient(home)), recipient(home))),
        ),
        "container.member", REFUSED, TWIN,
    ),
    Attack(104, "a-byte-more", importing(lambda data: data + b"x"), "age.failed", REFUSED, TWIN),
    Attack(
        104, "twice", importing(lambda data: data + data), "age.failed", REFUSED, TWIN,
    ),
]  # fmt: skip
RECIPIENTS = {
    "plugin": "age1yubikey1q", "ssh": "ssh-ed25519 AAAA", "secret": "AGE-SECRET-KEY-1" + "Q" * 58,
    "checksum": "age1" + "q" * 58, "path": "../age1", "slash": "age1/" + "q" * 57,
    "capitals": "AGE1" + "Q" * 58, "empty": "",
}  # fmt: skip


@pytest.fixture(scope="module")
def relays(tmp_path_factory: pytest.TempPathFactory) -> Arena:
    return Arena(tmp_path_factory.mktemp("relays"), crossings.relay)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Arena:
    return Arena(tmp_path_factory.mktemp("nodes"), crossings.node)


@each(ATTACKS)
def test_attack(relays: Arena, attack: Attack) -> None:
    relays.check(attack)


def test_attack_099_what_is_for_another_and_what_was_changed_are_told_in_the_same_words(
    relays: Arena,
) -> None:
    said = {
        relays.check(attack).answer["items"][0]["problem"]["message"]
        for attack in ATTACKS
        if attack.error == "age.failed"
    }
    assert len(said) == 1


def exporting(to: str) -> Callable[[Home], Command]:
    return lambda home: ("export", "--json", "--to", home.stick, "--recipient", to)


EXPORT_GOOD = exporting(str(Identity.generate().to_public()))


@pytest.mark.parametrize("name", list(RECIPIENTS))
def test_attack_100_what_is_no_x25519_recipient_is_refused(nodes: Arena, name: str) -> None:
    made = exporting(RECIPIENTS[name])
    told = nodes.check(Attack(100, name, made, "recipient.form", REFUSED, EXPORT_GOOD))
    assert b"SECRET-KEY" not in told.out


def test_attack_100_nothing_is_left_on_the_medium(nodes: Arena, tmp_path: Path) -> None:
    home = nodes.fresh()
    home.run("export", "--to", tmp_path, "--recipient", "age1yubikey1q")
    assert list(tmp_path.iterdir()) == []
