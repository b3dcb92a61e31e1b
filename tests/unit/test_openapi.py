"""The description of the intake names the paths that the intake has, and nothing that is not there."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from bridge.intake.app import HEALTH, VERIFY
from bridge.intake.taking import ROWS

DOCUMENT = yaml.safe_load((Path(__file__).parents[2] / "docs" / "openapi.yaml").read_text())


def references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "$ref":
                yield value
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_the_paths_are_those_of_the_table() -> None:
    assert set(DOCUMENT["paths"]) == {*ROWS, VERIFY, *HEALTH}
    for path, methods in DOCUMENT["paths"].items():
        assert list(methods) == ["get" if path in HEALTH else "post"]


def test_every_reference_leads_somewhere_and_everything_is_referred_to() -> None:
    found = set(references(DOCUMENT))
    for reference in found:
        node = DOCUMENT
        for name in reference.removeprefix("#/").split("/"):
            node = node[name]
    for kind, named in DOCUMENT["components"].items():
        for name in named:
            assert f"#/components/{kind}/{name}" in found


@pytest.mark.parametrize("path", ROWS)
def test_a_path_has_the_forms_and_errors_of_its_kind(path: str) -> None:
    said = DOCUMENT["paths"][path]["post"]
    _, _, name = said["requestBody"]["$ref"].rpartition("/")
    forms = DOCUMENT["components"]["requestBodies"][name]["content"]
    assert ("application/x-protobuf" in forms) == ROWS[path].otlp
    success, *errors = said["responses"]
    assert success in {"200", "204"}
    assert errors == ["400", "403", "405", "408", "413", "415", "503", "508"]


def test_operations_have_names_of_their_own() -> None:
    names = [each["operationId"] for path in DOCUMENT["paths"].values() for each in path.values()]
    assert len(set(names)) == len(names)
