"""What the beacon says no to: an HTTP status, a stable word, and a sentence without any of the body.

What was sent may hold a license key, so nothing of it is ever shown.
"""

BAD_REQUEST = 400
UNAUTHORIZED = 401
FORBIDDEN = 403
TOO_LARGE = 413
UNSUPPORTED = 415
FAILED = 500


class Refusal(Exception):  # noqa: N818 - an answer, not an error of ours
    """A request that is not taken; nothing of it was stored."""

    def __init__(self, status: int, id: str, message: str) -> None:  # noqa: A002 - the public word
        super().__init__(message)
        self.status = status
        self.id = id
        self.message = message


def malformed(message: str) -> Refusal:
    """A body that is not what its path takes."""
    return Refusal(BAD_REQUEST, "body.malformed", message)
