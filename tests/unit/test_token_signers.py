"""The bridge never makes, extends or re-signs a token: nothing in it could."""

import ast
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
MINT = "bridge/testbeacon/tokens.py"
"""The reference beacon's, with its own key."""
SIGN = {
    "keys/ed25519.py": "SigningKey.sign",
    "keys/dsse.py": "seal",  # envelopes, whose encoding no token has
    "bridge/intake/certificates.py": "Authority.leaf new_authority",  # of the intake
    "bridge/daemon/serving.py": "_gate",  # the secret of the pinned license key's hash
    MINT: "TokenMint.token",
}
"""Where anything is signed, by file: functions."""
NAMES_AN_ALGORITHM = {
    "keys/jwks.py": "_key",  # reads it
    "keys/tokens.py": "_key_of",  # judges it
    MINT: "TokenMint.jwks TokenMint.token",
}
"""Where "alg" stands, without which there is no header of a token."""


@cache
def _sources() -> tuple[tuple[str, ast.Module], ...]:
    paths = (path for room in ("keys", "spool", "bridge") for path in (ROOT / room).rglob("*.py"))
    return tuple(
        (str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8")))
        for path in sorted(paths)
    )


def _within(tree: ast.AST, of: str = "") -> Iterator[tuple[str, ast.AST]]:
    """Every part of the source, with the function that it stands in."""
    for child in ast.iter_child_nodes(tree):
        inner = of
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            inner = f"{of}.{child.name}".lstrip(".")
        yield of, child
        yield from _within(child, inner)


def _where(is_it: Callable[[ast.AST], bool]) -> dict[str, str]:
    found: dict[str, set[str]] = {}
    for name, tree in _sources():
        for of, node in _within(tree):
            if is_it(node):
                found.setdefault(name, set()).add(of)
    return {name: " ".join(sorted(places)) for name, places in found.items()}


def _signs(node: ast.AST) -> bool:
    """Whether a method for signing is so much as named, called or not."""
    by_text = isinstance(node, ast.Constant) and node.value == "sign"
    return by_text or (isinstance(node, ast.Attribute) and node.attr == "sign")


def _names_an_algorithm(node: ast.AST) -> bool:
    if not isinstance(node, ast.Constant) or not isinstance(node.value, (str, bytes)):
        return False
    text = node.value if isinstance(node.value, bytes) else node.value.encode()
    return text == b"alg" or b'"alg"' in text


def test_jwt_is_imported_by_one_file_that_signs_nothing() -> None:
    found = {}
    for name, tree in _sources():
        for node in ast.walk(tree):
            modules = [node.module] if isinstance(node, ast.ImportFrom) else []
            modules += [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if any(str(module).partition(".")[0] in ("jwt", "joserfc") for module in modules):
                found[name] = tree
    assert list(found) == ["keys/tokens.py"]
    called = {
        node.attr for _, node in _within(found["keys/tokens.py"]) if isinstance(node, ast.Attribute)
    }
    assert not called & {"sign", "encode", "prepare_key", "dumps"}


def test_whatever_signs_is_listed_here_function_by_function() -> None:
    assert _where(_signs) == SIGN


def test_only_the_reference_beacon_can_write_the_header_of_a_token() -> None:
    assert _where(_names_an_algorithm) == NAMES_AN_ALGORITHM


def test_nothing_of_the_bridge_imports_the_reference_beacons_mint() -> None:
    for name, tree in _sources():
        if name.startswith("bridge/testbeacon/"):
            continue
        modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        modules |= {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
        assert "bridge.testbeacon.tokens" not in modules, name
