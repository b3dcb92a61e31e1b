"""The list of attacks is whole: each has its tests through the command line, or the reason why not.

:class:`~tests.support.attacks.Arena` gives an attack its error id, exit code, unchanged digests, bounds
and twin; whatever else runs a command in ``tests/attacks`` has the bounds by
:class:`~tests.support.attacks.Home` or ``run_apart``.
"""

import importlib
import inspect
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from tests.support.attacks import Attack

ROOT = Path(__file__).parents[2]
HERE = ROOT / "tests" / "attacks"
PAGE = (ROOT / "docs" / "threat-model.md").read_text()
NUMBERS = (
    *(1, 2, 3, 4, 6, 7, 8, 10, 11, 14, 15, 17, 19, 20, 22, 23, 25),  # envelopes, keys
    *(33, 34, 35, 37, 40, 41, 42, 44, 45),  # segments, chains
    *(48, 49, 51, 53, 55, 56, 58, 59, 61, 63, 64, 66, 67, 68),  # compression, lines
    *(69, 70, 71, 73, 74, 76, 78, 80, 81, 82),  # the container
    *(84, 86, 87, 88, 89, 90, 92, 93, 94, 96),  # replay, receipts
    *(97, 99, 100, 101, 102, 104),  # encryption
    *(105, 106, 108, 110, 112, 114, 115, 116, 117, 119),  # spool, daemon, host
    *(120, 122, 124, 126, 128, 129, 130, 131),  # HTTP
    *(134, 135, 136, 137, 139, 140, 141, 142, 144, 145, 147, 148, 150),  # licenses
    *(152, 154, 155, 156, 157, 158),  # what is shown, secrets
)
"""All that are known; new ones get new numbers."""
ELSEWHERE = {
    116: "tests/crash/test_torture.py",  # kills real processes at their system calls
    154: "tests/integration/test_canary.py",  # looks at all that a whole journey leaves
}


APART = {
    **dict.fromkeys((35,), "cannot be detected; what is shown is that it is not"),
    **dict.fromkeys(
        (37, 84, 86, 90, 92, 94, 96, 119, 156, 157), "nothing is refused: it is taken, or moot"
    ),
    **dict.fromkeys(
        (44, 140, 145, 147, 148, 150), "a state that is told, not an input that is refused"
    ),
    **dict.fromkeys((82, 108, 112, 114, 115), "by what happens meanwhile to a process of its own"),
    **dict.fromkeys((120, 122, 124, 126, 128, 129, 130, 131), "an answer over a socket"),
    **dict.fromkeys((152,), "of whatever is refused, the words are looked at"),
}
"""Why ``Arena`` cannot try these; their tests say what it would, as far as there is such."""


def chapter(begin: str, end: str) -> list[str]:
    """The first cells of the rows of a table of the page."""
    text = PAGE.partition(begin)[2].partition(end)[0]
    assert text
    return re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE)[1:]


def named(words: str) -> set[int]:
    """The attacks that are named there, ``69 to 81`` for all between."""
    found = re.findall(r"(?<!\w)(\d+)(?: to (\d+))?(?!\w)", words)
    return {n for n in NUMBERS for first, last in found if int(first) <= n <= int(last or first)}


APPLY = set().union(*map(named, chapter("## Attacks and where they end", "These do not apply")))
DO_NOT = set().union(*map(named, chapter("These do not apply", "## Not yet")))
NOT_YET = named(PAGE.partition("## Not yet")[2].partition(",")[0])


@cache
def named_in(path: Path) -> Mapping[int, Sequence[object]]:
    """By number, the names of tests, and the parameters that bear it in their ids."""
    found: dict[int, list[object]] = defaultdict(list)
    module = importlib.import_module(f"{'.'.join(path.relative_to(ROOT).with_suffix('').parts)}")
    for name, test in inspect.getmembers(module, inspect.isfunction):
        if not name.startswith("test_attack"):
            continue
        for number in named(name.replace("_to_", "-to-").replace("_", " ").replace("-to-", " to ")):
            found[number].append(name)
        for mark in getattr(test, "pytestmark", []):
            for each in mark.args[1] if mark.name == "parametrize" else ():
                said = str(getattr(each, "id", None) or each)
                if begin := re.match(r"(\d+)-", said):
                    found[int(begin[1])].append(getattr(each, "values", [said])[0])
    return found


def named_in_all() -> Mapping[int, Sequence[object]]:
    """The same of all in ``tests/attacks``."""
    found: dict[int, list[object]] = defaultdict(list)
    for path in sorted(HERE.glob("test_*.py")):
        for number, each in named_in(path).items():
            found[number] += each
    return found


def tried_by_arena() -> set[int]:
    """Those that are tried so, also the ones that a test makes itself."""
    made = {n for n, each in named_in_all().items() if any(isinstance(one, Attack) for one in each)}
    for path in HERE.glob("test_*.py"):
        made |= {int(n) for n in re.findall(r"\bAttack\(\s*(\d+),", path.read_text())}
    return made - {0}


def test_the_threat_model_says_of_every_attack_where_it_ends_or_why_it_does_not_apply() -> None:
    assert set(NUMBERS) == APPLY | DO_NOT | NOT_YET
    assert {155} == NOT_YET
    assert not NOT_YET & APPLY


def test_no_test_is_of_an_attack_that_the_list_does_not_know() -> None:
    assert set(named_in_all()) - {0} <= set(NUMBERS)


def test_every_attack_that_applies_is_tried_by_a_command() -> None:
    assert APPLY - named_in_all().keys() == ELSEWHERE.keys()
    for number, path in ELSEWHERE.items():
        assert named_in(ROOT / path)[number]


def test_every_attack_is_tried_in_the_arena_or_it_is_said_why_not() -> None:
    arena, known = tried_by_arena(), APART.keys() | ELSEWHERE.keys()
    assert not arena & known
    assert arena | known == APPLY | {35}
