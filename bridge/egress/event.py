"""What happens while the bridge runs, for its log."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Event:
    """Something a person may want to know; ``name`` is stable."""

    name: str
    message: str
    fields: dict[str, object] = field(default_factory=dict)
