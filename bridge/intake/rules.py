"""What the intake goes by, as one value: a request sees the old ones or the new ones, never a mix."""

from collections.abc import Collection
from dataclasses import dataclass

from bridge.intake.gate import Gate
from bridge.intake.passing import Verify
from spool.secrets import SecretGuard


@dataclass(frozen=True, slots=True)
class Rules:
    """Whose license keys are taken, what is never stored, what is off, who answers license requests.

    ``guard`` knows the configured keys; what comes for the streams in ``switched_off`` is answered as
    taken, and stored nowhere.
    """

    gate: Gate
    guard: SecretGuard
    switched_off: Collection[str]
    verify: Verify
