"""Words for the tests of the embedded collection."""

from __future__ import annotations

import io
import sqlite3
from contextlib import closing
from pathlib import Path

from snoopsync.embedded.decode import features_of
from snoopsync.embedded.features import CODE_BYTES, Features
from snoopsync.embedded.source import read_body


def look(data: bytes) -> Features:
    """The features of a picture in these bytes."""
    return features_of(read_body(io.BytesIO(data)))


def as_the_version_before(database: Path, *image_ids: str) -> None:
    """Make a closed collection's file what the version before would have left; with IDs, only have
    these images described by it, in a file of today's."""
    with closing(sqlite3.connect(database)) as before:
        if image_ids:
            marks = ", ".join("?" * len(image_ids))
            before.execute(f"UPDATE image SET feed = 1 WHERE id IN ({marks})", image_ids)
        else:
            before.execute("UPDATE image SET feed = 1")
            before.execute("DROP INDEX image_by_mark")
            before.execute("DROP INDEX image_by_feed")
            before.execute("ALTER TABLE image DROP COLUMN mark")
            before.execute("ALTER TABLE image DROP COLUMN evidence")
            for column in ("alpha", "inside", "frames"):
                before.execute(f"ALTER TABLE small DROP COLUMN {column}")
            before.execute("PRAGMA user_version = 2")
        before.commit()


def distance(one: Features, other: Features) -> int:
    """Bits between two pictures: of any form of the one, and the other as it is."""
    stored = other.codes[:CODE_BYTES]
    return min(
        (int.from_bytes(one.codes[at : at + CODE_BYTES]) ^ int.from_bytes(stored)).bit_count()
        for at in range(0, len(one.codes), CODE_BYTES)
    )
