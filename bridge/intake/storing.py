"""A request's body is read, judged and appended: in one go where it is small, else within limits.

Nearly every request is small and has come whole before anybody looks at it. It is taken without a
timer, a thread or an account of its own, each of which costs as much as judging it; what it becomes
waits for the disk among the lines of its writer, of which there is a bounded number of bytes.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from starlette.types import Receive

from bridge.intake.bodies import BodyReader
from bridge.intake.counts import IntakeCounts
from bridge.intake.deadlines import Deadlines
from bridge.intake.head import LICENSE, Head
from bridge.intake.memory import MIB, Budget, busy
from bridge.intake.otlpjson import Converted, Hold, nobody_counts, to_json
from bridge.intake.refusals import JSON, RefusalError
from bridge.intake.rules import Rules
from bridge.intake.taking import Row, Taken
from spool.lines import Lines
from spool.writer import Writer

SMALL = 32 * 1024
"""Bytes of a body that is taken in one go."""
WAITING_MAX = 16 * MIB
"""Bytes of a stream that may wait for the disk when a small body comes: what a disk takes in a second,
and with all streams less than what :class:`Budget` has."""
IN_A_THREAD = 256 * 1024
"""Bytes of a body that are judged beside the loop: it would stand still for milliseconds."""
IN_A_THREAD_PROTOBUF = 64 * 1024
"""The same of protobuf, which is smaller and takes longer. Not more than :data:`ALONE_ABOVE`."""
ANSWER_S = 8.0
"""Seconds for a request that came at once to become durable, or for its body to begin; clients give
up after 10. What becomes durable later was not acknowledged, and comes twice."""
JUDGE_S = 6.0
"""Seconds from when a large body has come until it is judged; one of 64 MiB was seen to take 3."""
APPEND_S = 2.0
"""Seconds to become durable that a request has at least, however long it took to come and be judged."""
_NOTHING = Lines([])

Take = Callable[[int], bytes | None]
"""Gives the body of a request that has come whole, once; None where it has more bytes than that."""
_T = TypeVar("_T")


@dataclass(slots=True)  # one for each request: frozen it would take a microsecond more
class Post:
    """A request whose head was judged: what it is for, its form, what it is judged by.

    ``vouched`` says that a data plane's credential was right.
    """

    head: Head
    row: Row
    form: str
    rules: Rules
    vouched: bool

    def as_json(self, body: bytes, hold: Hold) -> Converted:
        """The JSON of a body in protobuf. See :func:`to_json`."""
        return to_json(self.row.stream.name, body, hold)

    def check_license(self, taken: Taken) -> None:
        """Raises :class:`RefusalError` 403."""
        presented = [*taken.license_keys, *self.head.all(LICENSE)]
        self.rules.gate.check(presented, otlp=self.row.otlp, vouched=self.vouched)

    def check_head(self) -> None:
        """The same, as far as it is known before the body has come."""
        presented = self.head.all(LICENSE)
        self.rules.gate.check_head(presented, otlp=self.row.otlp, vouched=self.vouched)

    @property
    def is_off(self) -> bool:
        """Whether its stream is switched off."""
        return self.row.stream.name in self.rules.switched_off


class Storing:
    """Takes bodies for ``writers``, by stream; counts what is off.

    ``answer_s`` seconds after a small body came, its sender is told that the disk is slow;
    ``judge_s`` after a large one, that judging it takes too long.
    """

    def __init__(
        self,
        writers: Mapping[str, Writer],
        budget: Budget,
        counts: IntakeCounts,
        answer_s: float = ANSWER_S,
        judge_s: float = JUDGE_S,
    ) -> None:
        self._writers = writers
        self._budget = budget
        self._counts = counts
        self._deadlines = Deadlines(answer_s)
        self._judge_s = judge_s

    async def store(self, post: Post, take: Take | None, receive: Receive) -> tuple[Lines, int]:
        """What became lines, durable now, and how many unknown fields did not.

        ``take`` None: the request has not come whole. Raises :class:`RefusalError`,
        :class:`RecordError` or :class:`SpoolError`.
        """
        if take is not None and not post.head.all("content-encoding"):
            body = take(SMALL)
            if body is not None:
                return await self._store_small(post, body)
        return await self._store_any(post, receive)

    async def _store_small(self, post: Post, body: bytes) -> tuple[Lines, int]:
        writer = self._writers[post.row.stream.name]
        if writer.waiting > WAITING_MAX:
            raise busy()
        made = _Made(post, body)
        del body
        durable = writer.submit_made_async(made.lines_once)
        begun = self._deadlines.watch(durable)
        try:
            await durable
        except TimeoutError:
            raise too_slow(whole=True) from None
        finally:
            begun.discard(durable)
        if post.is_off:
            self._count_off(post)
        return made.lines, made.unknown

    async def _store_any(self, post: Post, receive: Receive) -> tuple[Lines, int]:
        post.check_head()
        reader = BodyReader(self._budget, post.head, receive)
        judged = False
        try:
            with reader:
                async with asyncio.timeout(ANSWER_S) as limit:
                    due = limit.when()
                    lines, unknown = await self._judge(post, reader, limit)
                    judged = True
                    if lines.lines:
                        if limit.when() != due:  # it is large, or came slowly
                            soon = asyncio.get_running_loop().time() + APPEND_S
                            limit.reschedule(max(soon, due or soon))
                        writer = self._writers[post.row.stream.name]
                        await reader.finish(writer.submit_lines_async(lines.lines))
                    return lines, unknown
        except TimeoutError:
            if reader.whole_at is None or judged:
                raise too_slow(whole=judged) from None
            raise _too_heavy() from None

    async def _judge(
        self, post: Post, reader: BodyReader, limit: asyncio.Timeout
    ) -> tuple[Lines, int]:
        body = await reader.read(limit)
        aside = len(body) > (IN_A_THREAD if post.form == JSON else IN_A_THREAD_PROTOBUF)
        judged_by = (reader.whole_at or 0.0) + self._judge_s
        if aside:
            limit.reschedule(judged_by)
        unknown = 0
        if post.form != JSON:
            made = await _done(post.as_json, body, reader.hold, by=reader if aside else None)
            body, unknown = made.body, made.unknown
            del made
            await reader.make_room(len(body), limit)
            if aside:
                limit.reschedule(judged_by)
        taken = await _done(post.row.take, body, by=reader if aside else None)
        del body
        post.check_license(taken)
        if post.is_off:
            self._count_off(post)
            return _NOTHING, 0
        judge, guard = taken.to_lines, post.rules.guard
        del taken  # it holds the body, and so does what it was judged with
        return await _done(judge, guard, by=reader if aside else None), unknown

    def _count_off(self, post: Post) -> None:
        self._counts.switched_off[post.row.stream.name] += 1


class _Made:
    """What becomes of a small body when its turn comes."""

    __slots__ = ("_body", "_post", "lines", "unknown")

    def __init__(self, post: Post, body: bytes) -> None:
        self._post = post
        self._body = body
        self.lines = _NOTHING
        self.unknown = 0

    def lines_once(self) -> Sequence[bytes]:
        """Judge the body, and forget it."""
        post, body = self._post, self._body
        self._body = b""
        unknown = 0
        if post.form != JSON:
            made = post.as_json(body, nobody_counts)
            body, unknown = made.body, made.unknown
        taken = post.row.take(body)
        post.check_license(taken)
        if post.is_off:
            return ()
        self.lines, self.unknown = taken.to_lines(post.rules.guard), unknown
        return self.lines.lines


async def _done(work: Callable[..., _T], *arguments: object, by: BodyReader | None) -> _T:
    """What becomes of ``work``: beside the loop, ``by`` the reader of the body, or at once."""
    return work(*arguments) if by is None else await by.aside(work, *arguments)


def _too_heavy() -> RefusalError:
    return RefusalError(
        503,
        "intake.heavy",
        "It takes too long to judge the request.",
        "Send it in smaller parts; if it is not large, the machine is too busy.",
    )


def too_slow(*, whole: bool) -> RefusalError:
    """A request that came, or did not come whole, and took too long."""
    if whole:
        return RefusalError(
            503,
            "intake.late",
            "The records did not become durable in time; the disk is slow.",
            "Send it again; it may come twice then.",
        )
    return RefusalError(
        408,
        "intake.slow",
        "The rest of the request did not come in time.",
        "Send it again.",
        {"Connection": "close"},
    )
