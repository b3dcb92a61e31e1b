"""A license token that came as a file: the token alone, or the beacon's answer that holds it."""

import click

from bridge.cli.session import Session
from keys.errors import BridgeError, VerificationError, shown


def token_in(session: Session, file: str) -> str:
    """The token in ``file``; what it holds stands in no message.

    Raises :class:`BridgeError` ``input.unreadable``, or :class:`VerificationError`
    ``license.is_a_key``.
    """
    import orjson

    from keys.tokens import TOKEN_MAX

    try:
        with click.open_file(file, "rb") as opened:
            data = opened.read(TOKEN_MAX + 4096)
    except OSError as error:
        raise BridgeError(
            "input.unreadable",
            f"{shown(file)} cannot be read: {error.strerror}.",
            "Name the file that holds the token.",
        ) from error
    text = data.strip()
    if text.startswith(b"{"):
        try:
            found = orjson.loads(text).get("token")
        except orjson.JSONDecodeError:
            found = None
        text = found.encode() if isinstance(found, str) else b""
    keys = session.license_keys.revealed()
    as_text: str = text.decode("utf-8", "replace")
    if as_text in keys or as_text.startswith("lcl_"):
        raise VerificationError(
            "license.is_a_key",
            "The file holds a license key, not a token.",
            "Name the key's file as license_key_file; a token begins with eyJ and has two dots.",
        )
    return as_text
