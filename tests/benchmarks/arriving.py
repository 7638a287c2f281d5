"""Pictures that arrive together in a large collection: mirroring must not wait for the searches."""

from __future__ import annotations

import shutil
import statistics
import time
from contextlib import closing
from pathlib import Path

from snoopsync.state.database import Database
from snoopsync.state.images import Counts, State
from snoopsync.state.searches import Searches
from tests.benchmarks.installation import Installation, wait_until
from tests.benchmarks.measuring import processor_seconds, table
from tests.support.many_images import random_images
from tests.support.pictures import encode, photo

_SMALL = 10_000
_FILES = 400
_SIZE = (640, 480)


def measure(root: Path, *, pictures: int, rounds: int) -> None:
    """Print how long the service takes to mirror so many new pictures, and to search for all of
    them, with an embedded collection of this many random images and with a small one; also for a
    single new picture. The first round is not counted."""
    files = root / "arriving" / "files"
    if not files.exists():
        files.mkdir(parents=True)
        for number in range(_FILES + 1):
            (files / f"{number:05d}.jpg").write_bytes(encode(photo(number, _SIZE)))
    sizes = (_SMALL, pictures)
    taken: dict[int, list[tuple[float, ...]]] = {count: [] for count in sizes}
    for number in range(rounds + 1):
        for count in sizes:
            figures = _arrivals(root, files, count)
            if number:
                taken[count].append(figures)
    rows = [
        (str(count), *(f"{statistics.median(each):.2f}" for each in zip(*figures, strict=True)))
        for count, figures in taken.items()
        if figures
    ]
    head = ("images", "one searched s", "mirrored s", "searched s", "CPU s of the service")
    table(f"a new picture, and then {_FILES} that arrive together", head, rows)


def _arrivals(root: Path, files: Path, count: int) -> tuple[float, float, float, float]:
    """Seconds from the arrival of a single picture until its search is done; from the arrival of
    all others until they are mirrored, and until they are searched for; and the processor's time
    that the service takes for these."""
    work = root / "arriving" / "installation"
    shutil.rmtree(work, ignore_errors=True)
    folder, waiting = work / "folder", work / "waiting"
    folder.mkdir(parents=True)
    shutil.copytree(files, waiting, copy_function=shutil.copy)
    installation = Installation(work / "state", folder)
    installation.write()
    installation.collection.parent.mkdir(mode=0o700)
    shutil.copy(random_images(root, count), installation.collection)
    with installation.service() as service:
        started = time.monotonic()
        (waiting / f"{_FILES:05d}.jpg").rename(folder / "first.jpg")
        _wait_until_searched(installation, 1)
        alone = time.monotonic() - started
        before, started = processor_seconds(service.pid), time.monotonic()
        waiting.rename(folder / "together")
        _wait_until_mirrored(installation, 1 + _FILES)
        mirrored = time.monotonic() - started
        _wait_until_searched(installation, 1 + _FILES)
        searched = time.monotonic() - started
        used = processor_seconds(service.pid) - before
    return alone, mirrored, searched, used


def _wait_until_mirrored(installation: Installation, count: int) -> None:
    def mirrored() -> bool:
        with closing(Database(installation.state, readonly=True)) as database:
            counts = State(database).counts().get("photos", Counts())
        return counts.images == count and not counts.pending

    wait_until(mirrored, "mirrored")


def _wait_until_searched(installation: Installation, count: int) -> None:
    """Wait until so many pictures are mirrored and searched for."""

    def searched() -> bool:
        with closing(Database(installation.state, readonly=True)) as database:
            return Searches(database).count_due() == 0

    _wait_until_mirrored(installation, count)
    wait_until(searched, "searched for")
