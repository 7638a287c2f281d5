"""Which groups of duplicates match a filter, and in which order they are listed.

One query measures all groups that may match. It reads no image that is listed, so that a page of
50 groups among 10,000 costs little more than the 50.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from snoopsync.core.keep import IDENTICAL
from snoopsync.state.database import Database
from snoopsync.state.nodes import BELONGS, OPEN

#: With more pixels, pictures count as equally large.
_MOST_PIXELS = (1 << 31) - 1

#: The condition that an image of a node's group is in a configured folder.
MIRRORED = """
    AND group_id IN (SELECT group_id FROM node JOIN image ON sha256 = content
                     JOIN folder ON folder.name = image.folder WHERE configured)
"""


class GroupSort(StrEnum):
    """The orders of a listing, each descending: by the bytes that can be freed, by when the
    newest image was found, by the number of images."""

    WASTE = "waste"
    FOUND = "found"
    SIZE = "size"


@dataclass(frozen=True, slots=True)
class GroupFilter:
    """Which groups are listed. ``kind``: an image differs like this. ``folder``: an image is in it.
    ``max_rank``: an image is at most this different. ``groups``: only these."""

    kind: str | None = None
    folder: str | None = None
    max_rank: int | None = None
    groups: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class MeasuredGroup:
    """A group as it is sorted. ``images``: with those of other owners. ``waste_bytes``: the size of
    our files without the one with the most pixels, which is usually the one to keep; finding the
    one to keep takes too long for all groups. ``found_at``: Unix time of the newest link or
    copy."""

    number: int
    images: int
    waste_bytes: int
    found_at: float

    def measure(self, sort: GroupSort) -> float:
        """The number that this order sorts by."""
        match sort:
            case GroupSort.FOUND:
                return self.found_at
            case GroupSort.SIZE:
                return self.images
        return self.waste_bytes


def sorted_groups(groups: Iterable[MeasuredGroup], sort: GroupSort) -> list[MeasuredGroup]:
    """The groups in this order. Equal ones are in the order of their numbers."""
    return sorted(groups, key=lambda each: (-each.measure(sort), each.number))


def measured_groups(database: Database, which: GroupFilter) -> list[MeasuredGroup]:
    """The groups that may match: a group may still differ from the filter, where only a comparison
    with the one to keep tells the kind or the rank."""
    # The second condition uses all parameters, as SQLite requires.
    conditions = ["group_id IS NOT NULL", "coalesce(?1, ?2, ?3, ?4) IS NOT 0"]
    if which.groups is not None:
        conditions.append("group_id IN (SELECT value FROM json_each(?1))")
    if which.folder is not None:
        conditions.append(
            "group_id IN (SELECT group_id FROM node JOIN image ON sha256 = content"
            f" WHERE folder = ?2 AND {BELONGS})"
        )
    if which.kind is not None or which.max_rank is not None:
        conditions.append(
            "group_id IN (SELECT group_id FROM link JOIN node ON node_id = a"
            f" WHERE {OPEN} AND (?3 IS NULL OR kind = ?3)"
            " AND rank <= coalesce(?4, rank) UNION SELECT group_id FROM node"
            f" WHERE images + others > 1 AND coalesce(?3, '{IDENTICAL}') = '{IDENTICAL}')"
        )
    shown = MIRRORED if mirrored_groups(database) is not None else ""
    where = f"WHERE {' AND '.join(conditions)} {shown}"
    parameters = (
        json.dumps(list(which.groups or ())),
        *(which.folder, which.kind, which.max_rank),
    )
    newest = "SELECT max(link.found_at) FROM link WHERE a = node_id"
    nodes = database.query(
        "SELECT group_id, sum(images + others),"
        f" max(max(found_at, coalesce(({newest}), 0))) FROM node {where} GROUP BY group_id",
        parameters,
    )
    # SQLite takes ``size`` from the row with the maximum.
    pixels = "coalesce(json_extract(facts, '$.width') * json_extract(facts, '$.height'), 0)"
    waste = {
        number: total - kept
        for number, total, kept, _ in database.query(
            # A series has no waste.
            "SELECT group_id, sum(size), iif(has_duplicate, size, sum(size)),"
            f" max(min({pixels}, {_MOST_PIXELS}) << 32 | size)"
            f" FROM node CROSS JOIN image ON sha256 = content {where}"
            " AND NOT left_out AND linked_to IS NULL GROUP BY group_id",
            parameters,
        )
    }
    return [
        MeasuredGroup(number, images, waste[number], found_at)
        for number, images, found_at in nodes
        if number in waste
    ]


def mirrored_groups(database: Database) -> set[int] | None:
    """The groups with an image in a configured folder; ``None`` for all groups, the usual case.
    Other groups are not shown."""
    if not database.one("SELECT 1 FROM folder WHERE NOT configured LIMIT 1"):
        return None
    rows = database.query(f"SELECT DISTINCT group_id FROM node WHERE true {MIRRORED}")
    return {group for (group,) in rows}
