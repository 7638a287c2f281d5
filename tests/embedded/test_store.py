"""The images of a collection in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from snoopsync.core.errors import Conflict, NotFound
from snoopsync.decoding.features import FEED_VERSION
from snoopsync.embedded.store import Store
from tests.embedded.helpers import features


@pytest.fixture
def store(database: Path) -> Iterator[Store]:
    with closing(Store(database, lambda: "c")) as store:
        yield store


def describe_by_older_version(database: Path, *image_ids: str) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        marks = ", ".join("?" * len(image_ids))
        connection.execute(f"UPDATE image SET feed = 1 WHERE id IN ({marks})", image_ids)


def test_an_image_is_found_with_its_features_until_it_is_removed(store: Store) -> None:
    stored = store.add("a", features(1), 10)
    assert store.find("a") == stored
    described = store.find_described("a")
    assert described is not None
    assert (described.stored, described.features) == (stored, features(1))
    assert store.remove("a") == stored
    assert store.find("a") is None
    assert store.find_described("a") is None
    with pytest.raises(NotFound):
        store.remove("a")


def test_an_id_has_one_image(store: Store) -> None:
    store.add("a", features(1), 10)
    with pytest.raises(Conflict):
        store.add("a", features(2), 11)
    with pytest.raises(NotFound):
        store.replace("b", features(2), 11)


def test_moments_increase_whatever_the_clock_does(store: Store) -> None:
    moments = [store.add(str(now), features(now), now).moment for now in (10, 5, 7, 30)]
    assert moments == [10, 11, 12, 30]
    assert [image.image_id for image in store.page(None, 9)] == ["30", "7", "5", "10"]
    assert [image.image_id for image in store.page(11, 1)] == ["5"]


def test_another_picture_gets_a_new_moment_and_the_same_bytes_keep_it(
    store: Store, database: Path
) -> None:
    old = store.add("a", features(1), 10)
    before, after = store.replace("a", features(2), 20)
    assert (before, after.moment) == (old, 20)
    describe_by_older_version(database, "a")
    before, after = store.replace("a", features(2), 30)
    assert before.is_outdated and not after.is_outdated
    assert (after.moment, after.mark) == (20, 30)


def test_only_an_images_own_bytes_renew_its_description(store: Store, database: Path) -> None:
    stored = store.add("a", features(1), 10)
    assert store.renew("a", features(1), 20) == (stored, stored)
    describe_by_older_version(database, "a")
    with pytest.raises(Conflict):
        store.renew("a", features(2), 20)
    _, renewed = store.renew("a", features(1), 20)
    assert (renewed.moment, renewed.mark, renewed.is_outdated) == (10, 20, False)
    with pytest.raises(NotFound):
        store.renew("b", features(1), 20)


def test_a_walk_does_not_see_later_changes(store: Store) -> None:
    for number in range(3):
        store.add(str(number), features(number), number)
    walk = store.walk()
    block = next(walk)
    store.remove("1")
    assert [image_id for each in (block, *walk) for _, image_id in each] == ["2", "1", "0"]


def test_all_ids_are_read_in_ranges(store: Store) -> None:
    for image_id in "cab":
        store.add(image_id, features(1), 0)
    first = store.ids("", 2)
    second = store.ids(first.last or "", 2)
    assert (first.ids(), first.last) == (["a", "b"], "b")
    assert (second.ids(), second.last) == (["c"], None)


def test_the_same_picture_has_the_same_bytes_or_the_same_pixels(store: Store) -> None:
    store.add("bytes", features(1), 1)
    store.add("pixels", replace(features(2), digest=features(1).digest), 2)
    store.add("size", replace(features(3), digest=features(1).digest, width=9), 3)
    store.add("other", features(4), 4)
    marks = store.marks_of_same_picture(features(1), FEED_VERSION)
    assert sorted(marks) == [1, 2]
    assert store.marks_of_same_picture(features(1), FEED_VERSION + 1) == [1]


def test_codes_are_read_in_the_order_of_their_marks(store: Store, database: Path) -> None:
    for number in range(1, 4):
        store.add(str(number), features(number), number)
    store.add("flat", replace(features(9), codes=b""), 4)
    describe_by_older_version(database, "1")
    store.renew("1", features(1), 10)
    describe_by_older_version(database, "2")
    assert [mark for mark, _, _ in store.codes_after(0, 9, FEED_VERSION)] == [3, 10]
    assert [mark for mark, _, _ in store.codes_after(3, 9, FEED_VERSION)] == [10]
    [(_, code, trimmed)] = store.codes_after(0, 1, FEED_VERSION)
    assert (code, trimmed) == (features(3).codes[:32], b"")
    assert [each.stored.image_id for each in store.with_marks([10, 1, 3, 99])] == ["1", "3"]


def test_outdated_images_are_counted_and_listed_in_pages(store: Store, database: Path) -> None:
    for image_id in ("a.1", "a.2", "b.1", "b.2"):
        store.add(image_id, features(1), 0)
    assert not store.has_other_versions(FEED_VERSION)
    describe_by_older_version(database, "a.1", "a.2", "b.1")
    assert store.has_other_versions(FEED_VERSION)
    assert (store.count_outdated(), store.count_outdated("b.", "b/")) == (3, 1)
    assert store.outdated((-1, ""), 2) == [(1, "a.1"), (1, "a.2")]
    assert store.outdated((1, "a.2"), 2) == [(1, "b.1")]
    assert store.outdated((-1, ""), 9, "b.", "b/") == [(1, "b.1")]
