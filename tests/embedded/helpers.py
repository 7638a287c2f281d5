"""Helpers for the tests of the embedded collection."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path


def make_outdated(database: Path, *image_ids: str) -> None:
    """Turn a closed collection's file into one that the previous version left; with IDs, only make
    that version the one that described these images."""
    with closing(sqlite3.connect(database)) as connection:
        if image_ids:
            marks = ", ".join("?" * len(image_ids))
            connection.execute(f"UPDATE image SET feed = 1 WHERE id IN ({marks})", image_ids)
        else:
            connection.execute("UPDATE image SET feed = 1")
            connection.execute("DROP INDEX image_by_mark")
            connection.execute("DROP INDEX image_by_feed")
            connection.execute("ALTER TABLE image DROP COLUMN mark")
            connection.execute("ALTER TABLE image DROP COLUMN evidence")
            for column in ("alpha", "inside", "frames"):
                connection.execute(f"ALTER TABLE small DROP COLUMN {column}")
            connection.execute("PRAGMA user_version = 2")
        connection.commit()
