"""Giving up what the beacon refused: ``replay --discard``."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bridge.cli.naming import is_billing, is_named, unnamed
from bridge.cli.session import Session
from bridge.terminal import counted

if TYPE_CHECKING:
    from bridge.egress.selection import Choice, Wanted
    from spool.ledger import Ledger


def check_named(choices: "Sequence[Choice]", wanted: "Wanted") -> None:
    """Raises :class:`RecordError` ``replay.billing`` where billing is among it, and nobody named it."""
    if is_named(wanted):
        return
    billing = [choice for choice in choices if is_billing(choice.lane.stream) and choice.segments]
    if billing:
        told = [
            f"of {choice.lane.node}/{choice.lane.stream} "
            f"{counted(choice.records, 'refused record', 'refused records')}"
            for choice in billing
        ]
        raise unnamed(billing[0].lane.stream, told)


def discard_all(session: Session, ledger: "Ledger", choices: "Sequence[Choice]", note: str) -> None:
    """Declare the loss, then tell the ledger: in this order nothing goes unsaid.

    Nobody here can declare a loss in another node's chain: of its records a relay only stops to wait
    for a person, and goes on telling the node that they were refused. Raises :class:`SpoolError`.
    """
    from spool.clock import SYSTEM_CLOCK
    from spool.durable import OS_DISK, explained
    from spool.ledger import By, State
    from spool.ranges import Range
    from spool.sealing import Sealer
    from spool.statement import Lost

    at = SYSTEM_CLOCK.wall_ms()
    for choice in choices:
        if choice.lane.imported.exists():
            for lines in choice.lines:
                ledger.discard(choice.lane, lines.segment.seq, lines.numbers, note)
            name = f"{choice.lane.node}/{choice.lane.stream}"
            session.note(
                f"{name}: the receipt goes on naming them; its node gives them up, or not."
            )
            continue
        sealer = Sealer(OS_DISK, choice.lane, session.signing_key, SYSTEM_CLOCK)
        try:
            for each in choice.stretches:
                held = each.after - each.before
                numbers = (
                    str(each.first) if each.first == each.last else f"{each.first}-{each.last}"
                )
                sealer.declare_lost(Lost(numbers, held.records, held.raw_size, "discarded"))
                ledger.move(
                    choice.lane, each.first, each.last,
                    source=each.state, target=State.LOST, by=By.LOSS,
                    before_first=each.before, after_last=each.after,
                )  # fmt: skip
                # Whoever gives it up knows of it.
                gone = {choice.lane: [Range(each.first, each.last)]}
                ledger.see(gone, State.LOST, at, note)
            single = sum(len(lines.numbers) for lines in choice.lines)
            if single:
                sealer.declare_lost(Lost("", single, None, "discarded"))
            for lines in choice.lines:
                ledger.discard(choice.lane, lines.segment.seq, lines.numbers, note)
        except OSError as error:
            raise explained(error, "seal a loss record") from error
