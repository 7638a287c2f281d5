"""Real disks, with and without an ID of their own: another disk in the place of a folder's deletes
nothing, the right one is recognised wherever it is plugged in, and what is missing on a disk that
only its content identifies waits for a person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from snoopsync.cli.exit_codes import of_resync
from snoopsync.config.settings import FolderConfig
from snoopsync.core.model import UNNUMBERED, Record
from snoopsync.folders.sample import SAMPLE_FILES
from snoopsync.state.database import Database
from snoopsync.state.images import State
from snoopsync.sync.approving import approve_held
from tests.promises.test_deletion_safety import Stage, stage, watch_for_long
from tests.support.disks import KINDS, Drive, Drives, number_of, require
from tests.support.mounting import mounted
from tests.support.world import ToldWatcher, World, fake_picture

pytestmark = pytest.mark.integration

__all__ = ["stage"]  # a fixture

#: The other kinds take minutes, and are tried by hand: ``pytest -m slow``.
QUICK = ("ext4", "exfat", "squashfs")


def kinds(*, has_id: bool | None = None, writable: bool = False) -> list[ParameterSet]:
    """The kinds of file systems to try. ``has_id``: only those with, or without, an own ID."""
    return [
        pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
        for name, kind in KINDS.items()
        # A bind mount of another directory is another directory of the same file system.
        if name != "bind" and has_id in (None, kind.has_id)
        if not (writable and kind.read_only)
    ]


ALL, NAMELESS = kinds(), kinds(has_id=False)

#: Below a folder, another directory of its own file system is a disk like any other.
BELOW = [*ALL, pytest.param("bind")]
WRITABLE = kinds(has_id=False, writable=True)

COUNT = 12


def pictures(first: int, count: int = COUNT) -> dict[str, bytes]:
    return {f"DCIM/{number}.jpg": fake_picture(number) for number in range(first, first + count)}


def same_names(first: int, count: int = COUNT) -> dict[str, bytes]:
    """Other pictures than those of ``pictures(0)``, of the same size, under the same names."""
    return {f"DCIM/{number}.jpg": fake_picture(first + number) for number in range(count)}


@pytest.fixture
def drives(tmp_path: Path) -> Iterator[Drives]:
    base = tmp_path / "drives"
    base.mkdir()
    with Drives(base) as drives:
        yield drives


def mirrored(world: World, drive: Drive, point: Path) -> None:
    """Mount the drive at this path, and mirror everything on it."""
    point.mkdir(exist_ok=True)
    drive.mount(point)
    world.resync()
    world.check_mirrored()
    world.remote.forget_requests()


# The folder's own disk.


@pytest.mark.parametrize("others", [pictures(100, COUNT + 3), same_names(200)], ids=["new", "same"])
@pytest.mark.parametrize("name", ALL)
def test_another_disk_in_the_place_of_a_folders_disk_changes_nothing(
    world: World, drives: Drives, stage: Stage, name: str, others: dict[str, bytes]
) -> None:
    require(name)
    card, other = drives.make(name, pictures(0)), drives.make(name, others)
    root = world.disk.root
    mirrored(world, card, root)
    with stage(world) as see:
        card.unmount()
        with other.mounted(root):
            see()
            assert world.remote.changes() == []
            assert world.folder_state() == "missing"
    with card.mounted(root):
        assert of_resync(world.resync()) == 0
        world.check_mirrored()
        assert world.remote.changes() == []


@pytest.mark.parametrize("name", NAMELESS)
def test_another_disk_that_is_swapped_in_between_two_scans_changes_nothing(
    world: World, drives: Drives, name: str
) -> None:
    require(name)
    card, other = drives.make(name, pictures(0)), drives.make(name, pictures(100))
    root = world.disk.root
    mirrored(world, card, root)
    with world.running(ToldWatcher()) as live:
        live.rest()
        card.unmount()
        with other.mounted(root):
            watch_for_long(world, live)
            assert world.remote.changes() == []
            assert world.folder_state() == "missing"
        with card.mounted(root):
            live.until(lambda: world.folder_state() == "ok")
            live.rest()
            assert world.remote.changes() == []


@pytest.mark.parametrize("slot", [0, 1])
@pytest.mark.parametrize("name", ALL)
def test_a_disk_that_is_plugged_in_again_is_recognised_whatever_its_device_number(
    world: World, drives: Drives, stage: Stage, name: str, slot: int
) -> None:
    kind = require(name)
    card, root = drives.make(name, pictures(0)), world.disk.root
    mirrored(world, card, root)
    with stage(world) as see:
        card.unmount()
        card.mount(root, slot)
        see()
        assert world.remote.changes() == []
        assert world.folder_state() == "ok"
    if not kind.read_only:
        world.disk.write("DCIM/new.jpg", fake_picture(99))
        world.disk.remove("DCIM/0.jpg")
        # By a service that has seen the disk since before that.
        with world.running() as live:
            watch_for_long(world, live)
        assert len(world.remote.uploads()) == 1
        assert len(world.remote.deletes()) == (1 if kind.has_id else 0)
        assert world.held() == (0 if kind.has_id else 1)


@pytest.mark.parametrize("name", WRITABLE)
def test_a_running_service_deletes_images_of_files_deleted_on_a_disk_without_an_id(
    world: World, drives: Drives, name: str
) -> None:
    require(name)
    mirrored(world, drives.make(name, pictures(0)), world.disk.root)
    with world.running(ToldWatcher()) as live:
        live.rest()
        world.disk.remove("DCIM/0.jpg")
        live.scan()
        watch_for_long(world, live)
    world.check_mirrored()
    assert len(world.remote.deletes()) == 1


# An older backup of the disk.


@pytest.mark.parametrize("name", WRITABLE)
def test_files_missing_from_an_older_backup_need_approval_and_uploads_continue(
    world: World, drives: Drives, stage: Stage, name: str
) -> None:
    require(name)
    card, root = drives.make(name, pictures(0)), world.disk.root
    backup = card.clone()
    mirrored(world, card, root)
    world.disk.write("DCIM/late.jpg", fake_picture(50))
    world.resync()
    world.remote.forget_requests()
    with stage(world) as see:
        card.unmount()
        backup.write({"DCIM/only-here.jpg": fake_picture(51)})
        backup.mount(root)
        see()
        assert world.remote.deletes() == []
        assert len(world.remote.uploads()) == 1
        assert world.held() == 1
    assert of_resync(world.resync()) == 4
    assert world.remote.deletes() == []
    assert world.approve() == 1
    world.resync()
    assert len(world.remote.deletes()) == 1
    world.check_mirrored()


def test_holds_for_a_backup_end_when_the_original_disk_is_back(
    world: World, drives: Drives
) -> None:
    require("exfat")
    card, root = drives.make("exfat", pictures(0)), world.disk.root
    backup = card.clone()
    mirrored(world, card, root)
    world.disk.write("DCIM/late.jpg", fake_picture(50))
    world.resync()
    world.remote.forget_requests()
    card.unmount()
    with backup.mounted(root):
        world.resync()
        assert world.held() == 1
    card.mount(root)
    world.resync()
    world.check_mirrored()
    assert world.held() == 0
    assert world.remote.changes() == []


def test_files_missing_from_a_backup_need_approval_after_a_crash(
    world: World, drives: Drives
) -> None:
    require("exfat")
    card, root = drives.make("exfat", pictures(0)), world.disk.root
    mirrored(world, card, root)
    card.unmount()
    with card.mounted(drives._place("elsewhere")) as elsewhere:
        (elsewhere / "DCIM/3.jpg").unlink()
    card.mount(root)
    with world.running_until_it_crashes() as live:
        live.until(lambda: not live.components.engine.is_looking)
    assert world.held() == 0, "it is to be gone for long enough first"
    world.resync()
    assert world.held() == 1
    assert world.remote.deletes() == []


@pytest.mark.parametrize("others", [{}, pictures(100)], ids=["empty", "other"])
def test_another_disk_is_not_the_folder_though_every_deletion_needs_approval(
    world: World, drives: Drives, others: dict[str, bytes]
) -> None:
    """A clone was recognised, and another disk took its place before the first scan of it."""
    require("exfat")
    card, other = drives.make("exfat", pictures(0)), drives.make("exfat", others)
    mirrored(world, card, world.disk.root)
    need_approval(world, world.records())
    card.unmount()
    with other.mounted(world.disk.root):
        assert of_resync(world.resync()) == 4
        assert world.folder_state() == "missing"
        assert world.remote.changes() == []
    card.mount(world.disk.root)
    assert of_resync(world.resync()) == 0
    assert world.folder_state() == "ok"
    assert world.held() == 0
    assert world.remote.changes() == []


def test_the_right_disk_is_recognised_after_one_with_half_of_its_pictures(
    world: World, drives: Drives
) -> None:
    require("exfat")
    half = pictures(0, COUNT // 2) | pictures(100, COUNT)
    card, other = drives.make("exfat", pictures(0)), drives.make("exfat", half)
    mirrored(world, card, world.disk.root)
    card.unmount()
    with other.mounted(world.disk.root):
        world.resync()
        assert world.held() == COUNT // 2
    card.mount(world.disk.root)
    world.resync()
    assert world.folder_state() == "ok"
    assert world.held() == COUNT, "what only the other disk has"
    assert world.remote.deletes() == []


def test_a_disk_is_recognised_by_the_few_files_that_are_not_to_be_deleted(
    world: World, drives: Drives
) -> None:
    require("exfat")
    card = drives.make("exfat", pictures(0, 3 * SAMPLE_FILES))
    mirrored(world, card, world.disk.root)
    gone = [
        record for record in world.records() if record.rel_path.name not in (b"7.jpg", b"8.jpg")
    ]
    need_approval(world, gone)
    for record in gone:
        world.disk.remove(record.rel_path.text)
    card.unmount()
    card.mount(world.disk.root)
    world.resync()
    assert world.folder_state() == "ok"
    assert world.remote.changes() == []


def need_approval(world: World, records: Iterable[Record]) -> None:
    """As if these files were missing at the first scan of a disk that its content identifies."""
    with closing(Database(world.state_path)) as database:
        State(database).deletions.require_approval([record.rel_path for record in records])


# What a person says.


def test_another_disk_that_a_person_accepts_is_the_folder_from_then_on(
    world: World, drives: Drives
) -> None:
    require("exfat")
    card, other = drives.make("exfat", pictures(0)), drives.make("exfat", pictures(100))
    mirrored(world, card, world.disk.root)
    card.unmount()
    with other.mounted(world.disk.root):
        assert of_resync(world.resync()) == 4
        with closing(Database(world.state_path)) as database:
            name, folder = next(iter(world.folders.items()))
            assert approve_held(State(database), world.config, name, discard=False)["taken"]
        world.resync()
        world.check_mirrored()
        assert len(world.remote.uploads()) == len(world.remote.deletes()) == COUNT
        other.unmount()
        other.mount(folder.path)
        assert of_resync(world.resync()) == 0


def test_approving_held_deletions_does_not_accept_an_unexamined_disk(
    world: World, drives: Drives
) -> None:
    require("exfat")
    card, other = drives.make("exfat", pictures(0)), drives.make("exfat", pictures(100))
    mirrored(world, card, world.disk.root)
    card.unmount()
    with other.mounted(world.disk.root):
        with closing(Database(world.state_path)) as database:
            name = next(iter(world.folders))
            assert not approve_held(State(database), world.config, name, discard=False)["taken"]
        assert of_resync(world.resync()) == 4
        assert world.remote.changes() == []


def test_a_disk_without_an_id_under_another_name_in_the_configuration_keeps_its_images(
    world: World, drives: Drives
) -> None:
    require("exfat")
    card, other = drives.make("exfat", pictures(0)), drives.make("exfat", pictures(100))
    root = world.disk.root
    mirrored(world, card, root)
    world.folders = {"card": FolderConfig("card", root)}
    card.unmount()
    with other.mounted(root):
        world.rehearse()
        assert "photos" in {record.rel_path.folder for record in world.records()}
    with card.mounted(root):
        assert of_resync(world.resync()) == 0
        assert {record.rel_path.folder for record in world.records()} == {"card"}
        assert world.remote.changes() == []


# A disk below the folder.


@pytest.fixture
def below(world: World) -> Path:
    """Where a disk is mounted below a folder that has pictures of its own."""
    for number in range(500, 500 + COUNT):
        world.disk.write(f"own/{number}.jpg", fake_picture(number))
    point = world.disk.root / "card"
    point.mkdir()
    return point


@pytest.mark.parametrize("name", BELOW)
def test_another_disk_in_the_place_of_one_below_a_folder_deletes_nothing_of_it(
    world: World, drives: Drives, stage: Stage, below: Path, name: str
) -> None:
    require(name)
    card, other = drives.make(name, pictures(0)), drives.make(name, pictures(100))
    mirrored(world, card, below)
    with stage(world) as see:
        card.unmount()
        other.mount(below)
        see()
        assert world.remote.deletes() == []
        assert len(world.remote.uploads()) == COUNT
        assert world.folder_state() == "unwatched", "what is not there is not in order"
        other.unmount()
        card.mount(below)
        see()
        assert world.remote.deletes() == []
        assert len(world.remote.uploads()) == COUNT
    other.unmount()


@pytest.mark.parametrize("slot", [0, 1])
@pytest.mark.parametrize("name", [*WRITABLE, pytest.param("bind")])
def test_a_disk_below_a_folder_that_is_plugged_in_again_is_recognised(
    world: World, drives: Drives, stage: Stage, below: Path, name: str, slot: int
) -> None:
    require(name)
    card = drives.make(name, pictures(0))
    mirrored(world, card, below)
    with stage(world) as see:
        card.unmount()
        card.mount(below, slot)
        see()
        assert world.remote.changes() == []
        assert world.folder_state() == "ok"
    with world.running(ToldWatcher()) as live:
        live.rest()
        world.disk.write("card/DCIM/new.jpg", fake_picture(99))
        world.disk.remove("card/DCIM/0.jpg")
        live.scan()
        watch_for_long(world, live)
    world.check_mirrored()
    assert len(world.remote.deletes()) == len(world.remote.uploads()) == 1


@pytest.mark.parametrize("name", WRITABLE)
def test_files_missing_from_an_older_backup_below_a_folder_need_approval(
    world: World, drives: Drives, stage: Stage, below: Path, name: str
) -> None:
    require(name)
    card = drives.make(name, pictures(0))
    backup = card.clone()
    mirrored(world, card, below)
    world.disk.write("card/DCIM/late.jpg", fake_picture(50))
    world.resync()
    world.remote.forget_requests()
    with stage(world) as see:
        card.unmount()
        backup.mount(below)
        see()
        assert world.remote.changes() == []
        assert world.held() == 1
    world.approve()
    world.resync()
    assert len(world.remote.deletes()) == 1
    world.check_mirrored()


@pytest.mark.parametrize("name", ["ext4", "bind"])
def test_files_of_a_disk_below_a_folder_are_not_gone_when_it_is_unmounted(
    world: World, drives: Drives, stage: Stage, below: Path, name: str
) -> None:
    """Nor is it when it is of the folder's own file system, whose device tells nothing."""
    require(name)
    card = drives.make(name, pictures(0))
    mirrored(world, card, below)
    with stage(world) as see:
        card.unmount()
        see()
        assert world.remote.changes() == []
        assert world.folder_state() == "unwatched", "what is not there is not in order"
        card.mount(below)
        see()
        assert world.remote.changes() == []
        assert world.folder_state() == "ok"
    world.disk.remove("card/DCIM/0.jpg")
    world.resync()
    world.check_mirrored()
    assert len(world.remote.deletes()) == 1


def test_another_directory_of_a_disk_in_the_place_of_one_below_a_folder_deletes_nothing_of_it(
    world: World, drives: Drives, stage: Stage, below: Path
) -> None:
    require("ext4")
    require("bind")
    files = {f"{name}/{number}.jpg": fake_picture(number) for name, number in (("a", 1), ("b", 2))}
    with drives.make("ext4", files).opened() as disk:
        with mounted(below, "--bind", disk / "a"):
            world.resync()
            world.check_mirrored()
            world.remote.forget_requests()
        with stage(world) as see, mounted(below, "--bind", disk / "b"):
            see()
            assert world.remote.deletes() == []
            assert len(world.remote.uploads()) == 1


@pytest.mark.parametrize(
    ("name", "before"), [("ext4", "unnumbered"), ("ext4", "own ID"), ("bind", "folder's own")]
)
def test_files_of_a_disk_that_had_no_number_are_recognised_by_content(
    world: World, drives: Drives, below: Path, name: str, before: str
) -> None:
    """As older versions recorded them."""
    require(name)
    mirrored(world, drives.make(name, pictures(0)), below)
    numbers = {record.submount for record in world.records()}
    assert len(numbers) == 2
    old = {"unnumbered": UNNUMBERED, "own ID": number_of(below), "folder's own": 0}
    with closing(Database(world.state_path)) as database:
        database.change("UPDATE image SET submount = ? WHERE submount", (old[before],))
    with world.running(ToldWatcher()) as live:
        live.rest()
        world.disk.remove("card/DCIM/0.jpg")
        live.scan()
        watch_for_long(world, live)
    world.check_mirrored()
    assert {record.submount for record in world.records()} == numbers
