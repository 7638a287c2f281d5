"""A large collection: the time until it can be searched, its memory, searches, changes."""

from __future__ import annotations

import gc
import importlib.util
import json
import random
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from snoopsync.decoding import pdq
from snoopsync.decoding.features import CODE_BYTES, FEED_VERSION, Features
from snoopsync.embedded import index
from snoopsync.embedded.search import SimilaritySearch
from snoopsync.storage.sqlite.images import SqliteImageStore
from tests.benchmarks.installation import ENVIRONMENT
from tests.benchmarks.measuring import percentile, table

_MEBIBYTE = 1024 * 1024
_CHUNK_ROWS = 20_000
_TRIMMED_SHARE = 0.1

#: The columns of a row of ``rows``.
COLUMNS = (
    *("moment", "id", "sha256", "size_bytes", "kind", "width", "height", "feed", "thumbnail"),
    *("quality", "codes", "trimmed"),
)
_SEARCHES = 100
_CHANGES = 2_000


def measure(root: Path, *, pictures: int) -> None:
    """Print the figures: of opening and searching, from a process of its own."""
    path = root / f"large-{pictures}.sqlite3"
    if not path.exists():
        _fill(path, pictures)
    command = (sys.executable, "-m", "tests.benchmarks.large", str(path))
    # Else faiss's threads go on turning for a while when they are done, in the other's time.
    environment = ENVIRONMENT | {"OMP_WAIT_POLICY": "passive"}
    done = subprocess.run(command, capture_output=True, check=True, env=environment)
    head = ("start s", "index MiB", "RSS MiB", "search ms", "p95", "faiss ms", "p95")
    title = f"{pictures} pictures: until the first search is answered, and searches"
    table(title, head, [json.loads(done.stdout)])
    _measure_changes(pictures)


def _fill(path: Path, pictures: int) -> None:
    SqliteImageStore(path, lambda: "benchmark").close()
    fill_sqlite(path, pictures)


def fill_sqlite(path: Path, pictures: int) -> None:
    """Add random codes to an empty collection."""
    insert = f"INSERT INTO image ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
    with closing(sqlite3.connect(path)) as connection:
        for block in rows(pictures):
            connection.executemany(insert, block)
            connection.commit()
        connection.execute("UPDATE collection SET (moment, changes) = (?, ?)", [pictures] * 2)
        connection.commit()


def rows(pictures: int) -> Iterator[list[tuple[Any, ...]]]:
    """The values of ``COLUMNS``, in blocks. The thumbnails, by which only matches are compared, are
    left out."""
    dice = np.random.default_rng(1)
    for start in range(0, pictures, _CHUNK_ROWS):
        count = min(_CHUNK_ROWS, pictures - start)
        codes = dice.integers(0, 256, (count, 8 * CODE_BYTES), np.uint8)
        trimmed = dice.integers(0, 256, (count, 8 * CODE_BYTES), np.uint8)
        has_border = dice.random(count) < _TRIMMED_SHARE
        yield [
            (
                *(start + row + 1, f"owner.{start + row:027d}", codes[row, :32].tobytes()),
                *(100_000, "JPEG", 640, 480, FEED_VERSION, codes[row, 32:48].tobytes(), 80),
                codes[row].tobytes(),
                trimmed[row].tobytes() if has_border[row] else b"",
            )
            for row in range(count)
        ]


def _searched(path: Path) -> None:
    """In a process of its own: write the figures to standard output."""
    process = psutil.Process()
    dice = np.random.default_rng(2)
    with closing(SqliteImageStore(path, lambda: "benchmark")) as store:
        search = SimilaritySearch(store)
        plain = features(dice)
        started = time.perf_counter()
        search.matches(plain)
        start = time.perf_counter() - started
        size, memory = (
            search.size_bytes,
            process.memory_info().rss,
        )
        times, others = _times(lambda: search.matches(features(dice)), _by_faiss(len(search), dice))
        figures = (
            f"{start:.1f}",
            f"{size / _MEBIBYTE:.0f}",
            f"{memory / _MEBIBYTE:.0f}",
            *_milliseconds(times),
            *_milliseconds(others),
        )
    sys.stdout.write(json.dumps(figures))


def _by_faiss(count: int, dice: np.random.Generator) -> Callable[[], object] | None:
    """The nearest codes to sixteen, as faiss finds them in as many codes, if it is installed."""
    if importlib.util.find_spec("faiss") is None:
        return None
    faiss = importlib.import_module("faiss")
    flat = faiss.IndexBinaryFlat(8 * CODE_BYTES)
    flat.add(dice.integers(0, 256, (count, CODE_BYTES), np.uint8))
    queries = dice.integers(0, 256, (16, CODE_BYTES), np.uint8)
    return lambda: flat.search(queries, 10)


def _times(*works: Callable[[], object] | None) -> list[list[float]]:
    """How long each takes, in turns."""
    taken: list[list[float]] = [[] for _ in works]
    gc.collect()
    for _ in range(_SEARCHES):
        for work, times in zip(works, taken, strict=True):
            if work is not None:
                started = time.perf_counter()
                work()
                times.append(time.perf_counter() - started)
    return taken


def _milliseconds(times: list[float]) -> tuple[str, str]:
    if not times:
        return "-", "-"
    return f"{1000 * statistics.median(times):.1f}", f"{1000 * percentile(times, 95):.1f}"


def features(dice: np.random.Generator) -> Features:
    """A picture with a border: of 16 codes, and no variants."""
    return Features(
        sha256=dice.bytes(32),
        size_bytes=100_000,
        kind="JPEG",
        width=640,
        height=480,
        digest=dice.bytes(16),
        quality=80,
        codes=_forms(dice),
        trimmed=_forms(dice),
        thumbnail=None,
    )


def _forms(dice: np.random.Generator) -> bytes:
    """The codes of a picture in its eight forms."""
    return pdq.eight_codes(dice.random((pdq.SIDE, pdq.SIDE)) * 255)


def _measure_changes(pictures: int) -> None:
    """A code more and one less, in a small index and in a large one."""
    rows = []
    for count in (10_000, pictures):
        codes = index.CodeIndex()
        dice = np.random.default_rng(3)
        codes.add(
            np.arange(count, dtype=np.int64), dice.integers(0, 256, (count, CODE_BYTES), np.uint8)
        )
        one = dice.integers(0, 256, (1, CODE_BYTES), np.uint8)
        added, removed = [], []
        victims = random.Random(4).sample(range(count), _CHANGES)
        for number, victim in enumerate(victims):
            key = np.array([count + number], np.int64)
            begun = time.perf_counter()
            codes.add(key, one)
            middle = time.perf_counter()
            codes.remove(victim)
            added.append(middle - begun)
            removed.append(time.perf_counter() - middle)
        rows.append((str(count), _micro(added), _micro(removed)))
    table("changes of the index, microseconds (p50, p95)", ("codes", "add", "remove"), rows)


def _micro(times: list[float]) -> str:
    return f"{1e6 * statistics.median(times):.0f}, {1e6 * percentile(times, 95):.0f}"


if __name__ == "__main__":
    _searched(Path(sys.argv[1]))
