"""What lies beside a bundle: checksums, and a page of plain text for whoever carries it."""

from contextlib import suppress
from pathlib import Path

from bridge.terminal import counted
from bridge.transfer.checksums import SUMS, add_sum, drop_sum
from bridge.transfer.manifest import Manifest
from bridge.transfer.receipt import STATES, Receipt
from bridge.transfer.returnmanifest import Return
from bridge.transfer.textfile import put_text
from bridge.transfer.writing import Medium, take_away
from spool.clock import rfc3339


def slip_of(path: Path, text: str, medium: Medium) -> None:
    """Write the slip, ``text``, of the file at ``path``, and its line among the checksums.

    Raises :class:`OSError`; then the file is gone, too: it would look complete.
    """
    try:
        put_text(path.with_name(path.name + ".txt"), text.encode("utf-8", "surrogateescape"))
        add_sum(path, medium.sha256)
    except BaseException:
        take_away(path)
        with suppress(OSError):
            drop_slip(path)
        raise


def drop_slip(path: Path) -> None:
    """Take away slip and checksum of the bundle at ``path``, which is gone. Raises :class:`OSError`."""
    path.with_name(path.name + ".txt").unlink(missing_ok=True)
    drop_sum(path)


def bundle_slip(name: str, told: Manifest, medium: Medium) -> str:
    """What lies beside the bundle ``name``."""
    records = sum(lane.records for lane in told.lanes)
    return f"""\
{_head(name, told.sender, told.recipient, told.serial, told.made_at, medium)}
holds     {counted(records, "record", "records")} in {counted(len(told.members), "segment", "segments")}
note      {told.note or "-"}

{_steps(name)}
3. Later, ask {told.recipient} for the return bundle, and bring it back:
                           bridge export --for {told.sender} --to DIR
   Until it is back, {told.sender} counts these records as not confirmed.

If the file is lost, nothing is: {told.sender} still holds everything, and can export it again
(bridge export --again --to DIR).
"""


def return_slip(name: str, told: Return, receipt: Receipt, medium: Medium) -> str:
    """What lies beside the return bundle ``name``."""
    spans = [span for lane in receipt.lanes for span in lane.spans]
    by = {state: sum(len(s) for s in spans if s.state == state) for state in STATES}
    refused = sum(len(lane.refused) for lane in receipt.lanes)
    refused += sum(len(fork.refused) for lane in receipt.lanes for fork in lane.forks)
    missing = sum(len(run) for lane in receipt.lanes for run in lane.missing)
    asks = ""
    if missing:
        asks = f"""
3. Pack again what {told.sender} never got, and carry it there:
                           bridge export --resend {name} --to DIR"""
    return f"""\
{_head(name, told.sender, told.recipient, told.serial, told.made_at, medium)}
says of   {counted(sum(by.values()), "segment", "segments")}: \
{by["delivered"]} delivered, {by["quarantined"]} refused, {by["pending"]} on their way
refused   {counted(refused, "record", "records")} of them
missing   {missing}
token     {"a license token" if len(told.members) > 1 else "-"}

{_steps(name)}{asks}

If the file is lost, nothing is: {told.sender} can make another one, which says all of it again
(bridge export --for {told.recipient} --to DIR).
"""


def _head(name: str, sender: str, recipient: str, serial: int, made_at: int, medium: Medium) -> str:
    return f"""\
AIRGAP BRIDGE: COURIER'S SLIP

file      {name}
size      {medium.size} bytes
sha256    {medium.sha256}

from      {sender}
to        {recipient}
serial    {serial}
made      {rfc3339(made_at)}"""


def _steps(name: str) -> str:
    return f"""\
AT THE OTHER SIDE
1. Compare the checksum:   sha256sum -c {SUMS} --ignore-missing
2. Hand it in:             bridge import {name}"""
