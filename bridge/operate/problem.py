"""Something that needs a person."""

from dataclasses import dataclass

from spool.egressfile import LaneFailure


@dataclass(frozen=True, slots=True)
class Problem:
    """A stable id, what it is, what to do."""

    id: str
    message: str
    hint: str

    @classmethod
    def of(cls, failed: LaneFailure) -> "Problem":
        """A lane that fails, under the id of what it fails on."""
        message = f"{failed.node}/{failed.stream} is not sent: {failed.message}"
        return cls(failed.id, message, failed.hint)
