"""Having everything sealed up to this moment, whoever writes it."""

from pathlib import Path

from bridge.config import Config
from keys.ed25519 import SigningKey
from spool.asking import ask_and_wait
from spool.clock import SYSTEM_CLOCK
from spool.durable import OS_DISK, explained
from spool.lane import Lane
from spool.recovery import Recovery
from spool.sealing import Sealer
from spool.streams import STREAMS


def seal_all(config: Config, signer: SigningKey) -> list[Path]:
    """Seal what this node's lanes hold; the files that a writer keeps open all the same.

    Raises :class:`SpoolError` ``disk.*``.
    """
    sealers = [
        Sealer(OS_DISK, Lane(config.spool.path, config.node, name), signer, SYSTEM_CLOCK)
        for name in STREAMS
    ]
    sealers = [sealer for sealer in sealers if sealer.lane.folder.is_dir()]

    def recover() -> None:
        for sealer in sealers:
            for _ in Recovery(OS_DISK, sealer, SYSTEM_CLOCK).recover():
                pass

    try:
        return ask_and_wait([sealer.lane for sealer in sealers], recover)
    except OSError as error:
        raise explained(error, "seal what is open") from error
