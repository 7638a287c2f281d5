"""What file system a path is on, and what that means for watching it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from snoopsync.watching.mounts import Choice, choose_watch, events_reach, mount_of

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="there is no mountinfo")

ROOT = b"20 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "mountinfo"


def write(table: Path, *lines: bytes) -> Path:
    table.write_bytes(ROOT + b"".join(line + b"\n" for line in lines))
    return table


def auto(table: Path, path: bytes) -> Choice:
    return choose_watch("auto", path, table)


def test_a_path_is_on_the_deepest_mount_above_it(table: Path) -> None:
    write(
        table,
        b"21 20 0:40 / /srv rw - xfs /dev/sdb1 rw",
        b"22 21 0:41 /share /srv/photos rw,nosuid shared:7 master:2 - nfs4 nas:/share rw",
    )
    assert mount_of(b"/srv/photos/2024/a.jpg", table).kind == "nfs4"
    assert mount_of(b"/srv/photos", table).point == b"/srv/photos"
    assert mount_of(b"/srv/photos-old/a.jpg", table).kind == "xfs"
    assert mount_of(b"/home", table).kind == "ext4"
    assert mount_of(b"/srv", table).device == "0:40"


def test_odd_bytes_in_a_mount_point_are_unescaped(table: Path) -> None:
    write(table, rb"21 20 0:40 / /mnt/my\040disk\011\134\012" + b"\xff rw - vfat /dev/sdb1 rw")
    assert mount_of(b"/mnt/my disk\t\\\n\xff/a", table).kind == "vfat"


def test_of_two_mounts_on_one_point_the_upper_one_counts(table: Path) -> None:
    write(
        table,
        b"22 21 0:41 / /srv rw - cifs //nas/share rw",
        b"21 20 0:40 / /srv rw - xfs /dev/sdb1 rw",
    )
    assert mount_of(b"/srv/a", table).kind == "cifs"


def test_a_mount_hidden_under_a_later_one_does_not_count(table: Path) -> None:
    write(
        table,
        b"21 20 0:40 / /srv/photos rw - nfs nas:/photos rw",
        b"22 20 0:41 / /srv rw - btrfs /dev/sdb1 rw",
    )
    assert mount_of(b"/srv/photos/a", table).kind == "btrfs"


def test_a_path_that_no_mount_covers_is_an_error(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_bytes(b"21 20 0:40 / /srv rw - xfs /dev/sdb1 rw\n")
    with pytest.raises(LookupError, match="/home"):
        mount_of(b"/home", table)
    assert auto(table, b"/home").mode == "events"


@pytest.mark.parametrize(
    "kind", ["nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse", "fuse.sshfs", "9p", "virtiofs", "ceph"]
)
def test_auto_polls_where_others_may_write(table: Path, kind: str) -> None:
    assert not events_reach(kind)
    write(table, b"21 20 0:40 / /srv rw - %s source rw" % kind.encode())
    choice = auto(table, b"/srv/photos")
    assert choice.mode == "poll"
    assert kind in choice.reason
    assert auto(table, b"/home").mode == "events"


@pytest.mark.parametrize("kind", ["ext4", "btrfs", "xfs", "tmpfs", "zfs", "vfat", "fuseblk"])
def test_auto_takes_events_on_a_local_disk(table: Path, kind: str) -> None:
    assert events_reach(kind)
    write(table, b"21 20 0:40 / /srv rw - %s source rw" % kind.encode())
    assert auto(table, b"/srv/photos").mode == "events"


def test_a_container_root_has_events(table: Path) -> None:
    """Its layers are the host's: nobody in here can change them."""
    table.write_bytes(
        b"20 1 0:9 / / rw - overlay overlay"
        b" rw,lowerdir=/no/such/lower:l/ABC,upperdir=/no/such/upper,workdir=/no/such/work\n"
    )
    assert auto(table, b"/srv/photos").mode == "events"


def overlay(lower: Path, point: bytes) -> bytes:
    lowerdir = os.fsencode(lower).replace(b":", b"\\134:")
    return b"30 20 0:50 / %s rw - overlay overlay rw,lowerdir=/none:%s,upperdir=/upper" % (
        point,
        lowerdir,
    )


def test_an_overlay_whose_lower_side_can_be_written_is_polled(table: Path, tmp_path: Path) -> None:
    write(table, overlay(tmp_path, b"/merged"))
    assert auto(table, b"/merged/photos").mode == "poll"


def test_an_overlay_over_a_read_only_disk_has_events(table: Path, tmp_path: Path) -> None:
    here = os.fsencode(os.path.realpath(tmp_path))
    write(
        table,
        b"21 20 7:0 / %s ro,relatime - squashfs /dev/loop0 ro" % here,
        overlay(Path(os.fsdecode(here)), b"/merged"),
    )
    assert auto(table, b"/merged/photos").mode == "events"


def test_a_layer_of_an_overlay_is_polled(table: Path) -> None:
    """What is written through the overlay changes the layer, and raises no event there."""
    write(table, overlay(Path("/lower:1"), b"/merged"))
    choice = auto(table, b"/lower:1/photos")
    assert choice.mode == "poll"
    assert "/merged" in choice.reason
    assert auto(table, b"/upper").mode == "poll"
    assert auto(table, b"/lower:10").mode == "events"


def test_a_symlink_is_where_it_leads(table: Path, tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    link = tmp_path / "link"
    link.symlink_to(real)
    write(table, b"21 20 0:40 / %s rw - nfs nas:/ rw" % os.fsencode(os.path.realpath(real)))
    assert auto(table, os.fsencode(link)).mode == "poll"


@pytest.mark.parametrize("wanted", ["events", "poll"])
def test_a_configured_mode_is_used(table: Path, wanted: str) -> None:
    write(table, b"21 20 0:40 / /srv rw - nfs nas:/ rw")
    assert choose_watch(wanted, b"/srv", table).mode == wanted


def test_without_a_table_there_are_events(tmp_path: Path) -> None:
    assert auto(tmp_path / "none", b"/srv").mode == "events"


@linux_only
def test_the_real_table_contains_proc_and_this_folder(tmp_path: Path) -> None:
    assert mount_of(b"/proc/self").kind == "proc"
    assert choose_watch("auto", os.fsencode(tmp_path)).reason
