"""``list``, ``duplicates`` and ``search``, with and without a service."""

from __future__ import annotations

import pytest
from PIL import Image, ImageOps

from tests.support.pictures import encode, photo
from tests.support.process import Installation


def add_copy(home: Installation, name: str = "copy.png") -> None:
    small = photo(0).resize((200, 150), Image.Resampling.LANCZOS)
    (home.pictures / name).write_bytes(encode(small, "PNG"))


def test_every_image_is_listed_with_the_keys_of_the_contract(home: Installation) -> None:
    (home.pictures / "empty.jpg").write_bytes(b"")
    home.run("resync")
    rows = home.json("list", "--json")
    assert [row["path"] for row in rows] == ["0.jpg", "1.jpg", "2.jpg", "empty.jpg"]
    for row in rows:
        assert list(row) == [
            *("folder", "path", "image_id", "state"),
            *("size", "synced_at", "error"),
        ]
    assert [row["state"] for row in rows] == ["synced"] * 3 + ["failed"]
    assert (rows[3]["error"], rows[3]["synced_at"]) == ("the file is empty", None)
    assert home.json("list", "--json", "--state", "failed") == rows[3:]
    assert home.json("list", "--json", "--state", "pending") == []
    synced, *_, failed = home.ok("list").splitlines()
    assert synced.split("\t") == ["synced", "6977", rows[0]["image_id"], "pictures/0.jpg"]
    assert failed.endswith("pictures/empty.jpg: the file is empty")


def test_duplicates_are_listed_and_dismissed_by_any_name(home: Installation) -> None:
    add_copy(home)
    home.ok("resync")
    [pair] = home.json("duplicates", "--pairs", "--json")
    assert list(pair) == ["a", "b", "rank", "kind", "keep", "reason", "found_at", "state"]
    keys = ["folder", "path", "image_id", "width", "height", "size_bytes"]
    assert list(pair["a"]) == list(pair["b"]) == keys
    assert {pair["a"]["path"], pair["b"]["path"]} == {"0.jpg", "copy.png"}
    assert pair["state"] == "open"
    assert home.status()["duplicates_open"] == 1
    assert "pictures/copy.png" in home.ok("duplicates")
    names = [
        (pair["a"]["image_id"], pair["b"]["image_id"]),
        ("pictures/copy.png", "pictures/0.jpg"),
        (str(home.pictures / "0.jpg"), str(home.pictures / "copy.png")),
    ]
    for a, b in names:
        assert home.ok("duplicates", "dismiss", a, b) == "dismissed\n"
    assert home.json("duplicates", "--json") == []
    [dismissed] = home.json("duplicates", "--pairs", "--json", "--all")
    assert dismissed == pair | {"state": "dismissed"}
    (home.pictures / "copy.png").unlink()
    home.run("resync")
    assert home.status()["duplicates_open"] == 0


def test_duplicates_have_a_kind_and_the_one_to_keep(
    home: Installation,
) -> None:
    small = ImageOps.mirror(photo(0)).resize((160, 120))
    (home.pictures / "small.jpg").write_bytes(encode(small))
    home.ok("resync")
    [pair] = home.json("duplicates", "--json", "--pairs")
    assert home.json("duplicates", "--json", "--pairs", "--details") == [pair]
    [large] = [side for side in (pair["a"], pair["b"]) if side["path"] == "0.jpg"]
    assert pair["kind"] == "mirrored"
    assert (pair["keep"], pair["reason"]) == (large["image_id"], "more-pixels")
    assert (large["width"], large["height"]) == photo(0).size
    [line] = home.ok("duplicates", "--pairs").splitlines()
    assert line.split("\t")[1] == "mirrored"
    assert line.split("\t")[6:] == ["pictures/0.jpg", "more-pixels"]
    keep, other = (line.split("\t") for line in home.ok("duplicates").splitlines())
    assert keep[1:3] == ["", "keep"] and keep[5:] == ["pictures/0.jpg", "more-pixels"]
    assert other[2:4] == ["mirrored", "160x120"] and other[5:] == ["pictures/small.jpg", "-"]
    [answer] = home.json("search", home.pictures / "small.jpg", "--json")
    assert home.json("search", home.pictures / "small.jpg", "--json", "--details") == [answer]
    assert [match["kind"] for match in answer["results"]] == ["identical", "mirrored"]
    match = answer["results"][1]
    assert (match["width"], match["height"]) == photo(0).size
    assert (match["keep"], match["reason"]) == (large["image_id"], "more-pixels")


def test_a_pair_dismissed_while_the_service_runs_is_not_alerted(
    home: Installation,
) -> None:
    with home.running() as service:
        add_copy(home)
        service.line_with("duplicate:")
        home.ok("duplicates", "dismiss", "pictures/0.jpg", "pictures/copy.png")
        assert home.json("duplicates", "--json") == []
        before = len(service.lines)
        (home.pictures / "copy.png").touch()
        add_copy(home, "other.png")
        told = service.line_with("duplicate:", after=before)
        assert "other.png" in told


@pytest.mark.parametrize("other", ["pictures/1.jpg", "pictures/no.jpg", "nonsense"])
def test_images_that_are_not_a_pair_cannot_be_dismissed(home: Installation, other: str) -> None:
    home.ok("resync")
    done = home.run("duplicates", "dismiss", "pictures/0.jpg", other)
    assert done.code == 2
    assert "duplicates" in done.err or "mirrored file" in done.err


@pytest.mark.parametrize("is_service_running", [False, True])
def test_search_finds_similar_pictures(home: Installation, is_service_running: bool) -> None:
    query = home.home / "query.webp"
    query.write_bytes(encode(photo(1), "WEBP", quality=60))
    if is_service_running:
        with home.running():
            [answer] = home.json("search", query, "--json")
    else:
        home.ok("resync")
        [answer] = home.json("search", query, "--json")
        assert home.ok("search", query).endswith("pictures/1.jpg\n")
        assert "\treencoded\t" in home.ok("search", query)
    [match] = answer["results"]
    assert list(match) == [
        *("image_id", "rank", "folder", "path", "kind"),
        *("width", "height", "size_bytes", "keep", "reason"),
    ]
    assert (match["folder"], match["path"]) == ("pictures", "1.jpg")
    assert 0 <= match["rank"] <= 20


def test_search_takes_a_picture_by_its_folder_and_path_from_any_directory(
    home: Installation,
) -> None:
    add_copy(home)
    home.configure(folders=f"folders: [{{path: {home.pictures}, name: shots}}]\n")
    home.ok("resync")
    [answer] = home.json("search", "shots/copy.png", "--json")
    assert answer["results"]
    assert answer == home.json("search", home.pictures / "copy.png", "--json")[0]
    # A file at this path comes before a name in a list.
    (home.home / "shots").mkdir()
    (home.home / "shots" / "copy.png").write_bytes((home.pictures / "1.jpg").read_bytes())
    [match] = home.json("search", "shots/copy.png", "--json")[0]["results"]
    assert match["path"] == "1.jpg"


@pytest.mark.parametrize("name", ["not-there.jpg", "notes.txt"])
def test_search_with_another_file_is_an_error(home: Installation, name: str) -> None:
    (home.home / "notes.txt").write_text("no picture")
    done = home.run("search", name)
    assert done.code == 2
    assert name in done.err


def test_commands_know_folders_of_run_without_a_configuration(
    home: Installation,
) -> None:
    home.configure().unlink()
    home.ok("resync", home.pictures)
    assert home.is_in_sync()
    assert len(home.json("list", "--json")) == 3
    assert home.ok("approve", "pictures") == "no deletions are held\n"
