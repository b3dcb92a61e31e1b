"""Makes the golden files anew: ``python -m tests.golden.generate``. The same bytes every time."""

import json
from pathlib import Path

from tests.golden.bad import bad
from tests.golden.build import HERE, SIGNER, STRANGER, SUCCESSOR
from tests.golden.bundles import bundles, document
from tests.golden.good import SUFFIX, good


def files() -> dict[str, bytes]:
    """Every golden file: its path below this folder, and its bytes."""
    made = {
        "keys/signer.pub.pem": SIGNER.pem,
        "keys/stranger.pub.pem": STRANGER.pem,
        "keys/successor.pub.pem": SUCCESSOR.pem,
    }
    said = []
    for right in good():
        made[f"good/{right.name}"] = right.data
        said.append(
            {
                "file": f"good/{right.name}",
                "digest": right.digest,
                "statement": right.said,
                "lines": right.lines.decode().splitlines(),
            }
        )
    table: dict[str, dict[str, str]] = {}
    for wrong in bad():
        path = f"bad/{wrong.name}{SUFFIX}"
        assert path not in made, path
        made[path] = wrong.data
        # A defect between files is one of the spool that they lie in.
        spool, slash, _ = wrong.name.partition("/")
        shown = f"bad/{spool}" if slash else path
        table[shown] = {"file": shown, "error": wrong.error, "why": wrong.why}
    for each in bundles():
        made[f"bundles/{each.name}"] = each.data
    made["bundles.json"] = document()
    made["good.json"] = _document(said)
    made["bad.json"] = _document(list(table.values()))
    return made


def _document(rows: object) -> bytes:
    return json.dumps(rows, indent=1, ensure_ascii=False).encode() + b"\n"


def write(folder: Path) -> None:
    """Write them all below ``folder``."""
    for name, data in files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


if __name__ == "__main__":
    write(HERE)
