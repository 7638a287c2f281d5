"""An image as lists and alerts show it: in a group, or as one side of a pair."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from snoopsync.core.keep import CandidateFile, FolderOrder, KeepCandidate
from snoopsync.core.model import RelPath
from snoopsync.core.protocol import PictureFacts
from snoopsync.state.database import Database
from snoopsync.state.rows import rel_path_of

#: Our images that belong to nodes, for ``_ours``.
_OURS = """
    SELECT image_id, folder, directory, image.name, size, mtime_ns, content, facts, image.rowid,
           held OR approved OR coalesce(folder.state = 'missing', 0), dirty,
           coalesce(folder.configured, 1), image.left_out
    FROM {nodes} JOIN image ON sha256 = content LEFT JOIN folder ON folder.name = image.folder
    WHERE linked_to IS NULL
"""

#: Images of other owners, and images of ours that are gone, for ``_without_file``.
_WITHOUT_FILE = """
    SELECT picture.image_id, folder, directory, name, label, content, node.facts, gone
    FROM {nodes} JOIN picture ON sha256 = content
    WHERE NOT EXISTS (SELECT 1 FROM image WHERE (image.image_id, image.sha256)
                      = (picture.image_id, picture.sha256))
"""


@dataclass(frozen=True, slots=True)
class Side:
    """One image. ``rel_path``: ``None`` if no folder contains the image; ``was`` is then the last
    path of its file, if known, and ``label`` what its owner calls it. ``content``: the SHA-256 of
    its bytes, or another value that is equal for images with the same bytes. ``facts``: what the
    collection reported about the picture; empty if it reported nothing about the present bytes.
    ``size_bytes``: of the file. ``modified_ns``: the file's mtime, as Unix time in nanoseconds.
    ``is_missing``: the file is known to be missing. ``number``: smaller for an image that was added
    earlier. ``is_gone``: the collection no longer has the image, or the configuration leaves it
    out. ``is_mirrored``: a configured folder contains it."""

    image_id: str
    rel_path: RelPath | None
    was: RelPath | None = None
    facts: PictureFacts = field(default_factory=lambda: PictureFacts())
    modified_ns: int = 0
    is_missing: bool = False
    content: bytes = b""
    size_bytes: int | None = None
    label: str | None = None
    number: int = 0
    is_gone: bool = False
    is_mirrored: bool = True

    def candidate(self, order: FolderOrder) -> KeepCandidate:
        """This image as one that may be kept. ``order``: the configured folders."""
        rel_path = self.rel_path
        if rel_path is None or self.is_missing or rel_path.folder not in order:
            return KeepCandidate(self.image_id, self.facts)
        file = CandidateFile(rel_path, self.modified_ns, *order[rel_path.folder])
        return KeepCandidate(self.image_id, self.facts, file)


#: An image that is added later than all others: it is in no folder.
_LAST = 1 << 62

#: The nodes with the numbers in the first parameter.
_CHOSEN = "(SELECT * FROM node WHERE node_id IN (SELECT value FROM json_each(?1))) AS node"


def read_sides(
    database: Database, node_ids: Collection[int], *, with_gone: bool = False
) -> dict[bytes, list[Side]]:
    """The images of these nodes by content, the earliest first and the gone ones last."""
    nodes = json.dumps(list(node_ids))
    left_out = "" if with_gone else "AND NOT image.left_out"
    gone = "" if with_gone else "AND NOT gone"
    sides = [
        *map(_ours, database.query(f"{_OURS.format(nodes=_CHOSEN)} {left_out}", (nodes,))),
        *map(
            _without_file, database.query(f"{_WITHOUT_FILE.format(nodes=_CHOSEN)} {gone}", (nodes,))
        ),
    ]
    sides.sort(key=lambda side: (side.is_gone, side.number, side.image_id))
    found: dict[bytes, list[Side]] = {}
    for side in sides:
        found.setdefault(side.content, []).append(side)
    return found


def read_side(
    database: Database, node_id: int, image_id: str, *, another: bool = False
) -> Side | None:
    """The image with this ID, or any image of the node but that one. An image with a file comes
    first."""
    condition = f"AND {{}}.image_id {'<>' if another else '='} ?2"
    parameters = json.dumps([node_id]), image_id
    ours = f"{_OURS.format(nodes=_CHOSEN)} {condition.format('image')}"
    others = _WITHOUT_FILE.format(nodes=_CHOSEN) + condition.format("picture")
    for row in database.query(f"{ours} AND NOT image.left_out LIMIT 1", parameters):
        return _ours(row)
    for row in database.query(f"{others} AND NOT gone LIMIT 1", parameters):
        return _without_file(row)
    return None


def sides_of_images(database: Database, image_ids: Collection[str]) -> dict[str, Side]:
    """Those of these images that are ours, or of another owner, by ID, whether or not their bytes
    were ever compared."""
    ids = json.dumps(list(image_ids))
    ours = (
        "SELECT image_id, folder, directory, image.name, size, mtime_ns, coalesce(sha256, x''),"
        " coalesce(facts, '{}'), image.rowid,"
        " held OR approved OR coalesce(folder.state = 'missing', 0), dirty,"
        " coalesce(folder.configured, 1), image.left_out"
        " FROM json_each(?) AS wanted CROSS JOIN image ON image_id = wanted.value"
        " LEFT JOIN node ON content = sha256 LEFT JOIN folder ON folder.name = image.folder"
    )
    others = (
        "SELECT picture.image_id, folder, directory, name, label, content, node.facts, gone"
        " FROM json_each(?) AS wanted CROSS JOIN picture ON image_id = wanted.value"
        " JOIN node ON content = sha256 WHERE NOT gone"
    )
    sides = [
        *map(_without_file, database.query(others, (ids,))),
        *map(_ours, database.query(ours, (ids,))),
    ]
    return {side.image_id: side for side in sides}


def _ours(row: Any) -> Side:
    image_id, folder, directory, name, size, modified_ns, content, facts, number, *flags = row
    is_missing, is_dirty, is_mirrored, is_left_out = map(bool, flags)
    rel_path = rel_path_of(folder, directory, name)
    return Side(
        image_id,
        None if is_left_out else rel_path,
        rel_path if is_left_out else None,
        PictureFacts() if is_dirty else json.loads(facts),
        modified_ns,
        is_missing,
        content,
        size,
        number=number,
        is_gone=is_left_out,
        is_mirrored=is_mirrored,
    )


def _without_file(row: Any) -> Side:
    image_id, folder, directory, name, label, content, facts, gone = row
    known: PictureFacts = json.loads(facts)
    return Side(
        image_id,
        None,
        None if folder is None else rel_path_of(folder, directory, name),
        known,
        content=content,
        size_bytes=known.get("size_bytes"),
        label=label,
        number=_LAST,
        is_gone=bool(gone),
        is_mirrored=False,
    )
