"""The operations of the embedded collection."""

from __future__ import annotations

import hashlib
import io
import sqlite3
import stat
import sys
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from snoopsync.core.errors import (
    FileChanged,
    NotFound,
    Refused,
    SnoopsyncError,
    Unavailable,
)
from snoopsync.embedded import EmbeddedCollection, open_embedded
from tests.embedded.conftest import Clock
from tests.embedded.helpers import (
    PICTURES,
    SMALL,
    add,
    found,
    ids,
    in_another_process,
    make_outdated,
)
from tests.support.pictures import encode, photo


def test_answers_are_those_of_the_published_client(
    collection: EmbeddedCollection, clock: Clock
) -> None:
    added = collection.add_image(io.BytesIO(PICTURES[0]), "myid12")
    assert added == {
        "status": 201,
        "message": "Added",
        "collection_id": collection.id,
        "image_id": "myid12",
        "image_time": "2015-01-25T20:43:05.690218+00:00",
    }
    assert collection.get_image("myid12") == {**added, "status": 200, "message": "OK"}
    clock.advance(1)
    updated = collection.add_image(io.BytesIO(PICTURES[1]), "myid12", update_existing=True)
    assert updated == {
        **added,
        "status": 200,
        "message": "Updated",
        "image_time": "2015-01-25T20:43:06.690218+00:00",
    }
    assert collection.delete_image("myid12") == {**updated, "message": "Deleted"}


def test_a_file_that_changes_while_it_is_read_is_not_stored(collection: EmbeddedCollection) -> None:
    class Changing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if data := super().read(size):
                return data
            raise FileChanged("it changed")

    with pytest.raises(FileChanged, match="it changed"):
        collection.add_image(Changing(PICTURES[0]), "a")
    assert ids(collection) == []
    add(collection, "a")
    with pytest.raises(FileChanged):
        collection.add_image(Changing(PICTURES[1]), "a", update_existing=True)
    assert found(collection, 0) == ["a"]


def test_ids_made_by_the_collection_are_32_hexadecimal_digits(
    collection: EmbeddedCollection,
) -> None:
    image_id = collection.add_image(io.BytesIO(PICTURES[0]))["image_id"]
    assert len(image_id) == 32
    assert int(image_id, 16) >= 0


@pytest.mark.parametrize("image_id", ["", "x" * 101, "\ud800", 7])
def test_an_invalid_id_is_refused_by_every_operation(
    collection: EmbeddedCollection, image_id: str
) -> None:
    calls = (
        lambda: collection.add_image(io.BytesIO(PICTURES[0]), image_id),
        lambda: collection.get_image(image_id),
        lambda: collection.delete_image(image_id),
        lambda: collection.search_images_by_id(image_id),
        lambda: collection.get_images(start=image_id),
    )
    for call in calls:
        with pytest.raises(Refused, match="string of 1 to 100 characters") as refused:
            call()
        assert refused.value.status == 400


def test_image_times_only_increase_whatever_the_clock_does(
    collection: EmbeddedCollection, clock: Clock
) -> None:
    times = []
    for number, step in enumerate((0, 0, -3600, 7200, 0, -1)):
        clock.advance(step)
        answer = collection.add_image(io.BytesIO(PICTURES[0]), f"{number}")
        times.append(answer["image_time"])
        if number == 3:
            collection.delete_image("3")  # the newest: its time is never given again
    assert times == sorted(set(times))


def test_a_listing_starts_at_the_given_image(collection: EmbeddedCollection) -> None:
    for number in range(5):
        add(collection, f"{number}")
    page = collection.get_images(start="3", count=2)
    assert [image["id"] for image in page["images"]] == ["3", "2"]
    assert page["next_image_id"] == "1"
    assert collection.get_images(start="0")["next_image_id"] is None
    assert collection.get_images(count=5)["next_image_id"] is None
    with pytest.raises(NotFound):
        collection.get_images(start="unknown")


@pytest.mark.parametrize(
    ("count", "listed"), [(None, 100), (-3, 1), (0, 1), (150, 150), (5000, 1000)]
)
def test_a_page_has_100_images_by_default_and_at_most_1000(
    collection: EmbeddedCollection, database: Path, count: int | None, listed: int
) -> None:
    add(collection, "seed")
    with sqlite3.connect(database) as connection:
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1100)"
            " INSERT INTO image (moment, id, sha256, size_bytes, kind, width, height, feed,"
            " thumbnail, quality, codes, trimmed) SELECT i, 'n' || i, sha256, size_bytes, kind,"
            " width, height, feed, thumbnail, quality, codes, trimmed FROM image, n"
        )
    connection.close()
    assert len(collection.get_images(count=count)["images"]) == listed


def test_iterating_over_images_ignores_later_changes(
    collection: EmbeddedCollection,
) -> None:
    for number in range(4):
        add(collection, f"{number}")
    walk = collection.images()
    first = next(walk)["id"]
    collection.delete_image("1")
    add(collection, "new")
    collection.add_image(io.BytesIO(PICTURES[1]), "0", update_existing=True)
    assert [first, *(image["id"] for image in walk)] == ["3", "2", "1", "0"]
    assert ids(collection) == ["0", "new", "3", "2"]


def test_results_have_the_hash_of_the_bytes(collection: EmbeddedCollection) -> None:
    add(collection, "a")
    (match,) = collection.search_images(io.BytesIO(PICTURES[0]))["results"]
    assert match["sha256"] == hashlib.sha256(PICTURES[0]).hexdigest()


def test_a_search_for_a_picture_that_cannot_be_decoded_is_refused(
    collection: EmbeddedCollection,
) -> None:
    with pytest.raises(Refused, match="not a supported picture") as refused:
        collection.search_images(io.BytesIO(b"not a picture"))
    assert refused.value.status == 415
    # No service answered with the status.
    assert str(refused.value).startswith("not a supported picture")


def test_deleted_and_replaced_images_are_no_longer_found(collection: EmbeddedCollection) -> None:
    add(collection, "a", 0)
    add(collection, "b", 1)
    assert (found(collection, 0), found(collection, 1)) == (["a"], ["b"])
    collection.add_image(io.BytesIO(PICTURES[2]), "a", update_existing=True)
    collection.delete_image("b")
    assert found(collection, 0) == []
    assert found(collection, 1) == []
    assert found(collection, 2) == ["a"]


def test_deleted_and_replaced_images_free_their_memory(collection: EmbeddedCollection) -> None:
    for picture in range(3):
        add(collection, f"{picture}", picture)
        assert found(collection, picture) == [f"{picture}"]
    collection.delete_image("0")
    collection.add_image(io.BytesIO(PICTURES[3]), "1", update_existing=True)
    # A private method, because a search removes outdated codes by itself.
    assert len(collection._similarity_search()) == 1


def test_a_restart_loses_nothing(collection: EmbeddedCollection, database: Path) -> None:
    add(collection, "a", 0)
    add(collection, "b", 1)
    collection.delete_image("a")
    before = (collection.id, collection.get_images())
    collection.close()
    again = open_embedded(database)
    try:
        assert (again.id, again.get_images()) == before
        assert found(again, 1) == ["b"]
    finally:
        again.close()


def test_closing_twice_does_nothing_and_later_calls_fail(collection: EmbeddedCollection) -> None:
    collection.close()
    collection.close()
    with pytest.raises(Unavailable, match="closed"):
        collection.get_image("a")


def test_only_the_owner_can_read_the_file_and_its_directory(
    collection: EmbeddedCollection, database: Path
) -> None:
    add(collection, "a")
    assert stat.S_IMODE(database.parent.stat().st_mode) == 0o700
    files = list(database.parent.iterdir())
    assert database in files
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_images_of_an_older_version_match_by_their_bytes_only(
    collection: EmbeddedCollection, database: Path
) -> None:
    add(collection, "old")
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE image SET feed = 0")
    connection.close()
    assert found(collection, 0) == ["old"]
    same_pixels = io.BytesIO(encode(Image.open(io.BytesIO(PICTURES[0])), "PNG"))
    assert collection.search_images(same_pixels)["results"] == []
    copy = io.BytesIO(encode(photo(0, SMALL), quality=60))
    assert collection.search_images(copy)["results"] == []
    copy.seek(0)
    collection.add_image(copy, "copy")
    assert collection.search_images_by_id("old")["results"] == []
    assert collection.search_images_by_id("copy")["results"] == []


def test_a_file_that_is_not_a_database_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("remember the milk" * 1000)
    with pytest.raises(Unavailable, match=r"notes\.txt.*move the file away"):
        open_embedded(path)
    assert path.read_text().startswith("remember")


def test_a_database_of_a_newer_version_is_left_alone(
    collection: EmbeddedCollection, database: Path
) -> None:
    collection.close()
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(Unavailable, match="newer snoopsync"):
        open_embedded(database)


def test_a_database_that_another_process_locks_too_long_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite3"
    collection = open_embedded(path, busy_seconds=0.05)
    other = sqlite3.connect(path, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="locked") as raised:
            add(collection, "a")
        assert not raised.value.permanent
        other.execute("ROLLBACK")
        add(collection, "a")
        assert ids(collection) == ["a"]
    finally:
        other.close()
        collection.close()


def test_a_failed_change_is_rolled_back(collection: EmbeddedCollection, database: Path) -> None:
    add(collection, "a")
    with sqlite3.connect(database) as connection:
        connection.execute(
            "CREATE TRIGGER fault BEFORE INSERT ON image BEGIN SELECT raise(ABORT, 'fault'); END"
        )
    connection.close()
    with pytest.raises(Unavailable, match="fault"):
        collection.add_image(io.BytesIO(PICTURES[1]), "a", update_existing=True)
    assert ids(collection) == ["a"]
    assert found(collection, 0) == ["a"]


def test_opening_and_listing_import_neither_numpy_nor_pillow(
    collection: EmbeddedCollection, database: Path
) -> None:
    add(collection, "a")
    loaded = in_another_process(
        database,
        "list(c.images()); c.get_images(); c.get_image('a'); c.delete_image('a');"
        " print([m for m in ('numpy', 'PIL', 'pillow_heif') if m in sys.modules])",
    )
    assert loaded == "[]\n"


@pytest.mark.parametrize("missing", ["numpy", "PIL"])
def test_a_missing_library_is_an_error_that_names_what_to_install(
    collection: EmbeddedCollection, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    for module in [name for name in sys.modules if name.startswith("snoopsync.embedded.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(SnoopsyncError, match=r"needs .*pip install 'snoopsync\[embedded\]'"):
        add(collection, "a")
    assert ids(collection) == []


def test_a_collection_of_the_previous_format_is_migrated(
    collection: EmbeddedCollection, database: Path
) -> None:
    """The previous format has no thumbnails."""
    add(collection, "old")
    collection.close()
    make_outdated(database)
    with closing(sqlite3.connect(database)) as before:
        before.execute("DROP TABLE small")
        before.execute("PRAGMA user_version = 1")
        before.commit()
    with closing(open_embedded(database)) as again:
        assert again.id == collection.id
        add(again, "new")
        old, new = again.search_images(io.BytesIO(PICTURES[0]))["results"]
        assert {old["id"], new["id"]} == {"old", "new"}
        assert again.delete_image("old")["status"] == 200
