"""Records that their caller changes while they are judged: what is stored is what was judged."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from spool.errors import RecordError
from spool.judgingbeside import BESIDE
from spool.lane import Lane
from spool.secrets import SecretGuard
from spool.segment import Segment
from spool.writer import Writer
from tests.support.spools import FAST, KEY, lines_of, records

SECRET = b"lsv2_pt_0123456789abcdef"
INNOCENT = b"-" * len(SECRET)


class _Changing(Writer):
    """Its caller changes something when judging begins, as another of his threads may."""

    def __init__(self, spool: Path, given: list[Any]) -> None:
        guard = SecretGuard([SECRET.decode()])
        super().__init__(spool, "transactions", node="n", signer=KEY, disk=FAST, guard=guard)
        self.given = given

    def judge(self, records: Sequence[bytes]) -> list[bytes]:  # type: ignore[override]
        for at, record in enumerate(self.given):
            changed = record.replace(SECRET, INNOCENT)
            if isinstance(record, bytearray):
                record[:] = changed
            else:
                self.given[at] = changed
        return super().judge(records)


def _stored(spool: Path) -> bytes:
    lane = Lane(spool, "n", "transactions")
    found = b""
    for seq in lane.sealed_numbers():
        with Segment.open(lane.segment(seq)) as segment:
            found += lines_of(segment)
    return found


def _guarded() -> list[bytes]:
    return [line[:-1] + b',"p":"%b"}' % SECRET for line in records(2 * BESIDE // 700, filler=700)]


@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_a_secret_that_is_gone_when_it_is_looked_for_is_not_stored(
    tmp_path: Path, kind: type[bytes] | type[bytearray]
) -> None:
    # It was compressed while others were judged, which were taken then for what had been compressed.
    given: list[Any] = list(map(kind, _guarded()))
    with _Changing(tmp_path, given) as writer, pytest.raises(RecordError, match="secret"):
        writer.append(given)
    assert _stored(tmp_path) == b""
