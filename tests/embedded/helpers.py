"""Helpers for the tests of the embedded collection."""

from __future__ import annotations

import io
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
from PIL import Image

from snoopsync.decoding import pdq
from snoopsync.decoding.features import CODE_BYTES, FORM_COUNT, SIDE, Features, Thumbnail
from snoopsync.embedded import EmbeddedCollection
from snoopsync.embedded.alignment import Luma
from snoopsync.embedded.hamming import Codes
from snoopsync.embedded.sketches import grouped, sketches_of
from tests.support.pictures import encode, photo

SMALL = (96, 72)
PICTURES = [encode(photo(seed, SMALL)) for seed in range(4)]


def add(collection: EmbeddedCollection, image_id: str, picture: int = 0) -> None:
    """Add one of ``PICTURES``."""
    collection.add_image(io.BytesIO(PICTURES[picture]), image_id)


def ids(collection: EmbeddedCollection) -> list[str]:
    """The IDs of all images, newest first."""
    return [image["id"] for image in collection.images()]


def found(collection: EmbeddedCollection, picture: int) -> list[str]:
    """The IDs that a search for one of ``PICTURES`` finds."""
    answer = collection.search_images(io.BytesIO(PICTURES[picture]))
    return [match["id"] for match in answer["results"]]


def in_another_process(database: Path, statement: str) -> str:
    """The output of a statement in another process, where ``c`` is the same collection."""
    script = (
        "import io, sys; from pathlib import Path; from snoopsync.embedded import"
        f" open_embedded; c = open_embedded(Path(sys.argv[1])); {statement}; c.close()"
    )
    command = [sys.executable, "-c", script, str(database)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def make_outdated(database: Path, *image_ids: str) -> None:
    """Turn a closed collection's file into one that the previous version left; with IDs, only make
    that version the one that described these images."""
    with closing(sqlite3.connect(database)) as connection:
        if image_ids:
            marks = ", ".join("?" * len(image_ids))
            connection.execute(f"UPDATE image SET feed = 1 WHERE id IN ({marks})", image_ids)
        else:
            connection.execute("UPDATE image SET feed = 1")
            connection.execute("ALTER TABLE image DROP COLUMN regions")
            connection.execute("ALTER TABLE image DROP COLUMN label")
            connection.execute("ALTER TABLE collection DROP COLUMN changes")
            connection.execute("DROP INDEX image_by_mark")
            connection.execute("DROP INDEX image_by_feed")
            connection.execute("ALTER TABLE image DROP COLUMN mark")
            connection.execute("ALTER TABLE image DROP COLUMN evidence")
            for column in ("alpha", "inside", "frames"):
                connection.execute(f"ALTER TABLE small DROP COLUMN {column}")
            connection.execute("PRAGMA user_version = 2")
        connection.commit()


RADIUS = 75


def random_codes(seed: int, count: int) -> Codes:
    return np.random.default_rng(seed).integers(0, 256, (count, 32), dtype=np.uint8)


def forms(seed: int) -> Codes:
    """The codes of the eight forms of a picture."""
    luma = np.random.default_rng(seed).integers(0, 256, (pdq.SIDE, pdq.SIDE)).astype(np.float64)
    return np.frombuffer(pdq.eight_codes(luma), np.uint8).reshape(-1, CODE_BYTES)


def brute_force_of_variants(
    codes: Codes, variants: Codes, radius: int
) -> set[tuple[int, int, int]]:
    """What a search for variants finds, bit by bit: the position of the code, the position of the
    variant, and their distance."""
    hits = set()
    for group in grouped(sketches_of(variants)):
        common, sketch = int(group.common), int(group.sketch)
        for at, code in enumerate(codes):
            if ((coarse_bits(code) ^ sketch) & common).bit_count() > group.reach:
                continue
            for number in group.numbers.tolist():
                bits = int(np.bitwise_count(code ^ variants[number]).sum(dtype=np.int64))
                if bits <= radius:
                    hits.add((at, number, bits))
    return hits


def coarse_bits(code: Codes) -> int:
    """The sketch of a code: every other one of its first 16 bytes."""
    return int.from_bytes(code[0:16:2].tobytes(), sys.byteorder)


def features(number: int) -> Features:
    """Features of a picture that no two numbers share, without evidence."""
    return Features(
        sha256=number.to_bytes(32),
        size_bytes=1000 + number,
        kind="PNG",
        width=40,
        height=30,
        digest=number.to_bytes(16),
        quality=50,
        codes=bytes([number]) * (FORM_COUNT * CODE_BYTES),
        trimmed=b"",
        thumbnail=Thumbnail(bytes([number]) * (SIDE * SIDE), b""),
    )


def luma(picture: Image.Image) -> Luma:
    """The picture as 64 x 64 shades of grey."""
    small = picture.convert("L").resize((64, 64), Image.Resampling.BILINEAR)
    return np.asarray(small, np.float64)
