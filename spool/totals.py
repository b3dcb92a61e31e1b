"""How much: records and bytes of records, the two sums that every seal and the ledger carry."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Totals:
    """A number of records, and their size in bytes with line ends, before compression."""

    records: int = 0
    raw_size: int = 0

    def __add__(self, other: Self) -> "Totals":
        """Both together."""
        return Totals(self.records + other.records, self.raw_size + other.raw_size)

    def __sub__(self, other: Self) -> "Totals":
        """What is left when ``other`` is taken away."""
        return Totals(self.records - other.records, self.raw_size - other.raw_size)


NOTHING = Totals()
