"""Ending a batch without an answer: what it carries goes another way, or is gone.

An attempt of it whose outcome nobody knows has left all the same. It gets a row of the audit, and its
records are in doubt: the beacon may have them once more than the other way brings them.
"""

from dataclasses import replace

from spool.ledger_audit import WITHDRAWN, Answer, record_sums, write_audit
from spool.ledger_batches import Batch, open_batches, remove
from spool.ledger_db import Transaction
from spool.ranges import Range


def withdraw(tx: Transaction, lane: int, batch: Batch) -> None:
    """End ``batch``, of the lane with this row."""
    unknown = batch.doubts + batch.under_way
    if unknown:
        answer = Answer(batch.attempted_at or 0, batch.to, batch.sent, None, WITHDRAWN)
        write_audit(tx, lane, batch.bounds, answer, replace(batch, doubts=unknown))
        record_sums(tx, lane, batch.sent.records * unknown, 0)
    remove(tx, batch.id)


def withdraw_all(tx: Transaction, lane: int, numbers: Range) -> None:
    """End the batches that carry any of ``numbers``."""
    for batch in open_batches(tx, lane):
        if batch.bounds.first_seq <= numbers.last and numbers.first <= batch.bounds.last_seq:
            withdraw(tx, lane, batch)
