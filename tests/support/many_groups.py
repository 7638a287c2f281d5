"""State files with many groups of duplicates, without the pictures."""

from __future__ import annotations

import hashlib
import json

from snoopsync.state.database import Database

#: When the newest group was found. Each further one was found a second earlier.
NEWEST = 1_700_000_000.0


def add_groups(database: Database, count: int) -> None:
    """So many groups of three images: two copies, and a smaller picture that is like them. Two
    neighbours have the same waste."""
    images: list[tuple[object, ...]] = []
    nodes: list[tuple[object, ...]] = []
    links: list[tuple[object, ...]] = []
    for group in range(count):
        first = 2 * group + 1
        for node_id, copies, width in ((first, 2, 4000), (first + 1, 1, 1000)):
            content = hashlib.sha256(b"%d" % node_id).digest()
            facts = json.dumps({"width": width, "height": width, "size_bytes": 1000})
            found_at = NEWEST - group
            nodes.append((node_id, content, copies, copies > 1, facts, found_at, first, first, 0))
            for copy in range(copies):
                name = b"%d %d.jpg" % (node_id, copy)
                size = 1000 + group // 2
                place = "photos", b"", name
                numbers = len(images) + 1, size, 10**18, 10**18, 0
                images.append((f"tests.{node_id}-{copy}", *place, *numbers, content, NEWEST, 0, 0))
        links.append((first, first + 1, 2, "reencoded", NEWEST - group, 2, 2))
    with database.transaction():
        database.change(
            "INSERT INTO folder (name, path, configured, state, watch)"
            " VALUES ('photos', CAST('/photos' AS BLOB), 1, 'ok', '')"
        )
        database.change_many(
            "INSERT INTO image (image_id, folder, directory, name, inode, size, mtime_ns, ctime_ns,"
            " submount, sha256, synced_at, dirty, mark)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            images,
        )
        database.change_many("INSERT INTO node VALUES (?, ?, ?, 0, ?, ?, ?, ?, ?, ?, 1)", nodes)
        database.change_many(
            "INSERT INTO link (a, b, rank, kind, found_at, a_rank, b_rank)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            links,
        )
