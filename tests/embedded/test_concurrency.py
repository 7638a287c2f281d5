"""Several threads, collections and processes use one file at the same time."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from snoopsync.core.errors import Conflict
from snoopsync.embedded import EmbeddedCollection, open_embedded
from tests.embedded.helpers import PICTURES, SMALL, add, found, ids, in_another_process
from tests.support.paths import ROOT
from tests.support.pictures import encode, photo


def test_two_processes_see_each_others_changes(
    collection: EmbeddedCollection, database: Path, tmp_path: Path
) -> None:
    add(collection, "a", 0)
    assert found(collection, 0) == ["a"]
    picture = tmp_path / "picture.jpg"
    picture.write_bytes(PICTURES[1])
    seen = in_another_process(
        database,
        f"print(c.id, [i['id'] for i in c.images()]); c.add_image({str(picture)!r}, 'b');"
        f" c.add_image({str(picture)!r}, 'a', update_existing=True)",
    )
    assert seen == f"{collection.id} ['a']\n"
    assert found(collection, 0) == []
    assert found(collection, 1) == ["a", "b"]
    in_another_process(database, "c.delete_image('b')")
    assert found(collection, 1) == ["a"]


def test_two_collections_on_one_file_see_each_others_changes(
    collection: EmbeddedCollection, database: Path
) -> None:
    other = open_embedded(database)
    try:
        for picture in range(4):
            add(collection, f"{picture}", picture)
            # Not the same bytes: the table alone finds these.
            rough = encode(photo(picture, SMALL), quality=50)
            (match,) = other.search_images(io.BytesIO(rough))["results"]
            assert match["id"] == f"{picture}"
            assert match["rank"] > 0
        other.delete_image("2")
        assert found(collection, 2) == []
        with pytest.raises(Conflict):
            add(other, "1")
    finally:
        other.close()


def test_threads_can_add_search_and_delete_at_once(collection: EmbeddedCollection) -> None:
    def work(thread: int) -> None:
        for turn in range(8):
            image_id = f"{thread}.{turn}"
            add(collection, image_id, turn % 4)
            assert image_id in found(collection, turn % 4)
            list(collection.images())
            if turn % 2:
                collection.delete_image(image_id)
                assert image_id not in found(collection, turn % 4)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work, thread) for thread in range(4)]:
            done.result()
    assert sorted(ids(collection)) == [f"{t}.{n}" for t in range(4) for n in (0, 2, 4, 6)]
    assert found(collection, 1) == found(collection, 3) == []


def test_of_many_threads_that_add_one_id_exactly_one_succeeds(
    collection: EmbeddedCollection,
) -> None:
    start = threading.Barrier(4)

    def work() -> bool:
        start.wait()
        try:
            add(collection, "a")
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        outcomes = [done.result() for done in [pool.submit(work) for _ in range(4)]]
    assert sorted(outcomes) == [False, False, False, True]


_ADDING = """
import itertools, os, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from snoopsync.storage.sqlite.images import SqliteImageStore
from tests.embedded.helpers import features

store = SqliteImageStore(Path(sys.argv[1]), lambda: "c")

def add(number):
    store.add(str(number), features(number % 200), 1)
    os.write(1, b"%d\\n" % number)

with ThreadPoolExecutor(8) as pool:
    for _ in pool.map(add, range(100_000)):
        pass
"""


@pytest.mark.integration
@pytest.mark.parametrize("answers", [1, 10, 100, 400])
def test_a_kill_loses_no_image_that_was_answered(database: Path, answers: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _ADDING, database], stdout=subprocess.PIPE, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        answered = [process.stdout.readline() for _ in range(answers)]
        process.kill()
        answered += process.stdout.readlines()
    assert process.returncode == -signal.SIGKILL
    with closing(open_embedded(database)) as collection:
        stored = set(ids(collection))
    assert len(answered) >= answers
    assert {line.decode().strip() for line in answered if line.endswith(b"\n")} <= stored
