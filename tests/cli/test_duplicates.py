"""``duplicates``: groups, filters, decisions, and what can be removed."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.pictures import encode, photo
from tests.support.process import QUICK_SYNC, Installation
from tests.support.terminal import Terminal, seen
from tests.support.two_groups import SIZE, two_groups


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    return two_groups(tmp_path)


def groups(home: Installation, *arguments: str | Path) -> list[dict[str, Any]]:
    return home.json("duplicates", "--json", *arguments)


def paths(group: dict[str, Any]) -> list[str]:
    return [image["path"] for image in group["images"]]


def test_groups_have_the_one_to_keep_first_and_the_largest_waste_leads(home: Installation) -> None:
    home.ok("resync")
    large, small = groups(home)
    assert list(large) == [
        *("group", "images", "keep", "reason", "chain", "series", "open_pairs", "found_at")
    ]
    assert list(large["images"][0]) == [
        *("folder", "path", "image_id", "label", "width", "height", "size_bytes"),
        *("modified_at", "kind", "rank", "companions"),
    ]
    assert paths(large)[0] == "b.png" and paths(large)[-1] == "a small.jpg"
    assert set(paths(large)) == {"a.png", "b.png", "c.png", "a small.jpg"}
    assert (large["keep"], large["reason"]) == (large["images"][0]["image_id"], "more-pixels")
    likenesses = [(image["rank"], image["kind"]) for image in large["images"]]
    assert likenesses[:3] == [(None, None), (0, "identical"), (0, "identical")]
    assert likenesses[3][1] == "reencoded"
    assert (large["chain"], large["open_pairs"]) == (False, 3)
    assert large["images"][0]["modified_at"] == "2001-09-09T01:46:40+00:00"
    assert paths(small) == ["x.jpg", "x2.jpg"]
    assert small["reason"] == "less-compressed"
    status = home.status()
    assert (status["duplicates_open"], status["duplicate_groups_open"]) == (4, 2)
    pairs = home.json("duplicates", "--pairs", "--json")
    assert len(pairs) == 4


def test_each_image_has_its_companions_unless_they_are_switched_off(home: Installation) -> None:
    for name in ("x.mov", "x2.jpg.xmp", "other.mov"):
        (home.pictures / name).write_bytes(b"settings")
    home.ok("resync")

    def companions() -> dict[str, list[str]]:
        return {
            image["path"]: image["companions"]
            for group in groups(home)
            for image in group["images"]
            if image["companions"]
        }

    assert companions() == {"x.jpg": ["x.mov"], "x2.jpg": ["x2.jpg.xmp"]}
    home.configure("duplicates: {companions: false}\n")
    assert companions() == {}


def test_groups_are_filtered_sorted_and_limited(home: Installation) -> None:
    home.ok("resync")
    large, small = groups(home)
    assert groups(home, "--kind", "identical") == [large]
    assert groups(home, "--kind", "mirrored") == []
    assert groups(home, "--max-rank", "0") == [large]
    assert groups(home, "--folder", "pictures") == [large, small]
    assert groups(home, "--limit", "1") == [large]
    assert groups(home, "--sort", "size")[0] == large
    assert {each["group"] for each in groups(home, "--sort", "found")} == {
        *(large["group"], small["group"])
    }
    assert groups(home, home.pictures / "x2.jpg") == [small]
    assert groups(home, "pictures/a small.jpg", str(home.pictures / "x.jpg")) == [large, small]
    assert groups(home, home.pictures) == [large, small]
    assert groups(home, "--group", small["group"]) == [small]
    assert home.run("duplicates", "nonsense").code == 2
    assert home.run("duplicates", "--folder", "nonsense").code == 2
    assert len(home.json("duplicates", "--pairs", "--json", "--kind", "identical")) == 2


def test_all_groups_are_in_the_same_order_as_open_ones(home: Installation) -> None:
    home.ok("resync")
    large, small = (group["group"] for group in groups(home))
    shutil.copyfile(home.pictures / "x2.jpg", home.pictures / "x3.jpg")
    home.ok("resync")

    def order(*arguments: str) -> list[str]:
        return [group["group"] for group in groups(home, *arguments)]

    for everything in ((), ("--all",)):
        assert order(*everything) == order("--sort", "size", *everything) == [large, small]
        assert order("--sort", "found", *everything) == [small, large]


def test_pairs_are_filtered_as_groups_are(home: Installation) -> None:
    other = home.home / "other"
    other.mkdir()
    (home.pictures / "x2.jpg").rename(other / "x2.jpg")
    home.configure(folders=f"folders: [{{path: {home.pictures}}}, {{path: {other}}}]\n")
    home.ok("resync")

    def pairs(*arguments: str | Path) -> list[dict[str, Any]]:
        return home.json("duplicates", "--pairs", "--json", *arguments)

    assert len(pairs()) == 4
    assert len(pairs("--limit", "1")) == 1
    assert [pair["rank"] for pair in pairs("--max-rank", "0")] == [0, 0]
    [pair] = pairs("--folder", "other")
    assert {pair["a"]["path"], pair["b"]["path"]} == {"x.jpg", "x2.jpg"}
    assert pairs(home.pictures / "x.jpg") == [pair]


def test_the_pair_of_a_file_that_is_gone_has_its_last_path(home: Installation) -> None:
    home.ok("resync")
    (home.pictures / "x2.jpg").unlink()
    home.ok("resync")
    pairs = home.json("duplicates", "--pairs", "--json", "--all")
    [gone] = [pair for pair in pairs if pair["state"] == "gone"]
    side = gone["a"] if gone["a"]["path"] is None else gone["b"]
    assert (side["path"], side["was"]) == (None, "x2.jpg")


def test_images_that_no_link_connects_are_compared_with_the_one_to_keep(home: Installation) -> None:
    home.ok("resync")
    before = groups(home)
    with closing(sqlite3.connect(home.state)) as database, database:
        database.execute("DELETE FROM link")
    after = groups(home)
    assert [each["images"] for each in after] == [each["images"] for each in before]
    home.configure(f"{QUICK_SYNC}duplicates: {{max_rank: 0}}\n")
    large, _ = groups(home)
    assert large["chain"]
    assert (large["images"][-1]["rank"], large["images"][-1]["kind"]) == (None, None)
    surplus = home.ok("duplicates", "--surplus", "--kind", "reencoded")
    assert "c.png" in surplus and "a small.jpg" not in surplus


def test_the_exit_code_tells_whether_a_listed_group_is_open(home: Installation) -> None:
    home.ok("resync")
    assert home.run("duplicates", "--exit-code").code == 8
    assert home.run("duplicates", "--exit-code", "--json", "--kind", "mirrored").code == 0
    home.ok("duplicates", "dismiss", "--folder", "pictures")
    assert home.run("duplicates", "--exit-code", "--all").code == 0


@pytest.mark.parametrize("is_service_running", [False, True])
def test_groups_are_dismissed_and_restored(home: Installation, is_service_running: bool) -> None:
    home.ok("resync")
    large, small = groups(home)

    def decide() -> None:
        assert home.ok("duplicates", "dismiss", "--group", small["group"]) == "dismissed 1 group\n"
        assert groups(home) == [large]
        [dismissed] = groups(home, "--all", "pictures/x.jpg") or groups(home, "--all")[-1:]
        assert dismissed["open_pairs"] == 0
        names = ["a.png", "b.png", "c.png"]
        home.ok("duplicates", "dismiss", *(f"pictures/{name}" for name in names))
        [left] = groups(home)
        assert (left["group"], left["open_pairs"]) == (large["group"], 1)
        assert home.ok("duplicates", "--surplus") == ""
        home.ok("duplicates", "restore", *(f"pictures/{name}" for name in names))
        home.ok("duplicates", "restore", "--group", small["group"])
        assert groups(home) == [large, small]
        assert home.run("duplicates", "restore", "pictures/x.jpg", "pictures/x2.jpg").code == 2

    if is_service_running:
        with home.running() as service:
            service.line_with("sync complete")
            decide()
    else:
        decide()


def test_groups_are_dismissed_in_bulk(home: Installation) -> None:
    home.ok("resync")
    listed = groups(home)
    assert "x2.jpg" in home.ok("duplicates", "dismiss", "--kind", "reencoded", "--dry-run")
    assert groups(home) == listed
    assert home.run("duplicates", "dismiss").code == 2
    assert home.run("duplicates", "dismiss", "pictures/x.jpg").code == 2
    assert home.run("duplicates", "dismiss", "pictures/x.jpg", "pictures/a.png").code == 2
    text = "pictures/x.jpg\npictures/x2.jpg\n\npictures/a.png\npictures/b.png\npictures/c.png\n"
    (home.home / "names").write_text(text)
    reading = ("sh", "-c", f'exec "$@" < "{home.home}/names"', "sh")
    done = home.run_process("duplicates", "dismiss", "-", under=reading)
    assert (done.code, done.out) == (0, "dismissed 2 groups\n")
    [left] = groups(home)
    assert left["open_pairs"] == 1


def test_surplus_files_are_proven_before_they_are_printed(home: Installation) -> None:
    (home.pictures / "odd\nname.png").write_bytes((home.pictures / "a.png").read_bytes())
    home.ok("resync")
    done = home.run("duplicates", "--surplus")
    expected = [str(home.pictures / name) for name in ("a.png", "c.png")]
    assert sorted(done.out.splitlines()) == expected
    assert "odd\\nname.png" in done.err
    assert len(home.ok("duplicates", "--surplus", "-0").split("\0")) == 4
    both = home.ok("duplicates", "--surplus", "--kind", "reencoded").splitlines()
    assert {Path(path).name for path in both} == {"a.png", "c.png", "a small.jpg", "x2.jpg"}
    (home.pictures / "c.png").write_bytes(b"another file")
    assert home.ok("duplicates", "--surplus").splitlines() == expected[:1]
    (home.pictures / "a.png").unlink()
    os.link(home.pictures / "b.png", home.pictures / "a.png")
    assert home.ok("duplicates", "--surplus").splitlines() == []
    (home.pictures / "b.png").write_bytes(b"not the one to keep")
    assert home.ok("duplicates", "--surplus", "-0") == ""


def test_hard_links_of_one_file_are_not_a_group_and_not_surplus(tmp_path: Path) -> None:
    home = Installation(tmp_path)
    home.configure()
    (home.pictures / "a.png").write_bytes(encode(photo(1, SIZE), "PNG"))
    os.link(home.pictures / "a.png", home.pictures / "a link.png")
    home.ok("resync")
    assert groups(home) == [] and home.ok("duplicates", "--surplus") == ""
    shutil.copyfile(home.pictures / "a.png", home.pictures / "copy.png")
    home.ok("resync")
    [group] = groups(home)
    kept, other = paths(group)
    assert "copy.png" in (kept, other)
    assert home.ok("duplicates", "--surplus") == f"{home.pictures / other}\n"


def test_identical_files_have_one_to_keep_unless_another_picture_is_as_good(tmp_path: Path) -> None:
    home = Installation(tmp_path)
    home.configure()
    picture = photo(1, SIZE)
    for name in ("a.png", "b.png"):
        (home.pictures / name).write_bytes(encode(picture, "PNG"))
    (home.pictures / "rotated.png").write_bytes(encode(picture.rotate(180), "PNG"))
    home.ok("resync")
    [group] = groups(home)
    assert (group["keep"], len(group["images"])) == (None, 3)
    assert home.ok("duplicates", "--surplus") == ""
    (home.pictures / "rotated.png").unlink()
    home.run("resync")
    [group] = groups(home)
    assert group["keep"] is not None
    assert len(home.ok("duplicates", "--surplus").splitlines()) == 1


def test_a_group_keeps_its_number_while_files_are_renamed_and_removed(home: Installation) -> None:
    home.ok("resync")
    large, small = groups(home)
    (home.pictures / "b.png").rename(home.pictures / "renamed.png")
    (home.pictures / "a.png").unlink()
    shutil.copyfile(home.pictures / "c.png", home.pictures / "new.png")
    home.run("resync")
    after, other = groups(home)
    assert (after["group"], other["group"]) == (large["group"], small["group"])
    assert set(paths(after)) == {"renamed.png", "c.png", "new.png", "a small.jpg"}


@pytest.mark.parametrize("columns", [80, 120])
def test_the_list_fits_a_terminal(home: Installation, columns: int) -> None:
    home.ok("resync")
    text = seen(Terminal(home, "duplicates", columns=columns).end())
    assert "4 images" in text and "640x480" in text and "kB" in text
    assert "re-encoded" in text and "reencoded" not in text
    assert max(map(len, text.splitlines())) <= columns
