"""The folder with the intake's CA and certificate: made once, renewed, never half-written.

``ca.pem`` is for producers to trust, ``cert.pem`` and ``key.pem`` are served. A new pair is laid down
whole in ``next/`` and put in place from there; a run that was cut short is finished by the next one.

A new CA is not trusted by anybody at first. So its ``ca.pem`` holds the old one too, and its
certificate waits in ``next/`` until the producers have been given that file.
"""

import shutil
from datetime import datetime
from pathlib import Path

from bridge.intake.certificates import (
    Authority,
    Leaf,
    find_authority,
    new_authority,
    with_authority,
)
from bridge.intake.pairs import read_pair
from keys.errors import ConfigError, shown
from keys.keyfile import PRIVATE_MODE, PUBLIC_MODE, create_file
from spool.durable import FOLDER_MODE, OS_DISK

CA, CERT, KEY, NEXT = "ca.pem", "cert.pem", "key.pem", "next"
_KEY_MAX = 4096
"""Bytes of the CA's private key; ours have 241."""


def make(folder: Path, host: str, ca_key: Path | None, at: datetime) -> bool:
    """A CA and a certificate for ``host`` in ``folder``; whether they had to be made.

    The CA's key goes to the new file ``ca_key``; without one it is forgotten. Raises
    :class:`ConfigError` ``tls.*``, or :class:`OSError`.
    """
    there = [name for name in (CA, CERT, KEY) if (folder / name).exists()]
    if len(there) == len((CA, CERT, KEY)):
        if ca_key is not None and not ca_key.exists():
            raise ConfigError(
                "tls.made",
                "The CA was made before, and its key is not here any more.",
                "To have a CA with a key, make a new one: bridge init --tls --renew --new-ca.",
            )
        return False
    if there:
        raise ConfigError(
            "tls.incomplete",
            f"{shown(str(folder))} holds {', '.join(there)}, and not the rest.",
            "Bring back what is missing, or move the folder away and run this again.",
        )
    authority = new_authority(host, at)
    making = _emptied(folder.with_name(folder.name + ".tmp"))
    _write_pair(making, authority.leaf(host, at))
    create_file(making / CA, authority.pem(), PUBLIC_MODE)
    _keep_key(authority, ca_key)
    OS_DISK.rename(making, folder)
    OS_DISK.sync_dir(folder.parent)
    return True


def renew(folder: Path, host: str, ca_key: Path | None, at: datetime, *, new_ca: bool) -> bool:
    """A new certificate in ``folder``; False where it waits until its new CA is trusted.

    Raises :class:`ConfigError` ``tls.*``, or :class:`OSError`.
    """
    if not all((folder / name).exists() for name in (CA, CERT, KEY)):
        raise ConfigError(
            "tls.missing",
            f"{shown(str(folder))} holds no CA with a certificate that could be renewed.",
            "Make them: bridge init --tls.",
        )
    waiting = folder / NEXT
    cut_short = waiting.exists() and not (waiting / KEY).exists()
    if cut_short:
        _put_in_place(folder)
    if new_ca:
        ended = read_pair((folder / CERT).read_bytes(), (folder / KEY).read_bytes()).ends <= at
        authority = new_authority(host, at)
        bundle = with_authority((folder / CA).read_bytes(), authority, at)
        _keep_key(authority, ca_key)
        _lay_down(folder, authority.leaf(host, at))
        _replace(folder / CA, bundle)
        if not ended:
            return False
    elif ca_key is not None:
        authority = find_authority((folder / CA).read_bytes(), _read_key(ca_key), at)
        _lay_down(folder, authority.leaf(host, at))
    elif not waiting.exists() and not cut_short:
        raise ConfigError(
            "tls.ca_key_missing",
            "A new certificate is signed with the CA's key, and it is not here: a new CA is needed.",
            "Name the key with --ca-key FILE; if it was not kept: bridge init --tls --renew --new-ca.",
        )
    _put_in_place(folder)
    return True


def _lay_down(folder: Path, leaf: Leaf) -> None:
    making = _emptied(folder / f"{NEXT}.tmp")
    _write_pair(making, leaf)
    shutil.rmtree(folder / NEXT, ignore_errors=True)
    OS_DISK.rename(making, folder / NEXT)
    OS_DISK.sync_dir(folder)


def _put_in_place(folder: Path) -> None:
    """The pair of ``next/``; the key goes first, so that it is gone there only when it is here."""
    waiting = folder / NEXT
    for name in (KEY, CERT):
        if (waiting / name).exists():
            OS_DISK.rename(waiting / name, folder / name)
            OS_DISK.sync_dir(folder)
    if waiting.exists():
        waiting.rmdir()


def _write_pair(folder: Path, leaf: Leaf) -> None:
    create_file(folder / KEY, leaf.key, PRIVATE_MODE)
    create_file(folder / CERT, leaf.certificate, PUBLIC_MODE)


def _emptied(folder: Path) -> Path:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(FOLDER_MODE)
    return folder


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.unlink(missing_ok=True)
    create_file(temporary, data, PUBLIC_MODE)
    OS_DISK.rename(temporary, path)
    OS_DISK.sync_dir(path.parent)


def _keep_key(authority: Authority, file: Path | None) -> None:
    if file is None:
        return
    try:
        create_file(file, authority.key_pem(), PRIVATE_MODE)
    except FileExistsError:
        raise ConfigError(
            "tls.ca_key_exists",
            f"{shown(str(file))} is there already; the key of a new CA replaces nothing.",
            "Name a new file with --ca-key; a run that was cut short may have left this one.",
        ) from None


def _read_key(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(_KEY_MAX)
