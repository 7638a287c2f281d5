"""State files with images, and with an index that lost one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from snoopsync.core.model import File, Fingerprint, RelPath, image_ids
from snoopsync.core.planner import Add
from snoopsync.state.database import Database
from snoopsync.state.folders import FolderRow
from snoopsync.state.images import State
from snoopsync.state.intents import Sent


def fill(database: Database) -> None:
    state = State(database)
    state.folders.save(FolderRow("photos", b"/srv/photos", 1, 2))
    rel_paths = [RelPath("photos", b"%d/IMG_%d.jpg" % (i // 30, i)) for i in range(200)]
    state.intents.apply(
        [
            Add(rel_path, next(image_ids("nas", rel_path)), File(Fingerprint(i, 2, 3, 4)))
            for i, rel_path in enumerate(rel_paths)
        ],
        now=1.0,
    )
    for item in state.intents.outstanding(100, 1.0, ["photos"]):
        state.intents.confirm(Sent(item.record.image_id, item.mark, b"x" * 32, None), now=2.0)


def forget_in_index(path: Path, index: str, change: str) -> None:
    """Change a table without its index."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA writable_schema = ON")
        where = "FROM sqlite_schema WHERE name = ?"
        row = other.execute(f"SELECT * {where}", (index,)).fetchone()
        other.execute(f"DELETE {where}", (index,))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(change)
        other.execute("PRAGMA writable_schema = ON")
        other.execute("INSERT INTO sqlite_schema VALUES (?, ?, ?, ?, ?)", row)
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("PRAGMA quick_check").fetchone() == ("ok",)
