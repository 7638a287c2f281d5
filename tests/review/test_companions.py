"""Companions go to the trash together with their picture, and only where nothing is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from snoopsync.review import trash
from tests.review.browser.archive import Archive, picture_of
from tests.support.page_client import PageClient
from tests.support.pictures import encode, photo
from tests.support.process import Installation, until
from tests.support.reviewing import reviewing


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """``kept/IMG_1.JPG``, and the same bytes at ``copy/IMG_1.JPG``, which will be marked."""
    archive = Archive(Installation(tmp_path))
    archive.copy("copy/IMG_1.JPG", archive.original("kept/IMG_1.JPG", 1))
    return archive


@pytest.fixture
def client(archive: Archive) -> Iterator[PageClient]:
    """A browser that has entered a page with a trash. The pictures are not mirrored yet."""
    archive.resync()
    with reviewing(archive.installation, trash=True) as page:
        yield PageClient(page)


def both(archive: Archive, name: str, data: bytes = b"the same") -> None:
    """A companion of both pictures, with the same bytes."""
    archive.write(f"kept/{name}", data)
    archive.write(f"copy/{name}", data)


def mark(client: PageClient) -> dict[str, Any]:
    """Keep the suggested picture of the only group. Returns the marked file."""
    [group] = client.groups()
    client.decide("keep", [group], group["keep"])
    [file] = client.get("/api/marked")["files"]
    assert file["path"] == "copy/IMG_1.JPG"
    return dict(file)


def files(archive: Archive) -> set[str]:
    root = archive.installation.pictures
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def trashed(archive: Archive) -> set[str]:
    files = archive.installation.home / ".local" / "share" / "Trash" / "files"
    return {path.name for path in files.iterdir()} if files.exists() else set()


def companions(file: dict[str, Any]) -> dict[str, str | None]:
    """Why each companion stays, by name."""
    return {each["name"]: each["stays"] for each in file["companions"]}


def moved(client: PageClient) -> dict[str, str]:
    """Move the marked file. Returns the reason of each companion that stays, by path."""
    answer = client.post("/api/marked/trash")
    assert (answer["moved"], answer["refused"]) == (1, []), answer
    return {each["path"]: each["reason"] for each in answer["stayed"]}


def test_a_group_shows_the_companions_of_each_picture(archive: Archive, client: PageClient) -> None:
    both(archive, "IMG_1.CR2")
    archive.write("copy/IMG_1.xmp", b"settings")
    [group] = client.groups()
    assert all(each["companions"] == [] for each in group["images"]), "only when a group is open"
    images = client.get(f"/api/group/{group['group']}")["images"]
    assert {each["path"]: each["companions"] for each in images} == {
        "kept/IMG_1.JPG": [{"name": "IMG_1.CR2", "path": "pictures/kept/IMG_1.CR2", "role": "raw"}],
        "copy/IMG_1.JPG": [
            {"name": "IMG_1.CR2", "path": "pictures/copy/IMG_1.CR2", "role": "raw"},
            {"name": "IMG_1.xmp", "path": "pictures/copy/IMG_1.xmp", "role": "sidecar"},
        ],
    }


def test_companions_go_to_the_trash_and_come_back_together_with_their_picture(
    archive: Archive, client: PageClient
) -> None:
    both(archive, "IMG_1.CR2")
    both(archive, "IMG_1.MOV")
    archive.write("copy/IMG_1.JPG.xmp", b"settings of the copy")
    archive.write("copy/IMG_1.xmp", b"settings of JPEG and RAW")
    before = files(archive)
    assert set(companions(mark(client)).values()) == {None}
    answer = client.post("/api/marked/trash")
    assert (answer["moved"], answer["companions"], answer["stayed"]) == (1, 4, [])
    gone = {"IMG_1.JPG", "IMG_1.CR2", "IMG_1.MOV", "IMG_1.JPG.xmp", "IMG_1.xmp"}
    assert files(archive) == before - {f"copy/{name}" for name in gone}
    assert trashed(archive) == gone
    undone = client.post("/api/undo")
    assert (undone["undone"], undone["refused"]) == ("trash", [])
    assert (files(archive), trashed(archive)) == (before, set())
    assert client.marked() == ["copy/IMG_1.JPG"]


def test_without_the_setting_pictures_have_no_companions(archive: Archive) -> None:
    archive.installation.configure("duplicates: {companions: false}\n")
    archive.write("copy/IMG_1.xmp", b"settings")
    archive.resync()
    with reviewing(archive.installation, trash=True) as page:
        client = PageClient(page)
        assert companions(mark(client)) == {}
        assert moved(client) == {}
    assert "copy/IMG_1.xmp" in files(archive)


def test_a_companion_with_other_bytes_stays(archive: Archive, client: PageClient) -> None:
    archive.write("kept/IMG_1.CR2", b"one RAW file")
    archive.write("copy/IMG_1.CR2", b"another file")
    assert companions(mark(client)) == {"IMG_1.CR2": None}
    assert moved(client) == {
        "pictures/copy/IMG_1.CR2": "the one of the picture that you keep has other bytes"
    }
    assert "copy/IMG_1.CR2" in files(archive)


def test_a_sidecar_stays_with_a_raw_file_that_stays(archive: Archive, client: PageClient) -> None:
    archive.write("copy/IMG_1.CR2", b"raw A")
    archive.write("kept/IMG_1.CR2", b"raw B")
    archive.write("copy/IMG_1.xmp", b"settings of the raw file")
    mark(client)
    paths = client.send("GET", "/api/marked/paths").text
    assert "IMG_1.xmp" not in paths
    script = client.send("GET", "/api/marked/script", params={"into": "/tmp/into"}).text
    assert "# pictures/copy/IMG_1.xmp stays: it also belongs to IMG_1.CR2" in script
    assert moved(client) == {
        "pictures/copy/IMG_1.CR2": "the one of the picture that you keep has other bytes",
        "pictures/copy/IMG_1.xmp": "it also belongs to IMG_1.CR2",
    }
    assert trashed(archive) == {"IMG_1.JPG"}


def test_a_sidecar_stays_with_a_file_that_is_no_picture(
    archive: Archive, client: PageClient
) -> None:
    for name in ("IMG_1.avi", "IMG_1.xmp", "IMG_1.THM"):
        archive.write(f"copy/{name}", b"of the video")
    assert companions(mark(client)) == {
        "IMG_1.xmp": "it also belongs to IMG_1.avi",
        "IMG_1.THM": "it also belongs to IMG_1.avi",
    }
    assert set(moved(client)) == {"pictures/copy/IMG_1.xmp", "pictures/copy/IMG_1.THM"}
    assert trashed(archive) == {"IMG_1.JPG"}


def test_a_companion_that_the_kept_picture_has_not_got_stays(
    archive: Archive, client: PageClient
) -> None:
    archive.write("copy/IMG_1.CR2", b"RAW")
    archive.write("copy/IMG_1.JPG_original", b"before")
    archive.write("copy/IMG_1.xmp", b"settings of JPEG and RAW")
    assert companions(mark(client)) == {
        "IMG_1.CR2": "the picture that you keep has no file like it",
        "IMG_1.JPG_original": "the picture that you keep has no file like it",
        "IMG_1.xmp": "it also belongs to IMG_1.CR2",
    }
    assert len(moved(client)) == 3
    assert trashed(archive) == {"IMG_1.JPG"}


def test_a_companion_of_a_picture_that_stays_stays(archive: Archive, client: PageClient) -> None:
    both(archive, "IMG_1.CR2")
    archive.write("copy/IMG_1.HEIC", b"another picture of this shot")
    assert companions(mark(client)) == {"IMG_1.CR2": "it also belongs to IMG_1.HEIC"}
    moved(client)
    assert trashed(archive) == {"IMG_1.JPG"}


def test_the_kept_picture_never_goes_as_a_companion(tmp_path: Path) -> None:
    archive = Archive(Installation(tmp_path))
    edit = archive.original("IMG_E1234.JPG", 1)
    archive.copy("IMG_1234.JPG", edit)
    archive.resync()
    with reviewing(archive.installation, trash=True) as page:
        client = PageClient(page)
        groups = client.groups()
        if not groups:
            return  # the two belong together, so nothing is marked
        client.decide("keep", groups, groups[0]["keep"])
        client.post("/api/marked/trash")
    assert len(files(archive)) == 1


def test_a_decision_to_keep_a_picture_does_not_mark_those_that_belong_to_it(
    tmp_path: Path,
) -> None:
    archive = Archive(Installation(tmp_path))
    original = archive.original("IMG_1234.JPG", 1)
    archive.write("IMG_E1234.JPG", encode(picture_of(1, 640), quality=60), age_days=1)
    archive.smaller("small.jpg", 1)
    archive.copy("copy.jpg", original)
    archive.resync()
    with reviewing(archive.installation) as page:
        client = PageClient(page)
        groups = client.groups()
        assert len(groups[0]["images"]) == 4
        [image] = [image for image in groups[0]["images"] if image["path"] == "IMG_1234.JPG"]
        client.decide("keep", groups, image["image_id"])
        assert set(client.marked()) == {"small.jpg", "copy.jpg"}
        assert client.groups() == [], "nothing is left to decide"


def test_a_second_name_of_the_same_file_proves_nothing(
    archive: Archive, client: PageClient
) -> None:
    raw = archive.write("kept/IMG_1.CR2", b"RAW")
    os.link(raw, archive.installation.pictures / "copy" / "IMG_1.CR2")
    mark(client)
    [reason] = moved(client).values()
    assert "under another name" in reason
    assert "copy/IMG_1.CR2" in files(archive)


def test_what_is_no_regular_file_is_no_companion(
    archive: Archive, client: PageClient, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    folder = archive.installation.pictures / "copy"
    (folder / "IMG_1.xmp").symlink_to(secret)
    (folder / "IMG_1.CR2").mkdir()
    os.mkfifo(folder / "IMG_1.MOV")
    assert companions(mark(client)) == {}
    assert moved(client) == {}
    assert trashed(archive) == {"IMG_1.JPG"}
    assert secret.read_bytes() == b"secret"


def test_a_companion_that_becomes_a_link_during_the_move_stays(
    archive: Archive, client: PageClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    sidecar = archive.write("copy/IMG_1.xmp", b"settings")
    mark(client)
    move_to_trash = trash.move_to_trash

    def swap(*arguments: Any) -> Any:
        done = move_to_trash(*arguments)
        if sidecar.is_symlink():
            return done
        sidecar.unlink()
        sidecar.symlink_to(secret)
        return done

    monkeypatch.setattr(trash, "move_to_trash", swap)
    [reason] = moved(client).values()
    assert "not a regular file" in reason
    assert sidecar.is_symlink() and secret.read_bytes() == b"secret"


def test_a_companion_that_changes_while_it_is_moved_stays(
    archive: Archive, client: PageClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    both(archive, "IMG_1.MOV")
    mark(client)
    move_to_trash = trash.move_to_trash

    def change(file: Any, *arguments: Any) -> Any:
        if file.path == b"copy/IMG_1.MOV":
            archive.write("copy/IMG_1.MOV", b"changed!")
        return move_to_trash(file, *arguments)

    monkeypatch.setattr(trash, "move_to_trash", change)
    [reason] = moved(client).values()
    assert "changed" in reason
    assert (archive.installation.pictures / "copy/IMG_1.MOV").read_bytes() == b"changed!"


def test_the_companions_of_a_picture_that_is_refused_stay(
    archive: Archive, client: PageClient
) -> None:
    both(archive, "IMG_1.MOV")
    mark(client)
    (archive.installation.pictures / "kept" / "IMG_1.JPG").write_bytes(b"changed")
    answer = client.post("/api/marked/trash")
    assert (answer["moved"], answer["companions"], len(answer["refused"])) == (0, 0, 1)
    assert "copy/IMG_1.MOV" in files(archive)


def test_a_name_with_a_newline_moves_and_is_shown_on_one_line(tmp_path: Path) -> None:
    archive = Archive(Installation(tmp_path))
    name = "two\nlines"
    archive.copy(f"copy/{name}.jpg", archive.original(f"kept/{name}.jpg", 1))
    archive.write(f"copy/{name}.jpg.xmp", b"settings")
    archive.write(f"copy/{name}.mov", b"video")
    archive.resync()
    with reviewing(archive.installation, trash=True) as page:
        client = PageClient(page)
        [group] = client.groups()
        client.decide("keep", [group], group["keep"])
        [file] = client.get("/api/marked")["files"]
        assert list(companions(file)) == ["two\\nlines.mov", "two\\nlines.jpg.xmp"]
        script = client.send("GET", "/api/marked/script", params={"into": str(tmp_path / "into")})
        assert b"# pictures/copy/two\\nlines.mov stays: " in script.content
        assert client.post("/api/marked/trash")["companions"] == 1
    assert trashed(archive) == {f"{name}.jpg", f"{name}.jpg.xmp"}


def test_a_companion_that_is_an_image_is_an_approved_deletion(tmp_path: Path) -> None:
    archive = Archive(Installation(tmp_path))
    sync = "sync: {settle: 50ms, delete_after: 0s, hold_deletes_over: {count: 0}}\n"
    archive.installation.configure(sync)
    archive.copy("copy/IMG_1234.JPG", archive.original("kept/IMG_1234.JPG", 1))
    edit = encode(photo(2, (640, 480)))
    both(archive, "IMG_E1234.JPG", edit)
    archive.resync()
    with reviewing(archive.installation, trash=True) as page:
        client = PageClient(page)
        [group] = [each for each in client.groups() if each["images"][0]["name"] == "IMG_1234.JPG"]
        client.decide("keep", [group], group["keep"])
        answer = client.post("/api/marked/trash")
        assert (answer["moved"], answer["companions"]) == (1, 1)
        assert archive.installation.json("resync", "--json")[-1]["deleted"] == 2
        client.post("/api/undo")
    assert len(files(archive)) == 4
    assert archive.installation.json("resync", "--json")[-1]["added"] == 2
    (archive.installation.pictures / "copy/IMG_E1234.JPG").unlink()
    assert archive.installation.json("resync", "--json", code=4)[-1]["held"] == 1


def test_a_companion_that_is_not_a_duplicate_by_a_decision_stays(tmp_path: Path) -> None:
    archive = Archive(Installation(tmp_path))
    archive.copy("copy/IMG_1234.JPG", archive.original("kept/IMG_1234.JPG", 1))
    both(archive, "IMG_E1234.JPG", encode(photo(2, (640, 480))))
    archive.resync()
    with reviewing(archive.installation, trash=True) as page:
        client = PageClient(page)
        edits, originals = sorted(
            client.groups(), key=lambda group: group["images"][0]["name"], reverse=True
        )
        assert edits["images"][0]["name"] == "IMG_E1234.JPG"
        client.decide("dismiss", [edits])
        client.decide("keep", [originals], originals["keep"])
        script = client.send("GET", "/api/marked/script", params={"into": str(tmp_path / "into")})
        assert b"stays: you decided that it is not a duplicate" in script.content
        [stayed] = client.post("/api/marked/trash")["stayed"]
        assert stayed["reason"] == "you decided that it is not a duplicate"
    assert "copy/IMG_E1234.JPG" in files(archive)


def test_a_sidecar_of_two_marked_pictures_goes_with_the_second_one(
    archive: Archive, client: PageClient
) -> None:
    archive.copy("copy/IMG_1.PNG", archive.original("kept/IMG_1.PNG", 2))
    archive.write("copy/IMG_1.xmp", b"settings")
    archive.resync()
    for group in client.groups():
        client.decide("keep", [group], group["keep"])
    answer = client.post("/api/marked/trash")
    assert (answer["moved"], answer["companions"], answer["stayed"]) == (2, 1, [])
    assert trashed(archive) == {"IMG_1.JPG", "IMG_1.PNG", "IMG_1.xmp"}


def test_a_companion_that_is_marked_itself_goes_on_its_own(tmp_path: Path) -> None:
    archive = Archive(Installation(tmp_path))
    archive.copy("copy/IMG_1234.JPG", archive.original("kept/IMG_1234.JPG", 1))
    both(archive, "IMG_E1234.JPG", encode(photo(2, (640, 480))))
    archive.write("copy/IMG_1234.AAE", b"how it was edited")
    archive.resync()
    with reviewing(archive.installation, trash=True) as page:
        client = PageClient(page)
        for group in client.groups():
            client.decide("keep", [group], group["keep"])
        marked = client.get("/api/marked")["files"]
        assert {file["name"]: companions(file) for file in marked} == {
            "IMG_1234.JPG": {
                "IMG_E1234.JPG": "it is marked itself",
                "IMG_1234.AAE": "it also belongs to IMG_E1234.JPG, which is marked too",
            },
            "IMG_E1234.JPG": {
                "IMG_1234.JPG": "it is marked itself",
                "IMG_1234.AAE": "it also belongs to IMG_1234.JPG, which is marked too",
            },
        }
        answer = client.post("/api/marked/trash")
        assert (answer["moved"], answer["companions"], answer["refused"]) == (2, 1, [])
        assert answer["stayed"] == []
    assert len(files(archive)) == 2


def test_the_script_and_the_paths_have_the_companions_that_go(
    archive: Archive, client: PageClient, tmp_path: Path
) -> None:
    both(archive, "IMG_1.MOV")
    archive.write("copy/IMG_1.CR2", b"RAW")
    archive.write("copy/IMG_1.JPG.xmp", b"settings")
    mark(client)
    paths = client.send("GET", "/api/marked/paths").text.splitlines()
    folder = archive.installation.pictures
    names = ["IMG_1.JPG", "IMG_1.MOV", "IMG_1.JPG.xmp"]
    assert paths == [str(folder / "copy" / name) for name in names]
    into = tmp_path / "moved away"
    script = client.send("GET", "/api/marked/script", params={"into": str(into)}).content
    assert b"# pictures/copy/IMG_1.CR2 stays: the picture that you keep" in script
    done = subprocess.run(["sh"], input=script, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in into.iterdir()} == set(names)
    assert "copy/IMG_1.CR2" in files(archive)


@pytest.mark.parametrize("changed", ["kept/IMG_1.MOV", "copy/IMG_1.MOV", "kept/IMG_1.JPG"])
def test_the_script_reads_both_files_of_each_companion_again(
    archive: Archive, client: PageClient, tmp_path: Path, changed: str
) -> None:
    both(archive, "IMG_1.MOV")
    mark(client)
    into = tmp_path / "moved away"
    script = client.send("GET", "/api/marked/script", params={"into": str(into)}).content
    archive.write(changed, b"changed!")
    done = subprocess.run(["sh"], input=script, capture_output=True, check=False)
    assert done.returncode == 1
    assert "copy/IMG_1.MOV" in files(archive)
    assert ("copy/IMG_1.JPG" in files(archive)) == (changed == "kept/IMG_1.JPG")


def test_a_directory_that_cannot_be_read_keeps_its_companions(
    archive: Archive, client: PageClient
) -> None:
    archive.write("copy/IMG_1.xmp", b"settings")
    mark(client)
    shutil.rmtree(archive.installation.pictures / "kept")
    answer = client.post("/api/marked/trash")
    assert answer["moved"] == 0
    assert files(archive) == {"copy/IMG_1.JPG", "copy/IMG_1.xmp"}


@pytest.mark.integration
def test_beside_a_service_companions_go_and_come_back(archive: Archive) -> None:
    archive.installation.configure(
        "sync: {settle: 50ms, delete_after: 0s, hold_deletes_over: {count: 0}}\n"
    )
    archive.write("copy/IMG_1.xmp", b"settings")
    archive.resync()
    home = archive.installation
    with home.running(), reviewing(home, trash=True) as page:
        client = PageClient(page)
        mark(client)
        assert client.post("/api/marked/trash")["companions"] == 1
        until(lambda: len(home.json("list", "--json")) == 1)
        client.post("/api/undo")
        until(lambda: len(home.json("list", "--json", "--state", "synced")) == 2)
    assert "copy/IMG_1.xmp" in files(archive)


def test_a_version_of_another_picture_stays_with_it(archive: Archive, client: PageClient) -> None:
    """``A_22_01.jpg.xmp`` belongs to ``A_22_01.jpg``, and as its second version to ``A_22.jpg``."""
    archive.copy("copy/A_22_01.jpg", archive.original("kept/A_22_01.jpg", 2))
    archive.write("copy/A_22.jpg", encode(photo(3)))
    archive.write("copy/A_22_01.jpg.xmp", b"settings")
    archive.resync()
    [group] = [each for each in client.groups() if "A_22_01" in str(each)]
    kept = next(each for each in group["images"] if each["path"].startswith("kept/"))
    client.decide("keep", [group], kept["image_id"])
    assert moved(client) == {"pictures/copy/A_22_01.jpg.xmp": "it also belongs to A_22.jpg"}
    assert trashed(archive) == {"A_22_01.jpg"}
