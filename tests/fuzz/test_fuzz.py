"""Whatever bytes reach a parser, the sentence of its harness holds: a short run of each.

``scripts/fuzz NAME`` runs one for as long as told.
"""

import pytest

from tests.fuzz.harness import HERE
from tests.fuzz.harnesses import HARNESSES
from tests.fuzz.mutation import mutations

SEED = 20261127
CORPUS_MAX = 64 * 1024
"""Bytes of committed inputs of one harness."""

NAMED = pytest.mark.parametrize("name", list(HARNESSES))


@NAMED
def test_the_sentence_holds_of_known_inputs_and_some_of_them_are_taken(name: str) -> None:
    harness = HARNESSES[name]
    known = (*harness.seeds(), *harness.corpus(), *harness.found().values())
    taken = [harness.tried(data) for data in known]
    assert any(taken)


@NAMED
def test_the_sentence_holds_of_inputs_near_good_ones(name: str) -> None:
    harness = HARNESSES[name]
    inputs = [*harness.seeds(), *harness.corpus()]
    refused = 0
    for data in mutations(
        inputs, harness.words, rounds=harness.rounds, size_max=harness.size_max, seed=SEED
    ):
        try:
            refused += not harness.tried(data)
        except Exception as error:
            error.add_note(f"{harness.oracle} Not of {data!r}.")
            raise
    assert refused > harness.rounds // 100


def test_each_harness_has_inputs_that_a_long_run_found_and_no_folder_of_them_is_large() -> None:
    for kind in ("corpus", "found"):
        folders = [path for path in (HERE / kind).glob("*") if path.is_dir()]
        names = {path.name for path in folders}
        assert names <= HARNESSES.keys()
        assert kind == "found" or names == HARNESSES.keys()
        for folder in folders:
            assert sum(path.stat().st_size for path in folder.iterdir()) <= CORPUS_MAX


def test_each_oracle_is_one_sentence_of_its_own() -> None:
    said = [harness.oracle for harness in HARNESSES.values()]
    assert all(each.endswith(".") and each.count(".") == 1 for each in said)
    assert len(set(said)) == len(said)
