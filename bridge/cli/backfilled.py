"""What ``bridge backfill`` says when it is done: every row of the file in one count."""

from dataclasses import asdict, dataclass

from bridge.cli.session import Session
from bridge.intake.backfilling import Example, Plan
from keys.errors import BridgeError, shown
from spool.errors import RecordError

PARTLY = 3
"""Exit code where some rows are in the spool and others are not."""


@dataclass(slots=True)
class Taken:
    """How many rows are durable, and what kept the rest from it."""

    rows: int = 0
    error: BridgeError | None = None


def answer(
    session: Session, plan: Plan, examples: list[Example], taken: Taken, *, dry_run: bool
) -> None:
    """Tell the result, and set the exit code."""
    error, code = _end(plan, examples, taken)
    told: dict[str, object] = {
        "stream": plan.form.stream,
        "dry_run": dry_run,
        "rows": plan.rows,
        "wanted": plan.wanted,
        "taken": taken.rows,
        "sent": plan.sent,
        "not_local": plan.not_local,
        "repeated": plan.repeated,
        "held": plan.held,
        "refused": plan.refused,
        "overlapping": plan.overlapping,
        "undated": plan.undated,
        "unread": plan.unread,
        "statuses": dict(plan.statuses),
        "examples": [asdict(example) for example in examples],
    }
    if error is not None:
        told["error"] = {"id": error.id, "message": error.message, "hint": error.hint}
    session.result(told, lambda: _say(session, plan, taken, dry_run=dry_run))
    if error is not None and not session.as_json:
        session.show_error(error)
    session.finish(code)


def _end(plan: Plan, examples: list[Example], taken: Taken) -> tuple[BridgeError | None, int]:
    error = taken.error
    if error is not None:
        durable = f"{taken.rows} of {plan.wanted} rows are durable; the next run leaves them out."
        code = PARTLY if taken.rows and isinstance(error, RecordError) else error.exit_code
        return BridgeError(error.id, f"{error.message} {durable}", error.hint), code
    if not plan.refused:
        return None, 0
    rows = "1 row covers" if plan.refused == 1 else f"{plan.refused} rows cover"
    first = f"; the first is {_shown(examples[0])}" if examples else ""
    refused = RecordError(
        "backfill.overlap",
        f"{rows} the time of other records that the spool holds{first}.",
        "Compare them, --json names ten; --overlap takes them all the same: they may count twice.",
    )
    return refused, PARTLY if plan.wanted or plan.held else refused.exit_code


def _shown(example: Example) -> str:
    beside = "" if example.held is None else f", and the spool holds {shown(example.held)}"
    return f"{shown(example.id)} on line {example.line}{beside}"


def _say(session: Session, plan: Plan, taken: Taken, *, dry_run: bool) -> None:
    if not plan.rows:
        session.say(f"The file has no rows, only a header ({plan.form.stream}).")
        return
    count, what = (plan.wanted, "would be taken") if dry_run else (taken.rows, "taken and durable")
    session.say(f"{count} of {plan.rows} rows {what} ({plan.form.stream}).")
    for count, why in (
        (plan.sent, "sent before, by the status column"),
        (plan.not_local, "of another source than this installation"),
        (plan.repeated, "twice in the file"),
        (plan.held, "in the spool already"),
        (plan.refused, "of a time that the spool holds records of, see below"),
    ):
        if count:
            session.say(f"{count} left out: {why}.")
    if plan.statuses:
        words = ", ".join(f"{word} {count}" for word, count in plan.statuses.most_common())
        session.say(f"By status: {words}.")
    if plan.overlap and plan.overlapping:
        session.say(f"{plan.overlapping} of those taken overlap what the spool holds.")
    if plan.undated:
        session.say(f"{plan.undated} do not say when; whether they overlap cannot be told.")
