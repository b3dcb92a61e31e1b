"""What one step of a lane's sender did; whoever chose the lane goes by it."""

from dataclasses import dataclass

from bridge.egress.circuits import Scope


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did: whether there was anything to do, and what it found out of the beacon.

    ``trip`` is a circuit to open with a reason and the wait that was asked for; ``reached`` says
    that the beacon took a request, ``answered`` that it was the beacon that answered, ``blocked`` why
    nothing can be sent. ``sent`` bytes of body went out, with ``records``. ``backlog`` says whether the
    request left something pending for another one, None where that was not looked at.
    """

    idle: bool = False
    reached: bool = False
    answered: bool = False
    sent: int = 0
    records: int = 0
    backlog: bool | None = None
    blocked: str | None = None
    trip: tuple[Scope, str, float | None] | None = None
    refused: bool = False
    mended: tuple[int, int] | None = None
