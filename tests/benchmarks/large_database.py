"""A large collection in SQLite and in PostgreSQL: the start of a node, searches, changes, memory.

``python -m tests.benchmarks.large_database --pictures 1000000``. Both have the same random codes,
and commit durably. Each has a process of its own, and they are asked in turns.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import psycopg

from snoopsync.server.storage import Location, open_hosting
from snoopsync.storage.images import ImageStore
from snoopsync.storage.sqlite.registry import collection_path
from tests.benchmarks.installation import ENVIRONMENT
from tests.benchmarks.large import features
from tests.benchmarks.measuring import percentile, processor_seconds, ratio, table
from tests.support.many_images import COLUMNS, fill_sqlite, random_rows
from tests.support.postgres import Cluster, running_cluster

_MEBIBYTE = 1024 * 1024
_SEARCHES = 100
_CHANGES = 300

#: Of a node that serves many clients at once.
_THREADS = 4
_BURST_SECONDS = 5.0

_NOW = 1_900_000_000_000_000


@dataclass
class Engine:
    """One of both, filled. ``disk_bytes``: without write-ahead logs."""

    name: str
    location: Location
    load_seconds: float
    disk_bytes: int
    start_seconds: float = 0.0
    start_processor_seconds: float = 0.0
    memory_bytes: int = 0
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def row(self) -> tuple[str, ...]:
        """For the table."""
        searches = self.seconds["search"]
        return (
            self.name,
            f"{self.load_seconds:.0f}",
            f"{self.start_seconds:.1f}",
            f"{self.start_processor_seconds:.1f}",
            *_milliseconds(searches, 50, 95),
            *(_milliseconds(self.seconds[call], 50)[0] for call in _Node.CHANGES),
            f"{self.memory_bytes / _MEBIBYTE:.0f}",
            f"{self.disk_bytes / _MEBIBYTE:.0f}",
        )


def _milliseconds(seconds: list[float], *percents: int) -> list[str]:
    return [f"{1000 * percentile(seconds, percent):.1f}" for percent in percents]


def measure(root: Path, pictures: int) -> None:
    """Print the figures."""
    with ExitStack() as stack:
        cluster = stack.enter_context(running_cluster(max_wal_size="4GB"))
        engines = [_sqlite(root / "sqlite", pictures), _postgres(cluster, root, pictures)]
        cluster.execute("CHECKPOINT")
        nodes = [stack.enter_context(_process(engine)) for engine in engines]
        for engine, node in zip(engines, nodes, strict=True):
            engine.start_seconds = _ask(node, "start")
            engine.start_processor_seconds = processor_seconds(node.pid)
            engine.memory_bytes = psutil.Process(node.pid).memory_info().rss
        for call, count in (("search", _SEARCHES), ("add", _CHANGES), ("remove", _CHANGES)):
            for _ in range(count):
                for engine, node in zip(engines, nodes, strict=True):
                    engine.seconds.setdefault(call, []).append(_ask(node, call))
        head = (
            *("", "load s", "start s", "CPU s", "search ms", "p95", "add ms", "delete ms"),
            *("memory MiB", "disk MiB"),
        )
        title = f"{pictures} pictures; load {os.getloadavg()[0]:.1f}"
        table(title, head, [engine.row() for engine in engines])
        own, baseline = (engine.seconds["search"] for engine in reversed(engines))
        print(f"search, PostgreSQL / SQLite: {ratio(own, baseline):.2f}")
        other = stack.enter_context(_process(engines[1]))
        for node in (nodes[1], other):
            _send(node, "burst")
        counts = [_answer(node) for node in (nodes[1], other)]
        print(f"two nodes add {sum(counts) / _BURST_SECONDS:.0f} images a second")


def _sqlite(data: Path, pictures: int) -> Engine:
    location = Location(data)
    with open_hosting(location) as hosting:
        key = hosting.add_key("pictures")
        hosting.images(hosting.collections()[0]).close()
    path = collection_path(data, key.collection_id)
    began = time.perf_counter()
    fill_sqlite(path, pictures)
    return Engine("SQLite", location, time.perf_counter() - began, path.stat().st_size)


def _postgres(cluster: Cluster, root: Path, pictures: int) -> Engine:
    url = cluster.new_database()
    location = Location(root / "node", url)
    with open_hosting(location) as hosting:
        hosting.add_key("pictures")
    began = time.perf_counter()
    names = ", ".join(("collection", "mark", *COLUMNS))
    with psycopg.connect(url) as connection:
        connection.execute("SET search_path TO snoopsync")
        with connection.cursor().copy(f"COPY image ({names}) FROM STDIN") as copy:
            for block in random_rows(pictures):
                for moment, image_id, *others in block:
                    copy.write_row((1, moment, moment, image_id.encode(), *others))
        connection.execute("UPDATE collection SET (moment, changes) = (%s, %s)", [pictures] * 2)
    seconds = time.perf_counter() - began
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        query = "SELECT pg_total_relation_size('snoopsync.image')"
        [size] = connection.execute(query).fetchone() or [0]
    return Engine("PostgreSQL", location, seconds, size)


# The process of a node.


@contextmanager
def _process(engine: Engine) -> Iterator[subprocess.Popen[str]]:
    location = engine.location
    given = (str(location.data), location.database or "")
    with subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.large_database", "--node", *given],
        # Threads of OpenBLAS would go on turning for a while, in the other's time.
        env=ENVIRONMENT | {"OMP_WAIT_POLICY": "passive"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def _ask(node: subprocess.Popen[str], call: str) -> float:
    _send(node, call)
    return _answer(node)


def _send(node: subprocess.Popen[str], call: str) -> None:
    assert node.stdin is not None
    node.stdin.write(f"{call}\n")
    node.stdin.flush()


def _answer(node: subprocess.Popen[str]) -> float:
    assert node.stdout is not None
    return float(node.stdout.readline())


class _Node:
    """What a node does, without HTTP and without pictures: with features of random codes."""

    CHANGES = ("add", "remove")

    def __init__(self, store: ImageStore) -> None:
        # Imported here, as the start of a node does.
        from snoopsync.embedded.search import SimilaritySearch

        self._store = store
        self._search = SimilaritySearch(store)
        self._dice = np.random.default_rng(os.getpid())
        self._added: list[str] = []

    def start(self) -> float:
        return self.search()

    def search(self) -> float:
        asked = features(self._dice)
        return _seconds(lambda: self._search.matches(asked))

    def add(self) -> float:
        image_id, new = f"added.{len(self._added)}", features(self._dice)
        self._added.append(image_id)
        return _seconds(lambda: self._store.add(image_id, new, _NOW))

    def remove(self) -> float:
        image_id = self._added.pop()
        return _seconds(lambda: self._store.remove(image_id))

    def burst(self) -> float:
        """The number of images that some threads add at once."""
        new, counts = features(self._dice), [0] * _THREADS
        over = time.monotonic() + _BURST_SECONDS

        def work(thread: int) -> None:
            while time.monotonic() < over:
                self._store.add(f"{os.getpid()}.{thread}.{counts[thread]}", new, _NOW)
                counts[thread] += 1

        threads = [threading.Thread(target=work, args=(number,)) for number in range(_THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return float(sum(counts))


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _serve(location: Location) -> None:
    """Answer the calls on standard input. The first answer includes opening the database."""
    began = time.perf_counter()
    with open_hosting(location) as hosting:
        node = _Node(hosting.images(hosting.collections()[0]))
        opened = time.perf_counter() - began
        for line in sys.stdin:
            figure = getattr(node, line.strip())()
            if line.strip() == "start":
                figure += opened
            sys.stdout.write(f"{figure}\n")
            sys.stdout.flush()


def main() -> None:
    """From the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.large_database")
    parser.add_argument("--pictures", type=int, default=1_000_000)
    parser.add_argument("--dir", type=Path, help="where to work")
    parser.add_argument("--node", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.node:
        _serve(Location(Path(given.node[0]), given.node[1] or None))
        return
    with tempfile.TemporaryDirectory(dir=given.dir) as root:
        measure(Path(root), given.pictures)


if __name__ == "__main__":
    main()
