"""What can go wrong between this machine and the beacon."""

from keys.errors import BridgeError


class UnreachableError(BridgeError):
    """The beacon cannot be reached, or what answered is not the beacon; it heals by itself."""

    exit_code = 6


class RefusedError(BridgeError):
    """The beacon answered and refused; a person has to act."""

    exit_code = 7
