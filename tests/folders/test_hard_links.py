"""Hard links of one file are one picture: each name is mirrored, and they are no duplicates."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from snoopsync.state.pairs import PairState
from tests.support.pictures import encode, photo
from tests.support.process import Installation
from tests.support.world import World, fake_picture


def link(world: World, path: str, to: str) -> None:
    """``to`` becomes a second name of the file, in place of what it was."""
    aside = world.disk.root.parent / "link"
    aside.hardlink_to(world.disk.root / path)
    aside.replace(world.disk.root / to)


def alerts(caplog: pytest.LogCaptureFixture) -> int:
    """How many alerts there were since it was last asked."""
    count = sum(record.name == "snoopsync.duplicates" for record in caplog.records)
    caplog.clear()
    return count


def states(world: World) -> list[PairState]:
    return [pair.state for pair in world.duplicates_known()]


@pytest.mark.parametrize("together", [True, False])
def test_hard_links_are_mirrored_each_and_cause_no_alert(
    world: World, caplog: pytest.LogCaptureFixture, together: bool
) -> None:
    world.disk.write("a.jpg", fake_picture(1))
    if not together:
        world.resync()
    link(world, "a.jpg", "b.jpg")
    for _ in range(2):
        world.resync()
        world.check_mirrored()
    assert len(world.ids()) == 2
    assert alerts(caplog) == 0
    assert PairState.OPEN not in states(world)


def test_a_copy_of_a_file_with_two_names_is_alerted(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.disk.write("a.jpg", fake_picture(1))
    link(world, "a.jpg", "b.jpg")
    world.disk.copy("a.jpg", "c.jpg")
    world.resync()
    assert alerts(caplog) == 1
    assert states(world) == [PairState.OPEN]


def test_a_copy_that_becomes_a_hard_link_is_not_a_duplicate_any_more(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.disk.write("a.jpg", fake_picture(1))
    world.disk.copy("a.jpg", "b.jpg")
    world.resync()
    assert (alerts(caplog), states(world)) == (1, [PairState.OPEN])
    link(world, "a.jpg", "b.jpg")
    world.resync()
    assert (alerts(caplog), states(world)) == (0, [])
    world.check_mirrored()


def test_a_hard_link_that_becomes_a_copy_is_alerted_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.disk.write("a.jpg", fake_picture(1))
    link(world, "a.jpg", "b.jpg")
    world.resync()
    world.disk.replace("b.jpg", world.disk.read("a.jpg"))
    for expected in (1, 0):
        world.resync()
        assert (alerts(caplog), states(world)) == (expected, [PairState.OPEN])


def test_links_across_folders_are_one_file_too(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    other = world.add_folder("other")
    world.disk.write("a.jpg", fake_picture(1))
    (other.root / "a.jpg").hardlink_to(world.disk.root / "a.jpg")
    world.resync()
    world.check_mirrored()
    assert alerts(caplog) == 0


def test_files_are_hard_links_only_if_the_disk_confirms_it(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Two disks may give two files one inode: the disk counts, at the moment of the alert."""
    world.disk.write("a.jpg", fake_picture(1))
    world.disk.copy("a.jpg", "b.jpg")
    with world.running(reconcile=False) as live:
        live.reconcile()
        assert world.database is not None
        world.database.change("UPDATE image SET inode = 7")
        live.components.duplicate_search.work_off(live.stop.is_set)
    assert alerts(caplog) == 1


def test_duplicates_does_not_list_hard_links(tmp_path: Path) -> None:
    home = Installation(tmp_path)
    (home.pictures / "a.jpg").write_bytes(encode(photo(1)))
    os.link(home.pictures / "a.jpg", home.pictures / "b.jpg")
    home.configure()
    home.ok("resync")
    assert home.ok("duplicates") == ""
    assert home.status()["duplicates_open"] == 0
    assert home.json("duplicates", "--all", "--json") == []
