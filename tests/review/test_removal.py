"""The marked list on the page: moved to the trash and put back, as paths, and as a script."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from snoopsync.review import moving
from tests.support.page_client import PageClient
from tests.support.pictures import encode, photo
from tests.support.process import Installation, until
from tests.support.reviewing import reviewing
from tests.support.two_groups import SIZE


@pytest.fixture
def client(home: Installation) -> Iterator[PageClient]:
    """A browser that has entered a page with a trash."""
    with reviewing(home, trash=True) as page:
        yield PageClient(page)


def keep_all(client: PageClient) -> None:
    """Keep the best of both groups."""
    for group in client.groups():
        client.decide("keep", [group], group["keep"])


def names(home: Installation) -> set[str]:
    return {path.name for path in home.pictures.iterdir()}


def trashed(home: Installation) -> set[str]:
    files = home.home / ".local" / "share" / "Trash" / "files"
    return {path.name for path in files.iterdir()} if files.exists() else set()


def test_marked_files_are_moved_to_the_trash_and_undo_puts_them_back(
    home: Installation, client: PageClient
) -> None:
    keep_all(client)
    before = names(home)
    total = client.get("/api/marked")
    assert total["trash"] == {"enabled": True, "reason": None}
    moved = client.post("/api/marked/trash")
    assert (moved["moved"], moved["bytes"], moved["refused"]) == (4, total["bytes"], [])
    assert names(home) == {"b.png", "x.jpg"}
    assert trashed(home) == {"a.png", "c.png", "a small.jpg", "x2.jpg"}
    assert client.get("/api/marked")["count"] == 0
    assert client.groups() == []
    undone = client.post("/api/undo")
    assert (undone["undone"], undone["refused"]) == ("trash", [])
    assert names(home) == before
    assert trashed(home) == set()
    assert client.get("/api/marked")["count"] == 4


def test_only_the_named_files_are_moved(home: Installation, client: PageClient) -> None:
    keep_all(client)
    [file] = [each for each in client.get("/api/marked")["files"] if each["path"] == "x2.jpg"]
    assert client.post("/api/marked/trash", {"image_ids": [file["image_id"]]})["moved"] == 1
    assert trashed(home) == {"x2.jpg"}


def test_a_file_is_not_moved_if_the_one_to_keep_has_changed(
    home: Installation, client: PageClient
) -> None:
    keep_all(client)
    (home.pictures / "x.jpg").write_bytes(encode(photo(7, SIZE)))
    moved = client.post("/api/marked/trash")
    assert moved["moved"] == 3
    [refused] = moved["refused"]
    assert refused["path"] == "pictures/x2.jpg"
    assert "the one to keep" in refused["reason"]
    assert "x2.jpg" in names(home)


def test_what_cannot_be_put_back_stays_in_the_trash_and_says_why(
    home: Installation, client: PageClient
) -> None:
    keep_all(client)
    client.post("/api/marked/trash")
    (home.pictures / "x2.jpg").write_bytes(b"another file of this name")
    undone = client.post("/api/undo")
    [refused] = undone["refused"]
    assert "another file in its place" in refused["reason"]
    assert trashed(home) == {"x2.jpg"}
    assert (home.pictures / "x2.jpg").read_bytes() == b"another file of this name"


def test_without_the_option_the_page_moves_nothing(home: Installation) -> None:
    with reviewing(home) as page:
        client = PageClient(page)
        keep_all(client)
        assert client.get("/api/marked")["trash"]["enabled"] is False
        before = names(home)
        answer = client.post("/api/marked/trash", status=403)
        assert "--trash" in answer["error"]
        assert names(home) == before


def test_the_deletion_of_a_trashed_file_is_approved_and_no_other_one(
    home: Installation, client: PageClient
) -> None:
    home.configure("sync: {settle: 50ms, delete_after: 0s, hold_deletes_over: {count: 0}}\n")
    keep_all(client)
    client.post("/api/marked/trash")
    assert home.json("resync", "--json")[-1]["deleted"] == 4
    (home.pictures / "x.jpg").unlink()
    assert home.json("resync", "--json", code=4)[-1]["held"] == 1


@pytest.mark.integration
def test_beside_a_service_trashed_files_leave_the_collection_and_come_back_with_undo(
    home: Installation,
) -> None:
    home.configure("sync: {settle: 50ms, delete_after: 0s, hold_deletes_over: {count: 0}}\n")
    with home.running(), reviewing(home, trash=True) as page:
        client = PageClient(page)
        keep_all(client)
        assert client.post("/api/marked/trash")["moved"] == 4
        until(lambda: len(home.json("list", "--json")) == 2)
        client.post("/api/undo")
        until(lambda: len(home.json("list", "--json", "--state", "synced")) == 6)
        assert home.status()["folders"][0]["held_deletes"] == 0


@pytest.mark.integration
def test_beside_a_service_undo_marks_again_what_it_puts_back(
    home: Installation, client: PageClient
) -> None:
    keep_all(client)
    before = client.get("/api/marked")["files"]
    with home.running() as service:
        client.post("/api/marked/trash")
        until(lambda: home.status()["folders"][0]["images"] == 2)
        assert client.get("/api/marked")["count"] == 0
        undone_at = len(service.lines)
        client.post("/api/undo")
        until(lambda: client.get("/api/marked")["count"] == 4)
        assert client.get("/api/marked")["files"] == before
        until(lambda: home.status()["to_compare"] == 0 and home.is_in_sync())
        assert client.groups() == [], "the groups are still among the marked ones"
        assert not any("duplicate:" in line for line in service.lines[undone_at:])


def test_the_marked_files_are_listed_as_paths_whatever_their_names(
    home: Installation,
) -> None:
    odd = (b"new\nline.jpg", b"not utf-8 \xff.jpg", b'it\'s "quoted" $(rm x).jpg', b"-rf")
    original = (home.pictures / "x.jpg").read_bytes()
    for name in odd[:-1]:
        path = Path(os.fsdecode(os.fsencode(home.pictures) + b"/" + name))
        path.write_bytes(original)
        os.utime(path, (1.7e9, 1.7e9))
    home.ok("resync")
    with reviewing(home) as page:
        client = PageClient(page)
        keep_all(client)
        text = client.send("GET", "/api/marked/paths?null=1")
        assert text.headers["Content-Type"].startswith("text/plain")
        paths = text.content.split(b"\0")[:-1]
        folder = os.fsencode(home.pictures)
        marked = {path.removeprefix(folder + b"/") for path in paths}
        kept = {b"b.png"} | ({*odd[:-1], b"x.jpg", b"x2.jpg"} - marked)
        assert len(kept) == 2
        lines = client.send("GET", "/api/marked/paths")
        assert int(lines.headers["X-Left-Out"]) == (b"new\nline.jpg" in marked)
        shown = [each["name"] for each in client.get("/api/marked")["files"]]
        assert not any("\n" in name for name in shown)


def test_the_script_moves_the_marked_files_after_a_proof(
    home: Installation, client: PageClient, tmp_path: Path
) -> None:
    keep_all(client)
    into = tmp_path / "moved away"
    script = client.send("GET", "/api/marked/script", params={"into": str(into)})
    assert script.status_code == 200
    done = subprocess.run(["sh"], input=script.content, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert names(home) == {"b.png", "x.jpg"}
    assert {path.name for path in into.iterdir()} == {"a.png", "c.png", "a small.jpg", "x2.jpg"}


#: Moves all marked files, and kills itself around the second move.
_KILLED = """
import os, signal, sys
from pathlib import Path
from snoopsync.config.file import load_config
from snoopsync.review import moving
from snoopsync.review.entry import Entry
from snoopsync.review.parts import opened_parts

move_in, moves = moving.move_in, []

def move(*arguments):
    moves.append(arguments)
    if sys.argv[1] == "after" or len(moves) == 1:
        move_in(*arguments)
    if len(moves) == 2:
        os.kill(os.getpid(), signal.SIGKILL)

moving.move_in = move
config = load_config(Path("config/snoopsync/config.yaml"), os.environ)
with opened_parts(config, Entry(0, lambda: 0.0), Path("thumbnails"), has_trash=True) as parts:
    parts.removal.move_to_trash(None)
"""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_what_a_killed_page_has_moved_can_be_put_back(home: Installation, moment: str) -> None:
    with reviewing(home, trash=True) as page:
        keep_all(PageClient(page))
    before = names(home)
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, moment], env=home.environment, cwd=home.home, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert len(trashed(home)) == (2 if moment == "after" else 1)
    with reviewing(home, trash=True) as page:
        client = PageClient(page)
        assert client.post("/api/undo") == {"undone": "trash", "groups": ["1"], "refused": []}
        assert (names(home), trashed(home)) == (before, set())
        assert client.get("/api/marked")["count"] == 4


def test_another_page_undoes_nothing_before_all_files_are_moved(
    home: Installation, client: PageClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_all(client)
    before = names(home)
    move_in = moving.move_in
    with reviewing(home) as page, ThreadPoolExecutor() as threads:
        other = PageClient(page)
        undone: list[Future[Any]] = []

        def move(source: int, name: bytes, own: int, new_name: bytes) -> None:
            undone.append(threads.submit(other.post, "/api/undo"))
            move_in(source, name, own, new_name)

        monkeypatch.setattr(moving, "move_in", move)
        assert client.post("/api/marked/trash")["moved"] == 4
        answers = [each.result() for each in undone]
    assert [each["undone"] for each in answers].count("trash") == 1
    assert (names(home), trashed(home)) == (before, set())
