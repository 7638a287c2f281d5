"""Searches with a limit, among many images of the same or of nearly the same picture."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from snoopsync.decoding.features import FEED_VERSION, Features
from snoopsync.embedded import search
from snoopsync.embedded.kinds import MatchKind
from snoopsync.embedded.search import SimilaritySearch
from snoopsync.storage.images import DescribedImage
from snoopsync.storage.sqlite.images import SqliteImageStore
from tests.decoding.helpers import extract
from tests.support.pictures import encode, photo

LIMIT = 4


class CountingStore(SqliteImageStore):
    """Counts the images whose features are read."""

    read = 0

    def with_marks(self, marks: Sequence[int]) -> list[DescribedImage]:
        self.read += len(marks)
        return super().with_marks(marks)


@pytest.fixture
def store(database: Path) -> Iterator[CountingStore]:
    opened = CountingStore(database, lambda: "collection")
    yield opened
    opened.close()


PICTURE = photo(1, (240, 180))


@pytest.fixture(scope="module")
def features() -> Features:
    return extract(encode(PICTURE))


def with_bytes(features: Features, text: str) -> Features:
    """The same picture in a file with other bytes."""
    return replace(features, sha256=hashlib.sha256(text.encode()).digest())


def named(
    store: SqliteImageStore, features: Features, asked_id: str | None = None
) -> list[tuple[str, MatchKind | None, int]]:
    found = SimilaritySearch(store).nearest(features, FEED_VERSION, LIMIT, asked_id)
    return [(each.stored.image_id, each.score.kind, copies) for each, copies in found]


def test_of_many_files_of_one_picture_no_more_are_read_than_are_named(
    store: CountingStore, features: Features
) -> None:
    for number in range(60):
        store.add(f"{number:02}", with_bytes(features, f"{number}"), number)
    found = named(store, features)
    assert found == [(f"{number:02}", MatchKind.REENCODED, 1) for number in range(LIMIT)]
    assert store.read == LIMIT


def test_a_copy_is_named_however_many_other_files_show_the_picture(
    store: CountingStore, features: Features
) -> None:
    for number in range(20):
        store.add(f"{number:02}", with_bytes(features, f"{number}"), number)
    for number in (97, 98, 99):
        store.add(f"{number}", features, number)
    found = named(store, features, "98")
    assert len(found) == LIMIT
    assert found[-1] == ("97", MatchKind.IDENTICAL, 2)


def test_many_copies_hide_no_picture_that_is_less_similar(
    store: CountingStore, features: Features
) -> None:
    small = extract(encode(PICTURE.resize((120, 90), Image.Resampling.LANCZOS), quality=60))
    store.add("small", small, 1)
    for number in range(40):
        store.add(f"{number:02}", features, number + 2)
    found = named(store, features, "07")
    assert [(image_id, copies) for image_id, _, copies in found] == [("00", 39), ("small", 1)]
    assert store.read == 2
    assert [copies for _, _, copies in named(store, small, "small")] == [40]


def test_a_copy_of_another_owner_is_named_first(store: CountingStore, features: Features) -> None:
    for number, image_id in enumerate(("nas.1", "nas.2", "other.9", "nas.0")):
        store.add(image_id, features, number + 1)
    assert named(store, features, "nas.1") == [("other.9", MatchKind.IDENTICAL, 3)]
    assert named(store, features, "other.9") == [("nas.0", MatchKind.IDENTICAL, 3)]
    assert named(store, features) == [("nas.0", MatchKind.IDENTICAL, 4)]


def test_a_search_with_a_limit_names_the_pictures_of_a_search_without_one(
    store: CountingStore, features: Features
) -> None:
    for number, quality in enumerate((95, 80, 60, 40, 20, 10)):
        store.add(f"q{quality}", extract(encode(PICTURE, quality=quality)), number + 1)
    every = SimilaritySearch(store).matches(features)
    assert len(every) == 6
    expected = [(each.stored.image_id, each.score.kind, 1) for each in every]
    assert named(store, features) == expected[:LIMIT]


def test_a_search_for_the_next_copy_finds_what_was_added_and_removed_meanwhile(
    store: CountingStore, features: Features
) -> None:
    small = extract(encode(PICTURE.resize((120, 90), Image.Resampling.LANCZOS), quality=60))
    search = SimilaritySearch(store)

    def found(asked_id: str) -> list[str]:
        nearest = search.nearest(features, FEED_VERSION, LIMIT, asked_id)
        return [each.stored.image_id for each, _ in nearest]

    for number, image_id in enumerate(("a", "b", "c")):
        store.add(image_id, features, number + 1)
    assert found("a") == ["b"]
    store.add("small", small, 4)
    assert found("b") == ["a", "small"]
    assert found("c") == ["a", "small"]
    store.remove("small")
    assert found("a") == ["b"]
    store.remove("c")
    assert found("a") == ["b"]


def of_owner(store: SqliteImageStore, features: Features, owner: str) -> list[str]:
    found = SimilaritySearch(store).nearest_of_owner(features, FEED_VERSION, LIMIT, f"{owner}.")
    return [each.stored.image_id for each in found]


def test_the_images_of_one_owner_are_found_among_many_of_others(
    store: CountingStore, features: Features
) -> None:
    small = extract(encode(PICTURE.resize((120, 90), Image.Resampling.LANCZOS), quality=60))
    for number, image_id in enumerate(("nas.2", "nas.1", "nas2.1")):
        store.add(image_id, features, number + 1)
    store.add("nas.small", small, 4)
    for number in range(200):
        shown = features if number % 2 else with_bytes(features, f"{number}")
        store.add(f"other.{number:03}", shown, number + 5)
    store.read = 0
    assert of_owner(store, features, "nas") == ["nas.1", "nas.small"]
    assert of_owner(store, features, "nas2") == ["nas2.1"]
    assert of_owner(store, features, "na") == []
    assert store.read == 3
    for number in range(2 * LIMIT):
        store.add(f"nas.x{number}", with_bytes(features, f"nas {number}"), number + 500)
    assert len(of_owner(store, features, "nas")) == LIMIT


def test_a_search_for_the_images_of_one_owner_examines_a_limited_number(
    store: CountingStore, features: Features, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "_MOST_EXAMINED", 3 * LIMIT)
    for number in range(3 * LIMIT):
        store.add(f"other.{number:02}", with_bytes(features, f"{number}"), number + 1)
    store.add("nas.1", with_bytes(features, "nas"), 99)
    assert of_owner(store, with_bytes(features, "asked"), "nas") == []
    store.remove("other.00")
    assert of_owner(store, with_bytes(features, "asked"), "nas") == ["nas.1"]
