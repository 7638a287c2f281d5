"""What every engine does with whole rows, by which collections are moved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest

from snoopsync.decoding.evidence import FileEvidence
from snoopsync.storage.hosting import Hosting
from snoopsync.storage.images import ImageStore, Position
from snoopsync.storage.rows import ImageRows, RowDigest
from snoopsync.storage.sqlite.registry import SqliteHosting
from tests.embedded.helpers import features
from tests.storage.conftest import Engine


@pytest.fixture
def rows(hosting: Hosting, store: ImageStore) -> Iterator[ImageRows]:
    """The rows of the images in ``store``."""
    [collection] = hosting.collections()
    with closing(hosting.image_rows(collection)) as rows:
        yield rows


@pytest.fixture
def others(tmp_path: Path) -> Iterator[ImageRows]:
    """The rows of an empty collection in a file."""
    with ExitStack() as stack:
        hosting = stack.enter_context(closing(SqliteHosting(tmp_path / "others", 0.0)))
        hosting.add_key("pictures")
        [collection] = hosting.collections()
        yield stack.enter_context(closing(hosting.image_rows(collection)))


def fill(store: ImageStore, engine: Engine) -> None:
    """Add images of every kind: renewed, without a thumbnail, with evidence, with odd names."""
    store.add("a", features(1), 10, "host: photos/ä\\t.jpg")
    engine.execute("UPDATE image SET feed = 1 WHERE id = 'a'")
    store.renew("a", features(1), 20)
    store.add("nul \0 \\N ü", replace(features(2), thumbnail=None), 30)
    store.add("c", replace(features(3), evidence=FileEvidence()), 40)
    engine.execute("UPDATE image SET feed = 1 WHERE id = 'c'")
    store.add("gone", features(4), 50)
    store.remove("gone")


def test_rows_come_in_the_order_of_their_moments(
    store: ImageStore, rows: ImageRows, engine: Engine
) -> None:
    assert (rows.count(), rows.newest(), rows.after(0, 9)) == (0, 0, [])
    fill(store, engine)
    assert (rows.count(), rows.newest()) == (3, 40)
    assert [(row.moment, row.mark) for row in rows.after(0, 9)] == [(10, 20), (30, 30), (40, 40)]
    assert [row.moment for row in rows.after(10, 1)] == [30]
    assert [row.thumbnail is None for row in rows.after(0, 9)] == [False, True, False]


def test_inserted_rows_are_the_same_in_both_engines(
    store: ImageStore, rows: ImageRows, others: ImageRows, engine: Engine
) -> None:
    fill(store, engine)
    moved = rows.after(0, 9)
    others.insert(moved)
    assert others.after(0, 9) == moved
    there = [store.find_described(image_id) for image_id in ("a", "c")]
    for image_id in ("a", "nul \0 \\N ü", "c"):
        store.remove(image_id)
    rows.insert(others.after(0, 9))
    assert rows.after(0, 9) == moved
    here = [store.find_described(image_id) for image_id in ("a", "c")]
    assert here == there
    assert store.find("nul \0 \\N ü") is not None


def test_a_block_is_stored_as_a_whole_or_not_at_all(
    store: ImageStore, rows: ImageRows, engine: Engine
) -> None:
    fill(store, engine)
    first, *_ = rows.after(0, 9)
    new = [replace(first, moment=100, mark=100, image_id="x"), first]
    with pytest.raises(Exception, match=r"(?i)unique"):
        rows.insert(new)
    assert rows.count() == 3


def test_the_next_moment_follows_a_position_that_was_set(
    store: ImageStore, rows: ImageRows
) -> None:
    rows.set_position(Position("", 70, 1000))
    assert rows.position() == Position("", 70, 1000)
    assert store.add("a", features(1), 10).moment == 1001
    assert rows.position() == Position("", 71, 1001)


def test_a_collection_keeps_its_id_and_time_and_a_key_all_that_is_known_of_it(
    engine: Engine, tmp_path: Path
) -> None:
    with (
        closing(engine.open()) as hosting,
        closing(SqliteHosting(tmp_path / "others", 0.0)) as others,
    ):
        key = others.add_key("pictures", "the NAS: ü")
        others.record_use(key.public_key, 123.456789)
        others.add_key("pictures")
        others.revoke(others.add_key("Änderungen").public_key)
        for each in others.collections() * 2:
            hosting.insert_collection(each)
        hosting.insert_keys(others.all_keys())
        assert hosting.collections() == others.collections()
        assert hosting.all_keys() == others.all_keys()
        found = hosting.collection_for(key.public_key)
        assert found == others.collection_for(key.public_key)


def test_a_digest_depends_on_every_value_and_on_the_order(
    store: ImageStore, rows: ImageRows, engine: Engine
) -> None:
    fill(store, engine)
    moved = rows.after(0, 9)
    first = moved[0]
    assert first.thumbnail is not None
    rest = moved[1:]
    variants = [
        moved,
        moved[::-1],
        rest,
        [replace(first, moment=7), *rest],
        [replace(first, mark=7), *rest],
        [replace(first, image_id="7"), *rest],
        [replace(first, label=None), *rest],
        [replace(first, thumbnail=None), *rest],
    ]
    for at in range(len(first.features)):
        changed = (*first.features[:at], 7, *first.features[at + 1 :])
        variants.append([replace(first, features=changed), *rest])
    digests = set()
    for variant in variants:
        digest = RowDigest()
        digest.add(variant)
        digests.add(digest.digest)
    assert len(digests) == len(variants)
