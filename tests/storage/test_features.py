"""Features as rows of the database."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from snoopsync.decoding.evidence import FileEvidence
from snoopsync.decoding.features import Features, Thumbnail
from snoopsync.storage.features import (
    FEATURES_COLUMNS,
    IMAGE_COLUMNS,
    SMALL_COLUMNS,
    features_from,
    image_values,
    small_values,
)
from snoopsync.storage.sqlite.image_rows import FEATURES_TABLES
from snoopsync.storage.sqlite.schema import connect
from tests.embedded.helpers import features


@pytest.mark.parametrize(
    "given",
    [
        features(1),
        replace(features(1), thumbnail=None, evidence=None, codes=b"", trimmed=b""),
        replace(
            features(1),
            thumbnail=Thumbnail(b"grey", b"colour", b"alpha", b"inner"),
            frames=7,
            evidence=FileEvidence(camera=True, jpeg_quality=90, resaved=True),
        ),
    ],
    ids=["plain", "of an older version", "complete"],
)
def test_features_are_read_as_they_were_stored(given: Features, tmp_path: Path) -> None:
    with closing(connect(tmp_path / "c.sqlite3", 1.0)) as connection:
        insert(
            connection, "image", ("moment", "id", *IMAGE_COLUMNS), [5, "a", *image_values(given)]
        )
        small = small_values(given)
        assert (small is None) == (given.thumbnail is None)
        if small is not None:
            insert(connection, "small", ("moment", *SMALL_COLUMNS), [5, *small])
        row = connection.execute(f"SELECT {FEATURES_COLUMNS} FROM {FEATURES_TABLES}").fetchone()
    assert features_from(row) == given


def insert(
    connection: sqlite3.Connection, table: str, columns: tuple[str, ...], values: list[object]
) -> None:
    places = ", ".join("?" * len(values))
    connection.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", values)
