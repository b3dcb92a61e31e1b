"""Which file system a path lies on, by the kernel's list of mounts."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spool.filesystem import NETWORK, check_local, kind_of

MOUNTS = rb"""22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:26 / /srv/nas rw,relatime shared:5 - nfs4 nas:/export rw,vers=4.2
31 22 0:27 / /srv/with\040space rw - cifs //nas/x rw
32 22 0:28 / /var rw - xfs /dev/vdb rw
33 32 0:29 / /var/lib/spool rw master:1 - nfs other:/x rw
34 33 0:30 / /var/lib/spool rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (b"/home/a", "ext4"),
        (b"/srv/nas", "nfs4"),
        (b"/srv/nas/spool", "nfs4"),
        (b"/srv/nasty", "ext4"),
        (b"/srv/with space/spool", "cifs"),
        (b"/var/lib", "xfs"),
        (b"/var/lib/spool/n", "tmpfs"),
    ],
)
def test_the_innermost_and_latest_mount_counts(path: bytes, kind: str) -> None:
    assert kind_of(path, MOUNTS) == kind


def test_the_disk_of_this_machine_is_local(tmp_path: Path) -> None:
    check_local(tmp_path / "not" / "made" / "yet")
    assert kind_of(bytes(tmp_path), Path("/proc/self/mountinfo").read_bytes()) not in ("", *NETWORK)


@given(st.binary(), st.binary())
def test_no_list_of_mounts_is_too_odd(path: bytes, mounts: bytes) -> None:
    assert isinstance(kind_of(path, mounts), str)
