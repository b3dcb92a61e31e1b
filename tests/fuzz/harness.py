"""What a fuzz harness is: bytes in, and one sentence that must hold of whatever becomes of them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Harness:
    """One parser under fuzzing.

    ``tried`` says whether the parser took the bytes; it raises whatever it wants (an
    ``AssertionError`` of ours, or what escaped from the parser) where ``oracle`` is false of them.
    ``seeds`` are inputs to begin from, ``words`` what the format is made of. ``rounds`` inputs take
    about a second, ``size_max`` is the longest that is worth trying, in bytes.
    """

    name: str
    oracle: str
    tried: Callable[[bytes], bool]
    seeds: Callable[[], Iterable[bytes]]
    words: tuple[bytes, ...]
    rounds: int = 2000
    size_max: int = 4096

    def corpus(self) -> list[bytes]:
        """Inputs that a long run found to reach something new."""
        return _inputs(HERE / "corpus" / self.name)

    def found(self) -> dict[str, bytes]:
        """Inputs that once made the oracle's sentence false, by what they are."""
        folder = HERE / "found" / self.name
        return {path.name: path.read_bytes() for path in sorted(folder.glob("*"))}


def _inputs(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.glob("*"))]
