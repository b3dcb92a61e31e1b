"""The bridge never makes, extends or re-signs a token: nothing in it could."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SIGNERS = {"bridge/testbeacon/tokens.py"}
"""The reference beacon, with its own key."""
NODE_KEY = {
    "keys/dsse.py": "envelopes, whose encoding no token has",
    "bridge/testbeacon/tokens.py": "the reference beacon's tokens",
    "bridge/intake/certificates.py": "certificates of the intake",
    "bridge/daemon/serving.py": "the secret of the pinned license key's hash",
}


def _sources() -> Iterator[tuple[str, ast.Module]]:
    for room in ("keys", "spool", "bridge"):
        for path in sorted((ROOT / room).rglob("*.py")):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))


def _calls(tree: ast.Module, *names: str) -> bool:
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in names
        for node in ast.walk(tree)
    )


def test_jwt_is_imported_by_one_file_that_signs_nothing() -> None:
    found = {}
    for name, tree in _sources():
        for node in ast.walk(tree):
            modules = [node.module] if isinstance(node, ast.ImportFrom) else []
            modules += [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if any(str(module).partition(".")[0] in ("jwt", "joserfc") for module in modules):
                found[name] = tree
    assert list(found) == ["keys/tokens.py"]
    assert not _calls(found["keys/tokens.py"], "sign", "encode", "prepare_key", "dumps")


def test_whatever_signs_with_a_key_is_listed_here() -> None:
    found = {name for name, tree in _sources() if _calls(tree, "sign")}
    assert found == set(NODE_KEY) | {"keys/ed25519.py"}


def test_only_the_reference_beacon_mints_and_nothing_of_the_bridge_imports_its_mint() -> None:
    makers = {
        name
        for name, tree in _sources()
        if any(isinstance(node, ast.ClassDef) and "Mint" in node.name for node in ast.walk(tree))
    }
    assert makers == SIGNERS
    for name, tree in _sources():
        if name.startswith("bridge/testbeacon/"):
            continue
        modules = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        assert "bridge.testbeacon.tokens" not in modules, name
