"""Odd file names and types cause no crash and no stall, and every picture is mirrored."""

from __future__ import annotations

import json
import os
import shutil
import socket
import unicodedata
from contextlib import suppress
from pathlib import Path
from stat import S_IFCHR

import pytest

from snoopsync.core.events import Event
from tests.support.deep import deep_below, write_in
from tests.support.pictures import encode, photo
from tests.support.process import Installation, bind, until

pytestmark = pytest.mark.integration

PICTURES = [
    b"plain.jpg",
    b"not utf-8 \xff\xfe.jpg",
    b"new\nline\ttab\r.jpg",
    b"\x1b[31mred\x1b[0m [bold]markup[/bold].jpg",
    "right \u202e to left.jpg".encode(),
    unicodedata.normalize("NFC", "\u00e9te\u0301.jpg").encode(),
    unicodedata.normalize("NFD", "\u00e9te\u0301.jpg").encode(),
    b"n" * 251 + b".jpg",
    b"-rf.jpg",
    b" .jpg",
    b"a/b/" + b"deep/" * 20 + b"down.jpg",
    b"dir\xff/in it.jpg",
]


LINKS = [
    ("link.jpg", "plain.jpg"),
    ("out.jpg", "../outside/out.jpg"),
    ("outside", "../outside"),
    ("loop", "."),
    ("up", ".."),
    ("itself.jpg", "itself.jpg"),
    ("nowhere.jpg", "nothing"),
]


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    home = Installation(tmp_path)
    root = os.fsencode(home.pictures) + b"/"
    for seed, name in enumerate(PICTURES):
        os.makedirs(os.path.dirname(root + name), exist_ok=True)  # noqa: PTH103, PTH120 - as bytes
        with open(root + name, "wb") as file:  # noqa: PTH123 - as bytes
            file.write(encode(photo(seed), quality=60))
    outside = home.home / "outside"
    outside.mkdir()
    (outside / "out.jpg").write_bytes(encode(photo(50)))
    for link, target in LINKS:
        (home.pictures / link).symlink_to(target)
    (home.pictures / "a directory.jpg").mkdir()
    os.mkfifo(home.pictures / "fifo.jpg")
    with suppress(PermissionError):  # not everybody may make one
        os.mknod(home.pictures / "zeros.jpg", S_IFCHR | 0o600, os.makedev(1, 5))
    with socket.socket(socket.AF_UNIX) as listener:
        bind(listener, home.pictures / "socket.jpg")
    (home.pictures / "empty.jpg").write_bytes(b"")
    home.configure()
    return home


def paths(home: Installation, state: str) -> set[bytes]:
    rows = home.json("list", "--json", "--state", state)
    return {os.fsencode(row["path"]) for row in rows}


def test_odd_names_are_mirrored_and_every_command_accepts_them(home: Installation) -> None:
    *plan, _ = home.json("resync", "--dry-run", "--json", code=3)
    assert {os.fsencode(action["path"]) for action in plan} >= set(PICTURES)
    done = home.run("resync")
    assert done.code == 3
    assert all(line.isprintable() for line in done.out.splitlines())
    assert paths(home, "synced") == set(PICTURES)
    assert paths(home, "failed") == {b"empty.jpg"}
    listed = home.ok("list").splitlines()
    assert len(listed) == len(PICTURES) + 1
    assert all(line.replace("\t", "").isprintable() for line in listed)
    [status] = home.json("status", "--json", code=3)
    assert status["folders"][0]["images"] == len(PICTURES) + 1
    [summary] = home.json("resync", "--json", code=3)
    assert (summary["unchanged"], summary["added"]) == (len(PICTURES), 0)


def test_an_odd_name_can_be_searched_for_and_dismissed(home: Installation) -> None:
    odd = os.fsdecode(PICTURES[1])
    (home.pictures / "twin.png").write_bytes(encode(photo(1), "PNG"))
    home.run("resync")
    [answer] = home.json("search", home.pictures / odd, "--json")
    assert {match["path"] for match in answer["results"]} == {odd, "twin.png"}
    assert "\\udcff" in home.ok("search", home.pictures / odd)
    assert "\\udcff" in home.ok("duplicates")
    home.ok("duplicates", "dismiss", f"pictures/{odd}", home.pictures / "twin.png")
    done = home.run_process("search", os.fsencode(home.pictures) + b"/" + PICTURES[1])
    assert done.code == 0
    assert "\\udcff" in done.out


def test_the_service_mirrors_odd_names(home: Installation) -> None:
    with home.running() as service:
        until(lambda: paths(home, "synced") == set(PICTURES))
        (home.pictures / os.fsdecode(PICTURES[2])).rename(home.pictures / os.fsdecode(b"\xfe.jpg"))
        renamed = service.line_with("renamed")
        assert "new\\nline" in renamed
        os.unlink(os.fsencode(home.pictures) + b"/" + PICTURES[1])  # noqa: PTH108 - as bytes
        service.line_with("deleted")
        (home.pictures / "empty.jpg").write_bytes(encode(photo(60)))
        service.line_with("added pictures/empty.jpg")
        assert service.end() == 0
    assert all(line.isprintable() for line in service.lines)
    gone, came = {PICTURES[1], PICTURES[2]}, {b"\xfe.jpg", b"empty.jpg"}
    assert paths(home, "synced") == set(PICTURES) - gone | came


def test_alerts_about_odd_names_are_one_line_each(home: Installation) -> None:
    with home.service("--log-format", "json", "run") as service:
        service.line_with("sync complete")
        for number, name in enumerate(PICTURES):
            copy = os.fsencode(home.pictures) + b"/copies/" + name
            os.makedirs(os.path.dirname(copy), exist_ok=True)  # noqa: PTH103, PTH120 - as bytes
            shutil.copyfile(os.fsencode(home.pictures) + b"/" + name, copy)
            until(lambda: len(home.json("duplicates", "--json")) == number + 1)  # noqa: B023
        assert service.end() == 0
    logged = map(json.loads, service.lines)
    events = [line for line in logged if line["event"] == Event.DUPLICATE]
    # Which one finds the other is left to them: the first copy may come before the first search.
    told = [{os.fsencode(event["path"]), os.fsencode(event["match_path"])} for event in events]
    assert sorted(map(sorted, told)) == sorted(
        sorted({b"copies/" + name, name}) for name in PICTURES
    )
    rows = home.json("duplicates", "--json")
    listed = [{os.fsencode(image["path"]) for image in row["images"]} for row in rows]
    assert all({b"copies/" + name, name} in listed for name in PICTURES)
    lines = home.ok("duplicates").splitlines()
    assert len(lines) == 2 * len(PICTURES)
    assert all(line.replace("\t", "").isprintable() for line in lines)


@pytest.mark.parametrize("what", ["fifo", "link", "link to a picture", "directory"])
def test_a_picture_replaced_by_another_file_type_is_deleted(home: Installation, what: str) -> None:
    picture = home.pictures / "plain.jpg"
    with home.running() as service:
        picture.unlink()
        match what:
            case "fifo":
                os.mkfifo(picture)
            case "link":
                picture.symlink_to("plain.jpg")
            case "link to a picture":
                picture.symlink_to(home.home / "outside" / "out.jpg")
            case _:
                picture.mkdir()
        service.line_with("deleted pictures/plain.jpg from the collection")
        (home.pictures / "new.jpg").write_bytes(encode(photo(70)))
        service.line_with("added pictures/new.jpg to the collection")
        expected = {*PICTURES, b"new.jpg"} - {b"plain.jpg"}
        until(lambda: paths(home, "synced") == expected)


def test_pictures_below_very_long_paths_are_mirrored(home: Installation) -> None:
    """The kernel can't watch such a directory, so it is polled."""
    with deep_below(home.pictures) as (path, descriptor):
        write_in(descriptor, b"deep.jpg", encode(photo(80)))
        deep, copy = path + b"/deep.jpg", path + b"/copy.jpg"
        with home.running() as service:
            assert paths(home, "synced") == {*PICTURES, deep}
            assert "too long" in service.line_with("not watched")
            write_in(descriptor, b"copy.jpg", encode(photo(80), quality=40))
            assert home.run("resync").code == 3
            service.line_with("duplicate: ")
            os.unlink(b"deep.jpg", dir_fd=descriptor)
            assert home.run("resync").code == 3
            until(lambda: paths(home, "synced") == {*PICTURES, copy})
            assert service.end() == 0


def test_a_folder_with_an_odd_name_is_mirrored(home: Installation) -> None:
    home.configure().unlink()
    folder = home.home / os.fsdecode(b"odd\xff\n")
    home.pictures.rename(folder)
    done = home.run_process("resync", folder, "--json")
    assert done.code == 3, done
    rows = home.json("list", "--json")
    assert len(rows) == len(PICTURES) + 1
    assert home.run("status").out.count("\n") <= 4
    [status] = home.json("status", "--json", code=3)
    assert status["folders"][0]["path"] == str(folder)
