"""Groups of duplicates on a terminal and as JSON."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from rich.console import Console

from snoopsync.cli.group_view import group_json, print_groups
from snoopsync.cli.tables import FileLinks
from snoopsync.core.model import RelPath
from snoopsync.folders.companions import CompanionFinder
from snoopsync.state.group_rows import Likeness
from snoopsync.state.groups import Group, GroupImage
from snoopsync.state.sides import Side

NAMES = (b"a.jpg", b"\xff.jpg")


def test_a_group_with_nothing_to_keep_says_how_much_can_be_freed_at_least(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sides = (
        Side(f"tests.{name}", RelPath("photos", name.encode()), size_bytes=600) for name in "ab"
    )
    images = tuple(GroupImage(side, None) for side in sides)
    group = Group("1", images, None, chain=False, series=False, open_pairs=1, found_at=0.0)
    console = Console(force_terminal=True, width=80, color_system=None)
    print_groups(console, iter([group]), FileLinks({}))
    title, rest, first, second = capsys.readouterr().out.splitlines()
    assert "at least 600 bytes can be freed" in title
    assert f"{title} {rest.strip()}".endswith(", nothing favours one of them")
    assert len(title) <= 80
    assert first.split()[0] == "-"  # the pixels, which are not known
    assert first.split()[1:3] == ["600", "bytes"]
    assert second.split()[:3] == ["-", "-", "-"]


def test_an_image_of_another_owner_has_a_label_and_no_path_in_json() -> None:
    ours, theirs = Side("tests.a", RelPath("photos", b"a")), Side("them.b", None, label="nas: b")
    images = GroupImage(ours, None), GroupImage(theirs, Likeness(3, "cropped"))
    group = Group("1", images, None, False, False, 1, 0.0)
    first, other = group_json(group, CompanionFinder({}))["images"]
    assert (first["path"], first["label"]) == ("a", None)
    assert [other[key] for key in ("folder", "path", "label")] == [None, None, "nas: b"]
    assert [other[key] for key in ("rank", "kind")] == [3, "cropped"]


def test_an_image_has_the_paths_of_its_companions_in_json(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.cr2", "a\n.xmp", os.fsdecode(b"\xff.jpg"), os.fsdecode(b"\xff.xmp")):
        (tmp_path / name).write_bytes(b"x")
    sides = (Side(f"tests.{at}", RelPath("photos", name)) for at, name in enumerate(NAMES))
    group = Group("1", tuple(GroupImage(side, None) for side in sides), None, False, False, 1, 0.0)
    finder = CompanionFinder({"photos": os.fsencode(tmp_path)})
    companions = [image["companions"] for image in group_json(group, finder)["images"]]
    assert companions == [["a.cr2"], ["\udcff.xmp"]]


def test_a_series_is_named_as_such_and_has_no_waste(capsys: pytest.CaptureFixture[str]) -> None:
    sides = [
        Side(f"tests.{name}", RelPath("photos", name.encode()), size_bytes=600) for name in "abc"
    ]
    likenesses = (None, Likeness(3, "edited"), None)
    images = tuple(map(GroupImage, sides, likenesses))
    group = Group("1", images, None, chain=True, series=True, open_pairs=2, found_at=0.0)
    console = Console(force_terminal=True, width=80, color_system=None)
    print_groups(console, iter([group]), FileLinks({}))
    title = capsys.readouterr().out.splitlines()[0]
    assert title == "group 1: a series, 3 images, found 1970-01-01 00:00"
    assert group_json(group, CompanionFinder({}))["series"] is True
