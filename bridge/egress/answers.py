"""What came back from a request, as values: an answer, or why there is none."""

from dataclasses import dataclass

import orjson

ANSWER_MAX = 64 * 1024
"""Bytes of an answer's body that are read; the beacon's own have under a hundred."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; ``body`` is cut at :data:`ANSWER_MAX`, and ``cut`` says so.

    A refusal counts from its status on: what follows of it may have been cut anywhere.
    """

    status: int
    content_type: str
    body: bytes
    retry_after: str | None = None
    cut: bool = False

    @property
    def document(self) -> dict[str, object] | None:
        """The JSON object that it holds; None where it is anything else."""
        if self.cut or self.content_type.partition(";")[0].strip().lower() != "application/json":
            return None
        try:
            found = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None
        return found if isinstance(found, dict) else None


@dataclass(frozen=True, slots=True)
class Failure:
    """No answer: ``reason`` in a few words; ``outcome_unknown`` if the beacon may have it all.

    ``is_loop``: what is there instead of the beacon is this bridge. ``too_slow``: not all of it left
    this machine in time.
    """

    reason: str
    outcome_unknown: bool
    is_loop: bool = False
    too_slow: bool = False


@dataclass(frozen=True, slots=True)
class Taken:
    """A success: how many records the beacon says it took; None where it does not say."""

    accepted: int | None = None


def by_inserted_count(answer: Answer, sent: int) -> Taken | None:
    """``{"inserted_count": n}`` of ``/ingest-traces``.

    A beacon that counts more than it was sent counts something else; it took them all the same.
    """
    count = (answer.document or {}).get("inserted_count")
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        return None
    return Taken(min(count, sent))


def by_object(answer: Answer, sent: int) -> Taken | None:
    """Any JSON object, or nothing: ``/metadata/submit`` is known by its status alone."""
    del sent
    return Taken() if answer.document is not None or not answer.body else None


def by_no_content(answer: Answer, sent: int) -> Taken | None:
    """204 without a body: ``/usage-snapshot``."""
    del sent
    return Taken() if answer.status == 204 and not answer.body else None  # noqa: PLR2004


def by_partial_success(answer: Answer, sent: int) -> Taken | None:
    """An OTLP response (opentelemetry-proto 1.11): an object, with ``partialSuccess`` perhaps.

    What is rejected is counted in log records, spans or data points, what was sent in lines; so the
    count that comes of it says at least how many lines were taken whole.
    """
    document = answer.document
    if document is None:
        return None
    partial = document.get("partialSuccess")
    if not isinstance(partial, dict):
        return Taken() if partial is None else None
    counts = [value for name, value in partial.items() if name.startswith("rejected")]
    if not counts:
        return Taken()
    # 64-bit integers come as strings or as numbers.
    rejected = counts[0]
    if isinstance(rejected, str) and rejected.isascii() and rejected.isdigit():
        rejected = int(rejected[:20])
    if not isinstance(rejected, int) or isinstance(rejected, bool) or rejected < 0:
        return None
    return Taken(max(sent - rejected, 0)) if rejected else Taken()
