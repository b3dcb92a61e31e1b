"""Golden segments as attacks, by their names: verified as files, and imported in a bundle."""

from collections.abc import Iterator, Mapping, Sequence

from tests.golden.bad import bad
from tests.golden.build import LINES
from tests.support.attacks import Attack
from tests.support.crossings import IMPORT_ONE, VERIFY_GOOD, Held, bundle_of, importing, verifying

_BAD = {each.name: each for each in bad() if "/" not in each.name}
REFUSED = 4


def golden_segments(numbers: Mapping[int, Sequence[str]]) -> Iterator[Attack]:
    """Two attacks for each: by ``verify``, and by ``import`` of a bundle that holds it alone."""
    for number, names in numbers.items():
        for name in names:
            found = _BAD[name]
            yield Attack(
                number, f"{name}-verified", verifying(found.data), found.error, REFUSED, VERIFY_GOOD
            )
            yield Attack(
                number, f"{name}-imported", importing(bundle_of(Held(1, found.data, LINES))),
                found.error, REFUSED, IMPORT_ONE,
            )  # fmt: skip
