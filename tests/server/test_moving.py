"""Moving all collections from a directory to a database, and back."""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from snoopsync.core.errors import SnoopsyncError, StateLocked
from snoopsync.server.moving import Move, MovedCollection, open_export, open_import
from snoopsync.server.storage import (
    Location,
    open_hosting,
    open_storage,
    open_storage_to_serve,
)
from snoopsync.storage.hosting import HostedCollection, Hosting, Key
from snoopsync.storage.images import Position
from snoopsync.storage.rows import ImageRow
from tests.embedded.helpers import features
from tests.support.paths import ROOT
from tests.support.postgres import Cluster

#: Moves in small blocks, and is killed at the n-th call or return of a function of the storage.
#: With 0, it runs to its end.
KILLED = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from snoopsync.server.moving import open_export, open_import
from snoopsync.server.storage import Location

how, data, database, at = sys.argv[1:]
left = int(at)

def count(frame, event, argument):
    global left
    if event in ("call", "return") and "/snoopsync/storage/" in frame.f_code.co_filename:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

with {"import": open_import, "export": open_export}[how](Location(Path(data), database)) as move:
    sys.setprofile(count)
    list(replace(move, block=3).run(lambda phase, done, total: None))
    sys.setprofile(None)
"""

Content = tuple[
    list[HostedCollection], list[Key], list[tuple[list[ImageRow], Position]], str | None
]


@pytest.fixture
def url(cluster: Cluster) -> str:
    return cluster.new_database()


@pytest.fixture
def location(data: Path, url: str) -> Location:
    """A directory with two collections, and an empty database."""
    fill(Location(data))
    return Location(data, url)


def fill(location: Location) -> None:
    with open_storage(location) as storage:
        hosting = storage.hosting
        hosting.add_key("family", "the NAS")
        hosting.record_use(hosting.add_key("family").public_key, 12.5)
        hosting.revoke(hosting.add_key("archive").public_key)
        for number, collection in enumerate(hosting.collections()):
            with closing(hosting.images(collection)) as store:
                for image in range(10 + number):
                    store.add(f"tests.{image}", features(image), 1000 + image, f"label {image}")
                store.remove("tests.4")


def content(hosting: Hosting) -> Content:
    """Everything that is moved."""
    images = []
    for collection in hosting.collections():
        with closing(hosting.image_rows(collection)) as rows:
            images.append((rows.after(0, 1000), rows.position()))
    keys = list(hosting.all_keys())
    return list(hosting.collections()), keys, images, hosting.master_key_fingerprint()


def content_of(location: Location) -> Content:
    with open_hosting(location) as hosting:
        return content(hosting)


def run(move: Move) -> list[MovedCollection]:
    return list(move.run(lambda phase, done, total: None))


def import_all(location: Location) -> list[MovedCollection]:
    with open_import(location) as move:
        return run(move)


def export_all(location: Location) -> list[MovedCollection]:
    with open_export(location) as move:
        return run(move)


def test_everything_is_moved_to_a_database_and_back(location: Location, tmp_path: Path) -> None:
    before = content_of(Location(location.data))
    moved = import_all(location)
    assert [(each.collection_name, each.images, each.moved) for each in moved] == [
        ("archive", 9, 9),
        ("family", 10, 10),
    ]
    assert content_of(location) == before == content_of(Location(location.data))
    back = Location(tmp_path / "back", location.database, location.data / "master.key")
    assert export_all(back) == moved
    assert content_of(Location(back.data)) == before
    with open_storage(Location(back.data)) as storage, open_storage(location) as original:
        assert storage.master_key.secret_of("x") == original.master_key.secret_of("x")
    for path in (back.data, *back.data.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600)


def test_a_finished_move_is_only_compared(location: Location) -> None:
    first = import_all(location)
    assert [(each.moved, each.digest) for each in import_all(location)] == [
        (0, each.digest) for each in first
    ]


@pytest.mark.integration
@pytest.mark.parametrize("how", ["import", "export"])
def test_a_move_that_is_killed_anywhere_continues(
    location: Location, tmp_path: Path, how: str
) -> None:
    before = content_of(Location(location.data))
    if how == "export":
        import_all(location)
        target = Location(tmp_path / "back")
        target.data.mkdir(mode=0o700)
        shutil.copy(location.data / "master.key", target.data)
        location = Location(target.data, location.database)
    else:
        target = location
    killed = 0
    for at in (1, 6, 12, 19, 27, 36, 47, 60, 100, 200, 400, 0):
        arguments = [how, str(location.data), str(location.database), str(at)]
        command = [sys.executable, "-c", KILLED, *arguments]
        done = subprocess.run(command, cwd=ROOT, check=False, stderr=subprocess.PIPE, text=True)
        assert done.returncode in (0, -9), done.stderr
        killed += done.returncode == -9
        with open_hosting(target) as hosting:
            # Until everything was moved, no key is valid.
            assert list(hosting.all_keys()) in ([], before[1])
    assert killed >= 5
    assert done.returncode == 0
    assert content_of(target) == before


def test_a_target_with_anything_else_is_refused(location: Location, url: str) -> None:
    before = content_of(Location(location.data))
    with open_import(location) as move:
        blocks = run(Move(move.source, move.target, 3))
    assert sum(each.moved for each in blocks) == 19
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE snoopsync.image SET label = 'x' WHERE moment = 1003")
    with pytest.raises(SnoopsyncError, match="the images of the collection archive in postgresql"):
        import_all(location)
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE snoopsync.image SET label = 'label 3' WHERE moment = 1003")
    import_all(location)
    with open_hosting(location) as hosting:
        hosting.record_use(before[1][0].public_key, 99.0)
    with pytest.raises(SnoopsyncError, match="the keys of postgresql"):
        import_all(location)


def test_an_unfinished_target_with_another_image_is_not_continued(
    location: Location, url: str
) -> None:
    with open_import(location) as move:
        next(iter(Move(move.source, move.target, 3).run(lambda *_: None)))
    with psycopg.connect(url) as connection:
        connection.execute("DELETE FROM snoopsync.image WHERE moment = 1003")
    with pytest.raises(SnoopsyncError, match="8 images with the digest"):
        import_all(location)
    with open_hosting(location) as hosting:
        assert not hosting.all_keys()


def test_a_target_with_a_collection_of_its_own_is_refused(location: Location) -> None:
    with open_storage(location) as storage:
        storage.hosting.add_key("mine")
    with pytest.raises(SnoopsyncError, match="a collection mine of its own"):
        import_all(location)


def test_a_source_that_was_used_after_the_move_is_not_moved_again(location: Location) -> None:
    import_all(location)
    with open_hosting(Location(location.data)) as hosting:
        [archive, _] = hosting.collections()
        with closing(hosting.images(archive)) as store:
            store.add("new", features(20), 5000)
    with pytest.raises(SnoopsyncError, match="has changed since it was moved"):
        import_all(location)


def test_a_target_with_another_master_key_is_refused(location: Location, tmp_path: Path) -> None:
    with open_storage(Location(tmp_path / "other", location.database)):
        pass
    with pytest.raises(SnoopsyncError, match=r"the one in .*master\.key: choose an empty"):
        import_all(location)
    with open_hosting(location) as hosting:
        assert not hosting.collections()


def test_an_export_needs_the_master_key_of_the_database(location: Location, tmp_path: Path) -> None:
    import_all(location)
    with open_storage(Location(tmp_path / "other")):
        pass
    back = tmp_path / "back"
    with pytest.raises(SnoopsyncError, match="copy it to"):
        export_all(Location(back, location.database))
    with pytest.raises(SnoopsyncError, match="another master key"):
        export_all(Location(back, location.database, tmp_path / "other" / "master.key"))
    assert not (back / "master.key").exists()


def test_a_directory_that_is_no_data_directory_is_left_alone(tmp_path: Path, url: str) -> None:
    with pytest.raises(SnoopsyncError, match=r"no keys\.sqlite3"):
        import_all(Location(tmp_path / "mistyped", url))
    assert not (tmp_path / "mistyped").exists()


@pytest.mark.integration
def test_nothing_is_moved_while_a_service_uses_either_side(location: Location) -> None:
    for served in (Location(location.data), location):
        with open_storage_to_serve(served), pytest.raises(StateLocked):
            import_all(location)
    import_all(location)


@pytest.mark.integration
def test_no_node_starts_while_a_move_is_under_way(location: Location) -> None:
    with open_import(location):
        with pytest.raises(StateLocked, match="it is being moved"), open_hosting(location):
            pass
        with pytest.raises(StateLocked), open_storage_to_serve(Location(location.data)):
            pass


def test_signatures_from_before_the_move_are_refused(location: Location) -> None:
    with open_hosting(location) as hosting:
        began = hosting.signatures.remembers_since
    import_all(location)
    with open_hosting(location) as hosting:
        assert hosting.signatures.remembers_since > began
