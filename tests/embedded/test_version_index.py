"""The index of one version follows its store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from snoopsync.decoding.features import FEED_VERSION, INDEXED_REGIONS
from snoopsync.decoding.regions import REGION, from_bytes
from snoopsync.embedded.version_index import VersionIndex
from snoopsync.storage.sqlite.images import SqliteImageStore
from tests.embedded.helpers import features

NONE = np.empty(0, np.int64)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteImageStore]:
    with closing(SqliteImageStore(tmp_path / "images.sqlite3", lambda: "collection")) as opened:
        yield opened


def regions(seed: int) -> bytes:
    """Twenty random regions."""
    found = np.zeros(20, REGION)
    found["code"] = np.random.default_rng(seed).integers(1, 2**62, 20, np.uint64) << np.uint64(1)
    return found.tobytes()


def codes(seed: int) -> NDArray[np.uint64]:
    return from_bytes(regions(seed))["code"].astype(np.uint64)


def followed(store: SqliteImageStore) -> VersionIndex:
    index = VersionIndex(FEED_VERSION)
    index.follow(store, store.position())
    return index


def test_images_are_found_by_the_first_of_their_regions(store: SqliteImageStore) -> None:
    for number in range(1, 4):
        store.add(str(number), replace(features(number), regions=regions(number)), number)
    store.add("none", features(4), 4)
    index = followed(store)
    assert index.sharing(codes(2)[:1], NONE).tolist() == [2]
    assert index.sharing(codes(2)[INDEXED_REGIONS:], NONE).tolist() == []


def test_images_that_were_added_or_removed_later_count(store: SqliteImageStore) -> None:
    store.add("1", replace(features(1), regions=regions(1)), 1)
    index = followed(store)
    store.add("2", replace(features(2), regions=regions(2)), 2)
    index.follow(store, store.position())
    assert index.sharing(codes(2), NONE).tolist() == [2]
    index.remove(2)
    assert index.sharing(codes(2), NONE).tolist() == []
    assert index.images == 1


def test_known_images_take_no_place_of_others(store: SqliteImageStore) -> None:
    for number in range(1, 41):
        store.add(str(number), replace(features(number), regions=regions(1)), number)
    index = followed(store)
    assert len(index.sharing(codes(1), NONE)) == 24
    assert index.sharing(codes(1), np.arange(1, 31)).tolist() == list(range(31, 41))
