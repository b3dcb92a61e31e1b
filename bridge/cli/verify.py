"""``bridge verify``: is what lies there what was sealed, and is all of it there?"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from bridge.cli.inspectbundle import is_container, judge
from bridge.cli.keyring import key_option, keys_for
from bridge.cli.session import Session, json_option
from bridge.terminal import counted
from keys.errors import VerificationError
from spool.verdicts import Item, problem_of
from spool.verification import verify


@click.command("verify")
@click.argument(
    "paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path)
)
@click.option("--records", is_flag=True, help="Parse every line too: one JSON object a line.")
@key_option
@json_option
@click.pass_obj
def command(
    session: Session,
    paths: tuple[Path, ...],
    key_files: tuple[Path, ...],
    *,
    records: bool,
    as_json: bool,
) -> None:
    """Verify signatures, digests and chains of segments, folders, lanes, spools or bundles.

    A file is judged by itself, and against the one named before it; a lane also for holes and
    against its head; of a folder also the bundles that lie in it. Exit code 4 if anything is bad,
    or a PATH holds nothing to verify.
    """
    session.begin("verify", as_json=as_json)
    keys = keys_for(session, key_files)
    answers: list[Mapping[str, Any]] = []
    bad = segments = lines = 0
    containers = [path for path in paths if is_container(path)]
    lying = {path: _bundles_in(path) for path in paths if path.is_dir()}
    for path in (*containers, *(each for inside in lying.values() for each in inside)):
        judged = judge(session, path, key_files)
        problem = judged.error or next(iter(judged.problems), None)
        found = None if problem is None else problem_of(problem)
        if as_json:
            answers.append(_answer(Item(path, judged.kind, found)))
        else:
            good = None if found else "its signature and members are good"
            _show(session, Item(path, judged.kind, found, good))
        bad += problem is not None
        segments += judged.answer.get("segments", 0) if problem is None else 0
        lines += judged.answer.get("records", 0) if problem is None else 0
    others = [path for path in paths if path not in containers]
    for item in verify(others, keys, records=records) if others else ():
        if lying.get(item.path) and item.problem and item.problem.id == "verify.nothing":
            continue  # there were bundles
        if as_json:
            answers.append(_answer(item))
        else:
            _show(session, item)
        bad += not item.ok
        if item.ok and item.said is not None:
            segments += 1
            lines += item.said.records
    answer = {"ok": not bad, "items": answers}
    told = (
        f"{counted(segments, 'segment is', 'segments are')} good, "
        f"with {counted(lines, 'record', 'records')}"
    )
    end = f"; {counted(bad, 'problem', 'problems')}." if bad else "."
    session.result(answer, lambda: session.say(told + end))
    session.finish(VerificationError.exit_code if bad else 0)


def _bundles_in(folder: Path) -> list[Path]:
    """The files that lie in ``folder`` and are called bundles."""
    from bridge.transfer.bundle import ENDINGS

    try:
        found = sorted(folder.iterdir())
    except OSError:
        return []  # whoever looks for segments there says why
    return [path for path in found if path.name.endswith(ENDINGS) and not path.is_dir()]


def _answer(item: Item) -> Mapping[str, Any]:
    problem = item.problem
    return {
        "path": str(item.path),
        "kind": item.kind,
        "ok": item.ok,
        "problem": None
        if problem is None
        else {"id": problem.id, "message": problem.message, "hint": problem.hint},
        "note": item.note,
    }


def _show(session: Session, item: Item) -> None:
    name = str(item.path)
    note = f"; {item.note}" if item.note else ""
    if item.problem is not None:
        session.say(f"BAD {name}: {item.problem.message} [{item.problem.id}]{note}")
        session.say(f"    {session.hint(item.problem.hint)}")
    elif item.said is not None:
        said = item.said
        session.say(
            f"ok {name}: {said.node}/{said.stream} {said.seq}, "
            f"{counted(said.records, 'record', 'records')}{note}"
        )
    else:
        session.say(f"{item.kind} {name}: {item.note or 'agrees with the last segment'}")
