"""What can go wrong between a record and the disk."""

from keys.errors import BridgeError


class SpoolError(BridgeError):
    """The spool or its disk cannot do what was asked; nothing was acknowledged."""

    exit_code = 5


class RecordError(BridgeError):
    """A record cannot be taken as it is; nothing of it was stored."""

    exit_code = 1
