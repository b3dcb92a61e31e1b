"""The license token, for the status: its state, when it ends, what needs a person."""

from collections.abc import Iterator
from dataclasses import dataclass

from bridge.operate.problem import Problem
from spool.clock import rfc3339


@dataclass(frozen=True, slots=True)
class TokenSaid:
    """A state of docs/license.md by name, why or what it means, and what to do (empty: nothing).

    ``node`` is whose token it is.

    ``ends_at`` in ms since 1970 UTC, None where no token tells; ``source`` is beacon, cache (from
    the beacon, which cannot be asked any more) or import, None without a token; ``served`` says whether
    the intake hands it out.
    """

    node: str = ""
    state: str = "NONE"
    meaning: str = ""
    hint: str = ""
    ends_at: int | None = None
    source: str | None = None
    served: bool = False

    def problems(self) -> Iterator[Problem]:
        """What needs a person: at most one."""
        token = f"The license token of {self.node}"
        end = "" if self.ends_at is None else f" at {rfc3339(self.ends_at)}"
        match self.state:
            case "EXPIRING":
                said = f"{token} ends{end}, and a new one could not be had."
                yield Problem("license.expiring", said, self.hint)
            case "GRACE" | "EXPIRED":
                said = f"{token} ended{end}; none is served any more."
                yield Problem("license.expired", said, self.hint)
            case "DENIED":
                said = f"The license of {self.node} is refused: {self.meaning}."
                yield Problem("license.denied", said, self.hint)
            case "TAMPERED":
                said = f"{token} is not served: {self.meaning}."
                yield Problem("license.tampered", said, self.hint)
            case "CLOCK_ROLLBACK":
                said = f"{token} is not served: the clock was set back."
                yield Problem("license.clock_rollback", said, self.hint)
            case "UNVERIFIABLE" if not self.served:
                said = f"{token} is not served: {self.meaning}."
                yield Problem("license.unverifiable", said, self.hint)
            case "NOT_YET_VALID":
                said = f"{token} is not served: {self.meaning}."
                yield Problem("license.not_yet_valid", said, self.hint)


NO_TOKEN = TokenSaid()
