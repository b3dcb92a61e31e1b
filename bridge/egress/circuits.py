"""Circuits: what is closed to requests for a while, and who may try again first.

A circuit is open for everything, for a route, for a node's license, or for both together. While it is
open one request at a time probes it, after each step of back-off; the first answer that is not of the
kind that opened it closes it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from bridge.egress.backoff import LONGEST_S, Backoff
from bridge.egress.verdict import LOOP, PROXY_LOGIN
from keys.errors import BridgeError

Scope = tuple[str, ...]
"""``()`` for everything, ``("route", path)``, ``("license", node)``, or all four words."""

EVERYTHING: Scope = ()


@dataclass(frozen=True, slots=True)
class Stuck:
    """Why something is left to send, and whether a person has to act.

    ``error`` is what the spool or the ledger said, None where it is the beacon.
    """

    reason: str
    needs_person: bool
    error: BridgeError | None = None


@dataclass(slots=True)
class Circuit:
    """An open circuit: why, when the next probe may go, how many failed; monotonic seconds."""

    backoff: Backoff
    reason: str
    next_try: float
    opened_at: float
    failures: int = 0
    probing: bool = field(default=False)


class Circuits:
    """The circuits of one process; the caller's lock guards them."""

    def __init__(self, monotonic: Callable[[], float], new_backoff: Callable[[], Backoff]) -> None:
        self._monotonic = monotonic
        self._new_backoff = new_backoff
        self._open: dict[Scope, Circuit] = {}

    @property
    def state(self) -> str | None:
        """``down`` if something heals by itself, ``paused`` if a person has to act, else None."""
        if not self._open:
            return None
        by_hand = all(_by_hand(scope, circuit.reason) for scope, circuit in self._open.items())
        return "paused" if by_hand else "down"

    def hopeless(self, scopes: Iterable[Scope], failures: int) -> Stuck | None:
        """Why a request under ``scopes`` cannot go.

        After so many failed probes of its circuit, or where the other side asks for a longer wait than
        any back-off of ours: an hour is not waited for by whoever wants to see the end.
        """
        now = self._monotonic()
        for scope in scopes:
            circuit = self._open.get(scope)
            if circuit is not None and (
                circuit.failures >= failures or circuit.next_try - now > LONGEST_S
            ):
                return Stuck(circuit.reason, _by_hand(scope, circuit.reason))
        return None

    @property
    def reasons(self) -> dict[Scope, str]:
        """Why each open circuit is open."""
        return {scope: circuit.reason for scope, circuit in self._open.items()}

    def hold(self, scopes: Iterable[Scope]) -> bool:
        """Whether a circuit is open for requests under ``scopes``."""
        return any(scope in self._open for scope in scopes)

    def try_now(self) -> None:
        """Let every open circuit be probed at once: a person says that the cause is mended."""
        for circuit in self._open.values():
            circuit.next_try = self._monotonic()

    def wait(self, scopes: Iterable[Scope]) -> float | None:
        """Seconds until a request under ``scopes`` may try; None while another one probes."""
        found = [self._open[scope] for scope in scopes if scope in self._open]
        if any(circuit.probing for circuit in found):
            return None
        now = self._monotonic()
        return max((circuit.next_try - now for circuit in found), default=0.0)

    def begin(self, scopes: Iterable[Scope]) -> frozenset[Scope]:
        """A request under ``scopes`` goes: it probes the open circuits among them, these."""
        probed = frozenset(scope for scope in scopes if scope in self._open)
        for scope in probed:
            self._open[scope].probing = True
        return probed

    def end(self, probed: Iterable[Scope]) -> None:
        """That request is over; what it found is said by :meth:`trip` and :meth:`close`.

        ``probed`` is what :meth:`begin` said: a request that began before the circuit opened must
        not make room for another probe beside the one that is under way.
        """
        for scope in probed:
            if scope in self._open:
                self._open[scope].probing = False

    def trip(
        self,
        scope: Scope,
        reason: str,
        floor_s: float | None,
        probed: frozenset[Scope] = frozenset(),
    ) -> float:
        """Open ``scope``, or keep it open for the next step; seconds until the next probe.

        ``floor_s`` is what the other side asked for (``Retry-After``), ``probed`` what
        :meth:`begin` said. What was under way when the circuit opened fails with it: that is no
        further step.
        """
        circuit = self._open.get(scope)
        now = self._monotonic()
        if circuit is None:
            circuit = self._open[scope] = Circuit(self._new_backoff(), reason, now, now)
        elif scope not in probed:
            circuit.next_try = max(circuit.next_try, now + (floor_s or 0.0))
            return max(circuit.next_try - now, 0.0)
        delay = circuit.backoff.failed(floor_s)
        circuit.reason = reason
        circuit.failures += 1
        circuit.next_try = self._monotonic() + delay
        return delay

    def close(self, scopes: Iterable[Scope]) -> float:
        """What holds up ``scopes`` is over; for how many seconds it was open, the longest of them."""
        found = [self._open.pop(scope) for scope in scopes if scope in self._open]
        now = self._monotonic()
        return max((now - circuit.opened_at for circuit in found), default=0.0)


def _by_hand(scope: Scope, reason: str) -> bool:
    """Whether a person has to act: a route or a license is refused, a proxy, or the name leads here."""
    return len(scope) == len(("license", "node")) or reason in (LOOP, PROXY_LOGIN)
