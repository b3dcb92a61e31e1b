"""Takes the compression off a body while it comes in, a bounded piece at a time.

The second importer of ``zstandard``. Whatever the bytes claim, no more than :data:`STEP` bytes are
made before the sink is asked whether it wants them, so a bomb takes the memory that the sink allows.
A stream that ends early, or goes on after its end, is an error and never a shorter body.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

import zstandard

from bridge.intake.refusals import RefusalError

STEP = 64 * 1024
"""Bytes that are made at a time."""
WINDOW_MAX = 8 * 1024 * 1024
"""Bytes that a zstd frame may have its reader remember; what RFC 9659 allows on the web."""
MEMBERS_MAX = 4096
"""gzip members in one body: block compressors make one for each 64 KiB, and each begins anew."""
_INPUT = 16 * 1024
"""Bytes given to zlib at a time: at each step it copies those that are left."""
_ZSTD_INPUT = 1024
"""Bytes given to zstd at a time: what they become, 32 MiB in 3 ms at the worst, is made to its end, a
piece at a time, also where the sink wants no more."""
_GZIP = 16 + zlib.MAX_WBITS
_WRAPPED = zlib.MAX_WBITS
_RAW = -zlib.MAX_WBITS
_HEAD = 2
"""Bytes that tell whether deflate is wrapped."""
_DEFLATE = 8
_PROBE = bytes(range(240, 256))
_PROBE_FRAME = zstandard.ZstdCompressor().compress(_PROBE)

Sink = Callable[[bytes], None]
"""Is given each piece; what it raises ends the work."""


class Decoder(Protocol):
    """Gives its sink what a compressed body holds. Its methods raise :class:`RefusalError` 400."""

    def feed(self, data: bytes) -> None:
        """Take the next bytes as they came."""

    def finish(self) -> None:
        """The body has ended; its stream must have ended, too."""


class Inflater:
    """gzip (of many members), and deflate, wrapped as HTTP has it or raw as some clients send it."""

    def __init__(self, sink: Sink, *, gzip: bool) -> None:
        self._sink = sink
        self._gzip = gzip
        self._head = b""
        self._stream = zlib.decompressobj(_GZIP) if gzip else None
        self._ended = 0
        self._inside = False

    def feed(self, data: bytes) -> None:
        """See :class:`Decoder`."""
        if self._stream is None:
            data = self._head = self._head + data
            if len(data) < _HEAD:
                return
            self._stream = zlib.decompressobj(_WRAPPED if _is_wrapped(data) else _RAW)
        for start in range(0, len(data), _INPUT):
            self._inflate(data[start : start + _INPUT])

    def finish(self) -> None:
        """See :class:`Decoder`."""
        if self._inside or not self._ended:
            raise _broken("it ends early")

    def _inflate(self, data: bytes) -> None:
        while data:
            if self._ended and not self._inside:
                self._begin_member()
            self._inside = True
            assert self._stream is not None  # noqa: S101 - its caller has seen to it
            made = b"full"
            # What zlib has read it may still hold back while pieces come out full.
            while not self._stream.eof and (data or len(made) == STEP):
                try:
                    made = self._stream.decompress(data, STEP)
                except zlib.error as error:
                    raise _broken(str(error)) from None
                data = self._stream.unconsumed_tail
                self._sink(made)
            if self._stream.eof:
                data = self._stream.unused_data
                self._ended += 1
                self._inside = False

    def _begin_member(self) -> None:
        if not self._gzip:
            raise _broken("bytes follow its end")
        if self._ended == MEMBERS_MAX:
            raise _broken(f"it has more than {MEMBERS_MAX} members")
        self._stream = zlib.decompressobj(_GZIP)


class _Writing:
    """Where the library writes what it made: to a sink, which may change.

    What the sink raises is kept: the library loses the memory of a piece where its writer raises.
    """

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.raised: list[BaseException] = []

    def write(self, made: bytes) -> int:
        """What the library calls with each piece."""
        if not self.raised:
            try:
                self.sink(made)
            except BaseException as error:  # noqa: BLE001 - raised when the library has returned
                self.raised.append(error)
        return len(made)


class Unzstd:
    """zstd frames, one or many, and skippable ones between them."""

    def __init__(self, sink: Sink) -> None:
        self._fed = False
        # Not itself: the collector does not see into the library's stream, so a ring through it, with
        # all the memory that decompressing takes, would stay for ever.
        self._to = _Writing(sink)
        decompressor = zstandard.ZstdDecompressor(max_window_size=WINDOW_MAX)
        self._stream = decompressor.stream_writer(self._to, write_size=STEP)  # type: ignore[arg-type]

    def feed(self, data: bytes) -> None:
        """See :class:`Decoder`."""
        self._fed = self._fed or bool(data)
        for start in range(0, len(data), _ZSTD_INPUT):
            broken = ""
            try:
                self._stream.write(data[start : start + _ZSTD_INPUT])
            except zstandard.ZstdError as error:
                broken = str(error)
            if self._to.raised:
                raise self._to.raised.pop()
            if broken:
                raise _broken(broken)

    def finish(self) -> None:
        """See :class:`Decoder`."""
        # The library does not tell whether a frame has ended. Only behind a whole one is a frame of
        # ours a frame again; inside another it is an error, or other bytes than those it holds.
        found: list[bytes] = []
        self._to.sink = found.append
        fed = self._fed
        # In two parts: of a frame that came in one it forgets half a header that came before.
        self.feed(_PROBE_FRAME[:1])
        self.feed(_PROBE_FRAME[1:])
        if not fed or b"".join(found) != _PROBE:
            raise _broken("it ends early")


def _is_wrapped(head: bytes) -> bool:
    """Whether deflate begins with zlib's header, whose two bytes are a multiple of 31."""
    return head[0] & 0x0F == _DEFLATE and int.from_bytes(head[:_HEAD]) % 31 == 0


def _broken(why: str) -> RefusalError:
    return RefusalError(
        400,
        "intake.encoding_broken",
        f"The body is not what its Content-Encoding says: {why}.",
        "Send it whole; leave Content-Encoding out if it is not compressed.",
    )


_CODINGS: Mapping[str, Callable[[Sink], Decoder]] = MappingProxyType(
    {
        "gzip": lambda sink: Inflater(sink, gzip=True),
        "deflate": lambda sink: Inflater(sink, gzip=False),
        "zlib": lambda sink: Inflater(sink, gzip=False),  # the Collector's name for deflate
        "zstd": Unzstd,
    }
)


def check_codings(values: Sequence[str]) -> str | None:
    """The one coding that ``Content-Encoding`` names, None for none or ``identity``.

    Raises :class:`RefusalError` 415 for one that is not taken, and for several.
    """
    if not values:
        return None
    named = [name.strip().lower() for value in values for name in value.split(",")]
    if len(named) > 1:
        raise _unsupported("A body is taken with one content encoding, not with several.")
    if named[0] in ("identity", ""):
        return None
    if named[0] in _CODINGS:
        return named[0]
    raise _unsupported("The body's Content-Encoding is not taken.")


def decoder_for(coding: str, sink: Sink) -> Decoder:
    """What takes ``coding``, which :func:`check_codings` gave, off a body."""
    return _CODINGS[coding](sink)


def _unsupported(message: str) -> RefusalError:
    return RefusalError(
        415,
        "intake.encoding",
        message,
        "Compress with gzip or zstd, once, or not at all.",
        {"Accept-Encoding": "gzip, zstd"},
    )
