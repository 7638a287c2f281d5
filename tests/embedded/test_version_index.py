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
    assert index.sharing(codes(2)[:1]).tolist() == [2]
    assert index.sharing(codes(2)[INDEXED_REGIONS:]).tolist() == []


def test_images_that_were_added_or_removed_later_count(store: SqliteImageStore) -> None:
    store.add("1", replace(features(1), regions=regions(1)), 1)
    index = followed(store)
    store.add("2", replace(features(2), regions=regions(2)), 2)
    index.follow(store, store.position())
    assert index.sharing(codes(2)).tolist() == [2]
    index.remove(2)
    assert index.sharing(codes(2)).tolist() == []
    assert index.images == 1
