"""Embedded collections with any number of images, without the pictures."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from snoopsync.decoding.features import (
    CODE_BYTES,
    FEED_VERSION,
    FORM_COUNT,
    MAX_REGIONS,
    REGION_BYTES,
)
from snoopsync.storage.sqlite.images import SqliteImageStore

#: How the IDs of the images begin.
OWNER = "owner."

#: The columns of a row of ``random_rows``.
COLUMNS = (
    *("moment", "id", "sha256", "size_bytes", "kind", "width", "height", "feed", "thumbnail"),
    *("quality", "codes", "trimmed", "regions"),
)

_CHUNK_ROWS = 20_000
_TRIMMED_SHARE = 0.1


def random_images(folder: Path, count: int) -> Path:
    """The file of a collection with this many images, in this folder. Created once."""
    path = folder / f"random-{count}.sqlite3"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".unfinished")
        unfinished.unlink(missing_ok=True)
        add_random_images(unfinished, count)
        unfinished.rename(path)
    return path


def add_random_images(path: Path, count: int) -> None:
    """Create the collection in this file, with so many images of ``random_rows``."""
    SqliteImageStore(path, lambda: "random").close()
    fill_sqlite(path, count)


def fill_sqlite(path: Path, count: int) -> None:
    """Add so many images of ``random_rows`` to an empty collection."""
    insert = f"INSERT INTO image ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
    with closing(sqlite3.connect(path)) as connection:
        for block in random_rows(count):
            connection.executemany(insert, block)
            connection.commit()
        connection.execute("UPDATE collection SET (moment, changes) = (?, ?)", [count] * 2)
        connection.commit()


def random_rows(count: int) -> Iterator[list[tuple[Any, ...]]]:
    """The values of ``COLUMNS`` for so many images with random codes and regions, in blocks. Those
    of different photographs are as far apart as these. A tenth of the images has borders. The
    thumbnails, by which only matches are compared, are left out."""
    dice = np.random.default_rng(1)
    for start in range(0, count, _CHUNK_ROWS):
        rows = min(_CHUNK_ROWS, count - start)
        codes, trimmed = dice.integers(0, 256, (2, rows, FORM_COUNT * CODE_BYTES), np.uint8)
        regions = dice.integers(0, 256, (rows, MAX_REGIONS, REGION_BYTES), np.uint8)
        regions[:, :, 0] &= 0xFE  # the bit of the mean
        has_border = dice.random(rows) < _TRIMMED_SHARE
        yield [
            (
                *(start + row + 1, f"{OWNER}{start + row:027d}", codes[row, :32].tobytes()),
                *(100_000, "JPEG", 640, 480, FEED_VERSION, codes[row, 32:48].tobytes(), 80),
                codes[row].tobytes(),
                trimmed[row].tobytes() if has_border[row] else b"",
                regions[row].tobytes(),
            )
            for row in range(rows)
        ]
