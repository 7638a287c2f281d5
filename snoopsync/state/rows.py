"""Converts an image's row to the planner's ``Record``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from snoopsync.core.model import Fingerprint, Record, RelPath
from snoopsync.state.database import Database

#: A directory followed by this is the smallest path greater than every path below the directory,
#: since "0" comes after "/".
_AFTER_SLASH = b"0"

#: The condition that the deletion of an image is held, needs approval, or is approved and not done.
PENDING_DELETION = "(held OR approved OR needs_approval)"

#: The columns that ``record_of`` needs.
RECORD = (
    "image_id, folder, directory, name, inode, size, mtime_ns, ctime_ns, submount, sha256, dirty,"
    f" {PENDING_DELETION}"
)


def records(database: Database, condition: str, parameters: Sequence[Any]) -> list[Record]:
    """The records of the images that match the SQL condition."""
    rows = database.query(f"SELECT {RECORD} FROM image WHERE {condition}", parameters)
    return [record_of(row) for row in rows]


def record_of(row: Sequence[Any]) -> Record:
    """The record from the values of the columns ``RECORD``."""
    image_id, folder, directory, name, inode, size, mtime_ns, ctime_ns, *rest = row
    submount, sha256, dirty, marked_for_deletion = rest
    return Record(
        image_id,
        rel_path_of(folder, directory, name),
        Fingerprint(inode, size, mtime_ns, ctime_ns),
        submount,
        sha256,
        bool(dirty),
        bool(marked_for_deletion),
    )


def rel_path_of(folder: str, directory: bytes, name: bytes) -> RelPath:
    """The path of a row, which stores a directory and a name."""
    return RelPath(folder, directory + b"/" + name if directory else name)


def below_directory(directory: bytes) -> tuple[str, tuple[bytes, ...]]:
    """The SQL condition that an image is in this directory or below it, to append to another
    condition, and its parameters."""
    if not directory:
        return "", ()
    return (
        "AND (directory = ? OR (directory >= ? AND directory < ?))",
        (directory, directory + b"/", directory + _AFTER_SLASH),
    )
