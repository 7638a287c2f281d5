"""Whatever a file is called, and whatever it is: no crash, no stall, and every picture mirrored."""

from __future__ import annotations

import os
import socket
import unicodedata
from pathlib import Path

import pytest

from tests.pictures import encode, photo
from tests.process import Installation, until

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


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    home = Installation(tmp_path)
    root = os.fsencode(home.pictures) + b"/"
    for seed, name in enumerate(PICTURES):
        os.makedirs(os.path.dirname(root + name), exist_ok=True)  # noqa: PTH103, PTH120 - as bytes
        with open(root + name, "wb") as file:  # noqa: PTH123 - as bytes
            file.write(encode(photo(seed), quality=60))
    (home.pictures / "link.jpg").symlink_to("plain.jpg")
    (home.pictures / "loop").symlink_to(".")
    (home.pictures / "a directory.jpg").mkdir()
    os.mkfifo(home.pictures / "fifo.jpg")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(home.pictures / "socket.jpg"))
    (home.pictures / "empty.jpg").write_bytes(b"")
    home.configure()
    return home


def paths(home: Installation, state: str) -> set[bytes]:
    rows = home.json("list", "--json", "--state", state)
    return {os.fsencode(row["path"]) for row in rows}


def test_a_resync_mirrors_them_all_and_every_command_can_name_them(home: Installation) -> None:
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


def test_the_service_keeps_up_with_them(home: Installation) -> None:
    with home.running() as service:
        until(lambda: paths(home, "synced") == set(PICTURES))
        (home.pictures / os.fsdecode(PICTURES[2])).rename(home.pictures / os.fsdecode(b"\xfe.jpg"))
        renamed = service.line_with("renamed")
        assert "new\\nline" in renamed
        os.unlink(os.fsencode(home.pictures) + b"/" + PICTURES[1])  # noqa: PTH108 - as bytes
        service.line_with("deleted")
        assert service.end() == 0
    assert all(line.isprintable() for line in service.lines)
    assert paths(home, "synced") == set(PICTURES) - {PICTURES[1], PICTURES[2]} | {b"\xfe.jpg"}


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
