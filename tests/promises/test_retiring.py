"""Every command names the way to give up a folder or a disk, and it works."""

from __future__ import annotations

from pathlib import Path

import pytest

from snoopsync.core.retiring import exclude_pattern
from tests.support.mounting import FRESH, mounted, needs_root
from tests.support.pictures import encode, photo
from tests.support.process import QUICK_SYNC, Installation


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    home = Installation(tmp_path)
    home.add_pictures(1)
    home.configure()
    return home


@needs_root
def test_the_advice_for_a_disk_that_is_gone_for_good_works(home: Installation) -> None:
    disk = home.pictures / "usb [1]"
    disk.mkdir()
    with mounted(disk, *FRESH):
        (disk / "1.jpg").write_bytes(encode(photo(1)))
        home.ok("resync")
    disk.rmdir()
    pattern = exclude_pattern(b"usb [1]")
    for command in ("resync", "status", "check"):
        done = home.run(command)
        said = done.out + done.err
        assert f"gone for good: add {pattern} to the folder's exclude" in said, command
        assert done.code, command
    refused = home.run("resync", "--prune")
    assert "nothing is pruned: folder pictures could not be completely read" in refused.out
    assert len(home.json("list", "--json")) == 2

    home.configure(QUICK_SYNC, f"folders: [{{path: {home.pictures}, exclude: [{pattern}]}}]\n")
    assert home.is_in_sync()
    home.ok("check")
    assert home.json("resync", "--prune", "--json")[-1]["deleted"] == 1
    assert home.is_in_sync()


def test_the_advice_for_a_folder_that_is_gone_for_good_works(home: Installation) -> None:
    gone = home.home / "gone"
    gone.mkdir()
    (gone / "1.jpg").write_bytes(encode(photo(1)))
    both = f"folders: [{{path: {home.pictures}}}, {{path: {gone}}}]\n"
    home.configure(QUICK_SYNC, both)
    home.ok("resync")
    (gone / "1.jpg").unlink()
    gone.rmdir()
    for command in ("status", "check"):
        done = home.run(command)
        assert "if it is gone for good: remove it from the configuration" in done.out
        assert done.code == 4
    home.configure()
    assert home.is_in_sync()
    home.ok("check")
    assert home.json("resync", "--prune", "--json")[-1]["deleted"] == 1
    assert len(home.json("list", "--json")) == 1
