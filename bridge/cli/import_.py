"""``bridge import``: takes bundles in on a relay, and return bundles on a node."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from bridge.cli.localspool import check_spool
from bridge.cli.moving import bar_of
from bridge.cli.peers import identity_of, trust_of
from bridge.cli.session import Session, json_option
from keys.errors import BridgeError, VerificationError

PARTLY = 3


@click.command("import")
@click.argument(
    "paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path)
)
@click.option("--identity", metavar="FILE", help="What opens it; else this machine's age.key.")
@click.option("--dry-run", is_flag=True, help="Verify everything; take nothing.")
@json_option
@click.pass_obj
def command(
    session: Session,
    paths: Sequence[Path],
    *,
    identity: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Take in bundles and return bundles; each segment and each receipt is verified first."""
    session.begin("import", as_json=as_json)
    from bridge.daemon.receiving import Receiver
    from bridge.operate.checks import WORST_FIRST
    from spool.clock import SYSTEM_CLOCK
    from spool.durable import OS_DISK, explained, make_folders
    from spool.ledger import Ledger
    from spool.ledger_reading import is_only_read

    config = session.config
    trust, secret = trust_of(session), identity_of(session, identity)
    check_spool(session)
    opening = Ledger.open_on_trial if dry_run else Ledger.open
    try:
        if not (dry_run and is_only_read(config.spool.path)):
            make_folders(OS_DISK, config.spool.path, config.spool.path)
    except OSError as error:
        raise explained(error, "make the spool") from error
    items: list[Mapping[str, Any]] = []
    failed: list[int] = []
    partly = False
    with opening(config.spool.path, clock=SYSTEM_CLOCK) as ledger:
        receiver = Receiver(config, session.license_keys, session.signing_key, ledger, trust)
        for path in paths:
            try:
                size = path.stat().st_size if path.is_file() else 0
                with bar_of(session, "reading", size) as progress:
                    found = receiver.receive(path, secret, progress, dry_run=dry_run)
            except (BridgeError, OSError) as error:
                problem = _problem(error)
                failed.append(problem.exit_code)
                items.append(_failed(path, problem))
                if not as_json:
                    session.say(f"REFUSED {path}")
                    session.show_error(problem)
                continue
            partly |= found.partly
            if found.nothing:
                failed.append(VerificationError.exit_code)
            items.append(found.answer(path))
            if not as_json:
                for line in found.lines(path):
                    session.say(session.hint(line))
    session.result({"dry_run": dry_run, "items": items}, lambda: None)
    if len(failed) == len(paths):
        session.finish(next(code for code in (*WORST_FIRST, *failed) if code in failed))
    elif failed or partly:
        session.finish(PARTLY)


def _problem(error: BridgeError | OSError) -> BridgeError:
    if isinstance(error, BridgeError):
        return error
    return VerificationError(
        "file.unreadable",
        f"It cannot be read: {error.strerror}.",
        "Look at the medium; what was taken before stays taken, and the import can be repeated.",
    )


def _failed(path: Path, problem: BridgeError) -> Mapping[str, Any]:
    return {
        "path": str(path),
        "kind": None,
        "ok": False,
        "segments": {"new": 0, "duplicate": 0, "refused": 0},
        "gaps": [],
        "forks": [],
        "unlinked": [],
        "receipts": {"delivered": 0, "quarantined": 0, "pending": 0, "missing": 0},
        "token": False,
        "problem": {"id": problem.id, "message": problem.message, "hint": problem.hint},
    }
