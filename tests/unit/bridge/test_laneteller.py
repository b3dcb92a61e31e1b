"""What people are told of a lane: each change once, however often its steps find the same."""

from pathlib import Path

from bridge.egress.event import Event
from bridge.egress.laneteller import REFUSED_EVERY_S, LaneTeller
from bridge.egress.step import Step
from spool.lane import Lane

REFUSED = Step(answered=True, refused=True)


def _counts(said: list[Event]) -> list[tuple[str, object]]:
    return [(str(event.fields["stream"]), event.fields["records"]) for event in said]


def test_the_first_refused_record_is_told_at_once_and_the_others_once_in_a_while(
    tmp_path: Path,
) -> None:
    now, said = [0.0], list[Event]()
    teller = LaneTeller(lambda: now[0], said.append)
    lane, other = (Lane(tmp_path, "n", stream) for stream in ("transactions", "langgraph"))
    for _ in range(1000):
        teller.stepped(lane, REFUSED)
    teller.stepped(other, REFUSED)
    assert _counts(said) == [("transactions", 1), ("langgraph", 1)]
    now[0] = REFUSED_EVERY_S
    teller.say_refused()
    teller.say_refused()
    assert _counts(said)[2:] == [("transactions", 999)]
    assert said[2].name == "record.refused"
    teller.stepped(lane, REFUSED)
    teller.say_refused(last=True)
    assert _counts(said)[3:] == [("transactions", 1)]
