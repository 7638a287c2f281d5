"""Measures how long it takes to add pictures, compared with only decoding them."""

from __future__ import annotations

import io
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path

from PIL import Image

from snoopsync.client.collection import Collection
from snoopsync.embedded import open_embedded
from tests.benchmarks.measuring import interleaved, ratio, table
from tests.support.hosted import hosted_process
from tests.support.pictures import encode, photo
from tests.support.process import Installation

_SIZES = {"0.3 MP": (640, 480), "12 MP": (4000, 3000)}
_PICTURES = {"0.3 MP": 120, "12 MP": 16}
_WORKERS = 2

#: The smallest side, in pixels, that a picture is shrunk to while it is decoded.
_SIDE = 256

Work = Callable[[bytes], object]


def measure(root: Path, *, rounds: int) -> None:
    """Print how long a picture takes, in this process and over HTTP, one and two at a time, and the
    ratio to only decoding the same bytes in the same way."""
    folder = root / "adding"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rows = []
    for name, size in _SIZES.items():
        pictures = [encode(photo(seed, size), quality=90) for seed in range(_PICTURES[name])]
        with _embedded(folder / f"{name}.sqlite3") as add, _served(folder, name) as send:
            works: dict[str, Work] = {"decode": _decode, "embedded": add, "over HTTP": send}
            counters = {
                f"{way}, {workers} at a time": _pass(work, pictures, workers)
                for workers in (1, _WORKERS)
                for way, work in works.items()
            }
            taken = interleaved(counters, rounds)
        for way, seconds in taken.items():
            bare = taken["decode," + way.partition(",")[2]]
            each = statistics.median(seconds) / len(pictures)
            rows.append(
                (name, way, f"{1000 * each:.1f}", f"{1 / each:.0f}", f"{ratio(seconds, bare):.2f}")
            )
    table("adding pictures", ("", "", "ms each", "per second", "ratio to decoding"), rows)


def _pass(work: Work, pictures: Sequence[bytes], workers: int) -> Callable[[], float]:
    def timed() -> float:
        with ThreadPoolExecutor(workers) as pool:
            started = time.perf_counter()
            for _ in pool.map(work, pictures):
                pass
            return time.perf_counter() - started

    return timed


def _decode(data: bytes) -> object:
    image = Image.open(io.BytesIO(data))
    image.draft(None, (_SIDE, _SIDE))
    return image.load()


@contextmanager
def _embedded(path: Path) -> Iterator[Work]:
    numbers = count()
    with closing(open_embedded(path)) as collection:
        yield lambda data: collection.add_image(io.BytesIO(data), f"{next(numbers)}")


def _make_folder(folder: Path) -> Path:
    folder.mkdir()
    return folder


@contextmanager
def _served(folder: Path, name: str) -> Iterator[Work]:
    home = Installation(_make_folder(folder / f"home of {name}"))
    data = folder / f"served {name}"
    (key,) = home.json("keys", "add", name, "--data", data, "--json")
    numbers = count()
    with (
        hosted_process(home, data, "--workers", str(_WORKERS)) as (_, endpoint),
        closing(Collection(key["public_key"], key["secret_key"], endpoint)) as client,
    ):
        yield lambda data: client.add_image(io.BytesIO(data), f"{next(numbers)}")
