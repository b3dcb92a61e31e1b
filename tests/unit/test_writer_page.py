"""Every example of the page about the writer runs as it stands, and its records are there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import spool
from keys.ed25519 import SigningKey
from keys.keyfile import PRIVATE_NAME, PUBLIC_NAME, create_file
from spool.writer import Writer

PAGE = Path(__file__).parents[2] / "docs" / "writer.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_the_writer_is_what_the_room_gives_out() -> None:
    assert spool.Writer is Writer
    with pytest.raises(AttributeError):
        _ = spool.Reader


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_of_the_page_runs(tmp_path: Path, example: str) -> None:
    keys = tmp_path / "my-node" / "keys"
    keys.mkdir(parents=True)
    key = SigningKey.generate()
    create_file(keys / PRIVATE_NAME, key.pem(), 0o600)
    create_file(keys / PUBLIC_NAME, key.public.pem(), 0o644)
    subprocess.run([sys.executable, "-c", example], cwd=tmp_path, check=True)
    lane = tmp_path / "my-node/spool/prod-1/transactions"
    files = [*lane.glob("open/*.zst"), *lane.glob("sealed/*/*.zst")]
    assert len(files) == 1
    assert files[0].parent.name == ("open" if "signer" not in example else "00000000")
