"""Looking for a secret: in every file, in every form, compressed or packed."""

import base64
import io
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import zstandard


def forms(secret: str) -> Mapping[str, bytes]:
    """How it may be written; base64 wherever it begins in what was encoded."""
    raw = secret.encode()
    found = {
        "raw": raw,
        "json": secret.replace("/", "\\/").encode(),
        "escaped": "".join(f"\\u{ord(mark):04x}" for mark in secret).encode(),
        "hex": raw.hex().encode(),
        "hex-capitals": raw.hex().upper().encode(),
        "url": quote(secret, safe="").encode(),
        "utf-16": secret.encode("utf-16-le"),
    }
    for shift in range(3):
        padded = b"x" * shift + raw
        whole = base64.b64encode(padded[: len(padded) // 3 * 3])
        found[f"base64-{shift}"] = whole[4:]
        found[f"base64url-{shift}"] = whole[4:].replace(b"+", b"-").replace(b"/", b"_")
    return found


def where(secret: str, texts: Mapping[str, bytes]) -> set[str]:
    """The names of the texts that hold it in any form."""
    wanted = set(forms(secret).values())
    return {name for name, text in texts.items() if any(form in text for form in wanted)}


def texts_below(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file below ``folder``: as it is, and what is packed or compressed in it."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            yield path, b"\n".join([data, *_unpacked(data)])


def _unpacked(data: bytes) -> Iterator[bytes]:
    if data[257:262] == b"ustar":
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for member in tar:
                held = tar.extractfile(member)
                if held is not None:
                    inner = held.read()
                    yield inner
                    yield from _unpacked(inner)
    elif data.startswith(b"\x28\xb5\x2f\xfd"):
        reader = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True)
        yield reader.read()
