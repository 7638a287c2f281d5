"""How a picture is related to similar ones, from what cameras wrote into the files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from snoopsync.core.duplicates import Findings, FoundImage
from snoopsync.core.errors import Unavailable, Undecodable
from snoopsync.core.model import File, Fingerprint, Record, RelPath
from snoopsync.core.planner import Add
from snoopsync.core.selection import Selection
from snoopsync.core.shots import Relation, Shot
from snoopsync.decoding.source import PictureFile, read_picture
from snoopsync.folders.folder import Folder
from snoopsync.state.database import Database
from snoopsync.state.images import State
from snoopsync.state.intents import Sent
from snoopsync.state.searches import Due, Searches, SearchResult
from snoopsync.sync import shots
from snoopsync.sync.shots import ShotReader, ShotRelations, read_in_sandbox, shot_relations
from tests.support.camera import NOON, frame, taken
from tests.support.pictures import encode

SHOT = Shot("Canon", "R5", "0123", NOON)


class Camera:
    """Files in a folder, sent to a collection, and what is read from them: the first byte tells the
    second in which the shot was taken."""

    def __init__(self, root: Path, database: Database) -> None:
        self.root = root
        self.state = State(database)
        self.searches = Searches(database)
        self.folders = {"photos": Folder("photos", os.fsencode(root), Selection((), ()))}
        self.reader = ShotReader(self.folders, self.read, 3)
        self.relations = ShotRelations(self.searches, self.reader, self.folders)
        self.reads: list[bytes] = []
        self.error: Exception | None = None

    def read(self, picture: PictureFile) -> Shot:
        content = picture.file.read()
        self.reads.append(content)
        if self.error is not None:
            raise self.error
        return (
            Shot() if content[0] == 255 else replace(SHOT, taken_at=NOON.replace(second=content[0]))
        )

    def send(self, name: str, content: bytes) -> Record:
        """A file with this content, which the collection confirmed."""
        path = self.root / name
        path.write_bytes(content)
        with read_picture(content) as picture:
            sha256 = picture.sha256
        file = File(Fingerprint.of(path.stat()))
        self.state.intents.apply([Add(RelPath("photos", name.encode()), name, file)], now=1.0)
        for item in self.state.intents.outstanding(9, 1.0, ["photos"]):
            self.state.intents.confirm(Sent(item.record.image_id, item.mark, sha256, None), now=1.0)
        record = self.state.record(name)
        assert record is not None
        return record

    def find(self, record: Record, *found: Record, rank: int = 5) -> list[Relation | None]:
        """The relations of an image to those that a search found."""
        assert record.sha256 is not None
        images = tuple(FoundImage(each.image_id, rank, None, each.sha256) for each in found)
        due = Due(record.image_id, record.sha256)
        findings = self.relations.add_to(Findings(images), due)
        self.searches.record([SearchResult(due, findings, 1.0)])
        return [image.relation for image in findings.images]


@pytest.fixture
def camera(tmp_path: Path) -> Iterator[Camera]:
    root = tmp_path / "photos"
    root.mkdir()
    with closing(Database(tmp_path / "state.sqlite3")) as database:
        yield Camera(root, database)


def test_each_file_is_read_once(camera: Camera) -> None:
    records = [camera.send(f"{second}.jpg", bytes([second])) for second in range(3)]
    assert camera.find(records[0], *records[1:]) == [Relation.SERIES] * 2
    assert camera.find(records[1], records[0], records[2]) == [None, Relation.SERIES]
    assert sorted(camera.reads) == [b"\0", b"\1", b"\2"]


def test_only_so_many_shots_are_remembered(camera: Camera) -> None:
    records = [camera.send(f"{second}.jpg", bytes([second])) for second in range(4)]
    for record in [*records, records[3], records[0]]:
        camera.reader.shot_of([record])
    assert camera.reads == [b"\0", b"\1", b"\2", b"\3", b"\0"]


def test_known_relations_and_copies_are_not_examined_again(camera: Camera) -> None:
    one, other = camera.send("1.jpg", b"\1"), camera.send("2.jpg", b"\2")
    copy = camera.send("copy.jpg", b"\1")
    camera.find(one, other)
    del camera.reads[:]
    assert camera.find(copy, one, other) == [None, None]
    assert camera.reads == []


def test_without_metadata_only_the_names_count(camera: Camera) -> None:
    plain, edit = camera.send("a.jpg", b"\xff1"), camera.send("a-edited.jpg", b"\xff2")
    other = camera.send("b.jpg", b"\3")
    assert camera.find(plain, edit, other) == [Relation.COMPANION, Relation.DUPLICATE]
    assert camera.reads == [b"\xff1"]


def test_a_copy_shows_what_a_picture_belongs_to(camera: Camera) -> None:
    jpeg = camera.send("x.jpg", b"\1j")
    raw = camera.send("IMG_1.CR3", b"\1r")
    camera.send("IMG_1.JPG", b"\1j")
    assert camera.find(jpeg, raw) == [Relation.COMPANION]


@pytest.mark.parametrize("which", [0, 1])
def test_a_file_that_cannot_be_read_makes_no_relation(camera: Camera, which: int) -> None:
    records = [camera.send("1.jpg", b"\1"), camera.send("2.jpg", b"\2")]
    (camera.root / f"{which + 1}.jpg").unlink()
    assert camera.find(*records) == [None]
    (camera.root / f"{which + 1}.jpg").write_bytes(b"\7")
    assert camera.find(*records) == [None]
    (camera.root / f"{which + 1}.jpg").write_bytes(bytes([which + 1]))
    assert camera.find(*records) == [Relation.SERIES]


def test_a_decoder_that_cannot_be_started_makes_no_relation(camera: Camera) -> None:
    records = [camera.send("1.jpg", b"\1"), camera.send("2.jpg", b"\2")]
    camera.error = Unavailable("no decoder")
    assert camera.find(*records) == [None]
    # Without the extra, RAW files are refused like this.
    camera.error = Undecodable("RAW needs rawpy", status=415)
    assert camera.find(*records) == [None]
    camera.error = None
    assert camera.find(*records) == [Relation.SERIES]


def test_images_without_a_file_here_have_no_relation(camera: Camera) -> None:
    record = camera.send("1.jpg", b"\1")
    due = Due(record.image_id, record.sha256 or b"")
    found = Findings((FoundImage("other.1", 5, None, bytes(32)), FoundImage("other.2", 5)))
    assert camera.relations.add_to(found, due) == found


def test_the_same_pixels_are_never_a_series(camera: Camera) -> None:
    records = [camera.send("1.jpg", b"\1"), camera.send("2.jpg", b"\2")]
    assert camera.find(*records, rank=0) == [Relation.DUPLICATE]


def test_without_the_libraries_that_read_pictures_there_are_no_relations(
    camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shot_relations(camera.searches, camera.folders) is not None
    monkeypatch.setattr(shots, "find_spec", lambda _name: None)
    assert shot_relations(camera.searches, camera.folders) is None


def test_real_pictures_are_read_in_the_sandbox() -> None:
    with read_picture(taken(frame(1, 0))) as picture:
        assert read_in_sandbox(picture).model == "Canon EOS R5"
    with read_picture(encode(frame(1, 0))) as picture:
        assert read_in_sandbox(picture) == Shot()
