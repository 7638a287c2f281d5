"""Embedded collections with any number of images, without the pictures."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np

from snoopsync.decoding.features import CODE_BYTES, FEED_VERSION, FORM_COUNT
from snoopsync.storage.sqlite.images import SqliteImageStore

#: How the IDs of the images begin.
OWNER = "owner."

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
    """Create the collection in this file, with images that have random codes. The codes of
    different photographs are as far apart as these. A tenth of the images has borders. The
    thumbnails, by which only matches are compared, are left out."""
    SqliteImageStore(path, lambda: "random").close()
    dice = np.random.default_rng(1)
    with closing(sqlite3.connect(path)) as connection:
        for start in range(0, count, _CHUNK_ROWS):
            rows = min(_CHUNK_ROWS, count - start)
            codes, trimmed = dice.integers(0, 256, (2, rows, FORM_COUNT * CODE_BYTES), np.uint8)
            has_border = dice.random(rows) < _TRIMMED_SHARE
            connection.executemany(
                "INSERT INTO image (moment, id, sha256, size_bytes, kind, width, height, feed,"
                " thumbnail, quality, codes, trimmed)"
                " VALUES (?, ?, ?, 100000, 'JPEG', 640, 480, ?, ?, 80, ?, ?)",
                [
                    (
                        start + row + 1,
                        f"{OWNER}{start + row:027d}",
                        codes[row, :32].tobytes(),
                        FEED_VERSION,
                        codes[row, 32:48].tobytes(),
                        codes[row].tobytes(),
                        trimmed[row].tobytes() if has_border[row] else b"",
                    )
                    for row in range(rows)
                ],
            )
            connection.commit()
