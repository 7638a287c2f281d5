"""A large collection: the time until it can be searched, its memory, searches, changes."""

from __future__ import annotations

import gc
import importlib.util
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil

from snoopsync.decoding import pdq
from snoopsync.decoding.features import CODE_BYTES, MAX_REGIONS, REGION_BYTES, Features, Thumbnail
from snoopsync.embedded import index
from snoopsync.embedded.search import SimilaritySearch
from snoopsync.storage.sqlite.images import SqliteImageStore
from tests.benchmarks.installation import ENVIRONMENT
from tests.benchmarks.measuring import percentile, table
from tests.support.many_images import random_images
from tests.support.pictures import photo

_MEBIBYTE = 1024 * 1024
_SEARCHES = 100
_CHANGES = 2_000


def measure(root: Path, *, pictures: int) -> None:
    """Print the figures: of opening and searching, from a process of its own."""
    path = random_images(root, pictures)
    command = (sys.executable, "-m", "tests.benchmarks.large", str(path))
    # Else faiss's threads go on turning for a while when they are done, in the other's time.
    environment = ENVIRONMENT | {"OMP_WAIT_POLICY": "passive"}
    done = subprocess.run(command, capture_output=True, check=True, env=environment)
    names = ("search ms", "with variants ms", "faiss ms")
    search = [part for name in names for part in (name, "p95", "CPU ms")]
    head = ("start s", "index MiB", "RSS MiB", *search)
    title = f"{pictures} pictures: until the first search is answered, and searches"
    table(title, head, [json.loads(done.stdout)])
    _measure_changes(pictures)


def _searched(path: Path) -> None:
    """In a process of its own: write the figures to standard output."""
    process = psutil.Process()
    dice = np.random.default_rng(2)
    with closing(SqliteImageStore(path, lambda: "benchmark")) as store:
        search = SimilaritySearch(store)
        plain = features(dice)
        photographs = iter([_of_photograph(number, dice) for number in range(_SEARCHES)])
        started = time.perf_counter()
        search.matches(plain)
        start = time.perf_counter() - started
        size, memory = (
            search.size_bytes,
            process.memory_info().rss,
        )
        plain_times, times, others = _times(
            lambda: search.matches(features(dice)),
            lambda: search.matches(next(photographs)),
            _by_faiss(len(search), dice),
        )
        figures = (
            f"{start:.1f}",
            f"{size / _MEBIBYTE:.0f}",
            f"{memory / _MEBIBYTE:.0f}",
            *_milliseconds(plain_times),
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


def _times(*works: Callable[[], object] | None) -> list[list[tuple[float, float]]]:
    """How long each takes, in turns: seconds, and those of all processors."""
    taken: list[list[tuple[float, float]]] = [[] for _ in works]
    gc.collect()
    for _ in range(_SEARCHES):
        for work, times in zip(works, taken, strict=True):
            if work is not None:
                started, used = time.perf_counter(), time.process_time()
                work()
                times.append((time.perf_counter() - started, time.process_time() - used))
    return taken


def _milliseconds(times: list[tuple[float, float]]) -> tuple[str, str, str]:
    if not times:
        return "-", "-", "-"
    wall, used = zip(*times, strict=True)
    figures = statistics.median(wall), percentile(wall, 95), statistics.median(used)
    median, most, processors = (f"{1000 * seconds:.1f}" for seconds in figures)
    return median, most, processors


def features(dice: np.random.Generator) -> Features:
    """A picture with a border: of 16 codes, no variants, and random regions."""
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
        regions=dice.bytes(MAX_REGIONS * REGION_BYTES),
    )


def _of_photograph(number: int, dice: np.random.Generator) -> Features:
    """A drawn photograph with a border, whose variants are searched for too."""
    grey = photo(number, (pdq.SIDE, pdq.SIDE)).convert("L")
    thumbnail = Thumbnail(grey.tobytes(), b"")
    codes = pdq.eight_codes(np.asarray(grey, np.float64))
    return replace(features(dice), codes=codes, thumbnail=thumbnail)


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
