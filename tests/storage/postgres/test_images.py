"""Many writers, and what happens when the database changes its history."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import psycopg
import pytest

from snoopsync.core.errors import Unavailable
from snoopsync.decoding.features import FEED_VERSION
from snoopsync.storage.images import ImageStore
from snoopsync.storage.postgres import codes
from snoopsync.storage.postgres.registry import PostgresHosting
from tests.embedded.helpers import features
from tests.support.postgres import Cluster

WRITERS = 8
IMAGES = 40


@pytest.fixture
def url(cluster: Cluster) -> str:
    return cluster.new_database()


@pytest.fixture
def nodes(url: str) -> Iterator[list[ImageStore]]:
    """Two nodes, which share no connection."""
    with ExitStack() as stack:
        opened = [stack.enter_context(closing(PostgresHosting(url))) for _ in range(2)]
        opened[0].add_key("pictures")
        [collection] = opened[0].collections()
        yield [each.images(collection) for each in opened]


def read_marks(store: ImageStore, after: int) -> list[int]:
    blocks = store.codes_after(after, FEED_VERSION)
    return [mark for block in blocks for mark in array("q", block.marks)]


def test_a_reader_that_follows_the_marks_misses_no_image_of_many_writers(
    nodes: list[ImageStore],
) -> None:
    """With moments from a sequence, a writer that commits later may have the smaller moment, and
    the reader would never see its image."""
    is_over = threading.Event()

    def follow() -> list[int]:
        seen: list[int] = []
        while True:
            was_over = is_over.is_set()
            while new := read_marks(nodes[1], seen[-1] if seen else 0):
                seen += new
            if was_over:
                return seen

    def write(writer: int) -> None:
        for number in range(IMAGES):
            nodes[writer % 2].add(f"{writer}.{number}", features(number + 1), 0)

    with ThreadPoolExecutor(WRITERS + 1) as threads:
        reader = threads.submit(follow)
        try:
            list(threads.map(write, range(WRITERS)))
        finally:
            is_over.set()
        seen = reader.result()
    assert len(seen) == len(set(seen)) == WRITERS * IMAGES
    assert seen == sorted(seen)


def test_changes_of_two_nodes_do_not_deadlock(nodes: list[ImageStore]) -> None:
    for number in range(4):
        nodes[0].add(f"{number}", features(number + 1), 0)

    def change(worker: int) -> None:
        store = nodes[worker % 2]
        for turn in range(30):
            image_id = f"{(worker + turn) % 4}"
            store.replace(image_id, features(worker * 40 + turn + 10), 0)
            store.set_label(image_id, f"{worker}")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(change, range(4)))
    assert nodes[0].count() == 4


def test_another_history_is_seen_after_tables_were_restored(
    nodes: list[ImageStore], url: str
) -> None:
    before = nodes[0].position().history
    assert nodes[1].position().history == before
    with psycopg.connect(url) as connection:  # as pg_restore --clean does
        connection.execute("SET search_path TO snoopsync")
        connection.execute("CREATE TABLE copy (LIKE image INCLUDING ALL)")
        connection.execute("DROP TABLE image")
        connection.execute("ALTER TABLE copy RENAME TO image")
    assert nodes[0].position().history == nodes[1].position().history != before


def test_a_restored_backup_of_another_database_mixes_up_no_collections(
    cluster: Cluster, url: str
) -> None:
    """There, the collections have other numbers, because they were created in another order."""
    elsewhere = cluster.new_database()
    with (
        closing(PostgresHosting(url)) as hosting,
        closing(PostgresHosting(elsewhere)) as other,
    ):
        keys = {name: hosting.add_key(name).public_key for name in ("one", "two")}
        collections = hosting.collections()
        stores = {each.name: hosting.images(each) for each in collections}
        for each in reversed(collections):
            other.insert_collection(each)
            other.images(each).add(f"an image of {each.name}", features(1), 10)
        other.insert_keys(hosting.all_keys())
        dump = cluster.directory / "dump"
        cluster.run("pg_dump", "--format=custom", f"--file={dump}", elsewhere)
        how = ("--clean", "--if-exists", "--single-transaction")
        cluster.run("pg_restore", *how, f"--dbname={url}", dump)
        for name, store in stores.items():
            assert hosting.collection_for(keys[name]) is not None  # as for each request
            assert [each.image_id for each in store.page(None, 9)] == [f"an image of {name}"]


def test_a_collection_that_is_gone_is_an_error_and_no_missing_image(
    nodes: list[ImageStore], url: str
) -> None:
    """A client takes a missing image for one that it has deleted."""
    nodes[0].add("a", features(1), 10)
    with psycopg.connect(url) as connection:
        connection.execute("TRUNCATE snoopsync.collection CASCADE")
    for call in (
        nodes[0].position,
        lambda: nodes[0].add("b", features(2), 20),
        lambda: nodes[0].remove("a"),
    ):
        with pytest.raises(Unavailable, match="no longer in the database"):
            call()


def test_codes_are_read_in_blocks_without_loss(
    nodes: list[ImageStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codes, "_BLOCK_BYTES", 200)
    for number in range(1, 8):
        nodes[0].add(f"{number}", features(number), number)
    blocks = list(nodes[1].codes_after(2, FEED_VERSION))
    assert len(blocks) > 1
    assert [mark for block in blocks for mark in array("q", block.marks)] == [3, 4, 5, 6, 7]
    wanted = b"".join(features(number).codes[:32] for number in range(3, 8))
    assert b"".join(block.codes for block in blocks) == wanted
