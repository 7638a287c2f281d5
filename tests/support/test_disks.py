"""The disks that tests are done with are what they say they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.disks import KINDS, Drives, number_of, require

pytestmark = pytest.mark.integration

FILES = {"DCIM/a.jpg": b"one", "b.jpg": b"two"}


@pytest.fixture
def point(tmp_path: Path) -> Path:
    point = tmp_path / "point"
    point.mkdir()
    return point


@pytest.mark.parametrize("name", KINDS)
def test_a_drive_keeps_its_files_and_its_clone_has_them_too(
    tmp_path: Path, point: Path, name: str
) -> None:
    require(name)
    with Drives(tmp_path) as drives:
        drive = drives.make(name, FILES)
        backup = drive.clone()
        for each in (drive, backup, drive):
            with each.mounted(point):
                assert (point / "DCIM/a.jpg").read_bytes() == b"one"
                assert (point / "b.jpg").read_bytes() == b"two"
            assert list(point.iterdir()) == []


@pytest.mark.parametrize("name", sorted(KINDS.keys() - {"bind"}))
def test_a_slot_is_a_device_number(tmp_path: Path, point: Path, name: str) -> None:
    require(name)
    with Drives(tmp_path) as drives:
        first, second = drives.make(name, FILES), drives.make(name, FILES)
        numbers = []
        for drive, slot in ((first, 0), (second, 0), (first, 1), (first, 0)):
            with drive.mounted(point, slot):
                numbers.append(point.stat().st_dev)
        first_number, others, moved, back = numbers
        assert first_number == others == back != moved


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_of_disk_has_an_id_if_has_id_is_true(tmp_path: Path, point: Path, name: str) -> None:
    kind = require(name)
    ids = []
    with Drives(tmp_path) as drives:
        first, second = drives.make(name, FILES), drives.make(name, FILES)
        for drive in (first, second, first):
            with drive.mounted(point):
                ids.append(number_of(point))
    if kind.has_id:
        assert ids[0] == ids[2] != 0
        assert name == "bind" or ids[0] != ids[1]
    else:
        assert ids == [0, 0, 0]


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.fuse])
def test_every_access_is_an_error_once_the_program_of_a_drive_has_died(
    tmp_path: Path, point: Path, name: str
) -> None:
    require(name)
    with Drives(tmp_path) as drives:
        drive = drives.make(name, FILES)
        with drive.mounted(point):
            drive.break_down()
            with pytest.raises(OSError):
                list(point.iterdir())
        with drive.mounted(point):
            assert (point / "b.jpg").read_bytes() == b"two"


def test_all_is_unmounted_and_unplugged_in_the_end(tmp_path: Path, point: Path) -> None:
    require("ext4")
    with Drives(tmp_path) as drives:
        drive = drives.make("ext4", FILES)
        drive.mount(point)
        slot = drives._slot(0)
        assert slot.is_attached
    assert list(point.iterdir()) == []
    assert list(tmp_path.iterdir()) == [point]
    assert not slot.path.exists()
