"""A missing extra leaves pictures out, deletes nothing, and is named. With a service, no extra is
needed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from snoopsync.decoding.formats import missing_extras
from tests.support.hosted import hosted
from tests.support.pictures import encode, photo
from tests.support.process import Installation
from tests.support.raw_pictures import dng, preview_jpeg
from tests.support.world import World, fake_picture


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    """A folder with a JPEG, a RAW and a JPEG XL."""
    home = Installation(tmp_path)
    (home.pictures / "a.jpg").write_bytes(encode(photo(1)))
    (home.pictures / "b.DNG").write_bytes(dng(preview_jpeg()))
    (home.pictures / "c.jxl").write_bytes(encode(photo(3), "JXL"))
    home.configure()
    return home


@pytest.fixture
def without_extras(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The libraries of the extras can't be imported, until ``undo`` is called."""
    with monkeypatch.context() as patch:
        for name in ("rawpy", "pillow_jxl"):
            patch.setitem(sys.modules, name, None)
        yield patch


def paths(home: Installation) -> list[str]:
    """The paths of the images in the collection."""
    return sorted(line["path"] for line in home.json("list", "--json"))


def left_out(home: Installation) -> dict[str, int]:
    counts: dict[str, int] = home.status()["folders"][0]["left_out"]
    return counts


def test_files_that_need_an_extra_are_left_out_and_mirrored_once_it_is_installed(
    home: Installation, without_extras: pytest.MonkeyPatch
) -> None:
    done = home.ok("resync")
    assert paths(home) == ["a.jpg"]
    assert left_out(home) == {"needs-raw": 1, "needs-jxl": 1}
    assert home.status()["in_sync"] is True
    assert "1 camera RAW that needs the extra raw (.dng)" in done
    without_extras.undo()
    home.ok("resync")
    assert paths(home) == ["a.jpg", "b.DNG", "c.jxl"]
    assert left_out(home) == {}


def test_images_whose_extra_was_removed_stay_in_the_collection(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.ok("resync")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "rawpy", None)
        first = home.run("resync", "--json")
        assert first.err.count("a missing extra (pip install 'snoopsync[raw]') now leaves out") == 1
        assert "now leaves out" not in home.run("resync").err
        (home.pictures / "b.DNG").rename(home.home / "b.DNG")
        [summary] = home.json("resync", "--json")
        assert summary["deleted"] == 0
        assert left_out(home) == {}
        (home.home / "b.DNG").rename(home.pictures / "b.DNG")
    [summary] = home.json("resync", "--json")
    assert (summary["added"], summary["deleted"]) == (0, 0)
    assert paths(home) == ["a.jpg", "b.DNG", "c.jxl"]


def test_check_names_a_missing_extra_and_the_command_that_installs_it(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "ok       extras: raw, jxl" in home.ok("check").splitlines()
    monkeypatch.setitem(sys.modules, "rawpy", None)
    lines = home.ok("check").splitlines()
    what = "pictures has 1 camera RAW that needs the extra raw (.dng)"
    place = lines.index(f"warning  extra raw: not installed: {what}")
    assert lines[place + 1].strip() == "pip install 'snoopsync[raw]', then restart the service"
    assert "ok       extras: jxl; not installed: pip install 'snoopsync[raw]'" in lines


def test_a_service_gets_all_formats_whatever_is_installed_here(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service decodes them."""
    monkeypatch.setitem(sys.modules, "rawpy", None)
    assert missing_extras() == {"raw"}
    for number, path in enumerate(("a.CR3", "b.dng", "c.jxl", "d.psd", "e.psb")):
        world.disk.write(path, fake_picture(number))
    report = world.resync()
    assert (report.summary.added, report.left_out) == (5, {})


def test_serve_decodes_what_it_gets(home: Installation, tmp_path: Path) -> None:
    with hosted(tmp_path / "service") as service:
        home.configure_keys(service.endpoint, *service.keys("formats"))
        [summary] = home.json("resync", "--json")
        assert (summary["added"], summary["failed"]) == (3, 0)
