"""The duplicates as pairs, for listings: reads links, and images with the same bytes.

Of a node with n images, n - 1 pairs are listed: each further image with the first one. A link is
listed as the pair of the first images of its two nodes. So the number of pairs grows in proportion
to the number of images. Companions and shots of a series are no pairs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from snoopsync.core.keep import IDENTICAL, FolderOrder, Keep, which_to_keep
from snoopsync.core.shots import Relation
from snoopsync.state.database import Database
from snoopsync.state.group_order import MIRRORED, mirrored_groups
from snoopsync.state.nodes import EVERY_IMAGE, OPEN_DUPLICATE
from snoopsync.state.sides import Side, read_sides

#: How many rows of a long listing are read in one query.
_PAGE_ROWS = 1000


class PairState(StrEnum):
    """The state of a pair."""

    OPEN = "open"
    DISMISSED = "dismissed"
    GONE = "gone"


#: The rank of each state: a pair that has ended is gone, unless it was dismissed.
_STATES = (PairState.OPEN, PairState.GONE, PairState.DISMISSED).index


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A pair, for listings. ``found_at``: Unix time. ``identical``: both have the same bytes.
    ``group``: the number of their group, if they are in one."""

    a: Side
    b: Side
    rank: int
    kind: str | None
    found_at: float
    state: PairState
    identical: bool = False
    group: int | None = None

    def keep(self, order: FolderOrder, now: float) -> Keep | None:
        """The image to keep; ``None`` if nothing decides. ``order``: the configured folders.
        ``now``: Unix time."""
        a, b = (side.candidate(order) for side in (self.a, self.b))
        return which_to_keep(a, b, self.kind, int(now * 1e9), identical=self.identical)


class Pairs:
    """The pairs in the state file."""

    def __init__(self, database: Database, page_rows: int = _PAGE_ROWS) -> None:
        self._database = database
        self._page_rows = page_rows

    def listed(self, *, everything: bool = False) -> Iterator[Duplicate]:
        """The open pairs, newest first. They are read in pages, each at its own moment.
        ``everything``: also dismissed pairs and pairs that have ended."""
        shown = mirrored_groups(self._database)
        keys = self._keys(everything=everything)
        for start in range(0, len(keys), self._page_rows):
            page = keys[start : start + self._page_rows]
            ids = {node_id for key in page for node_id in key}
            sides = read_sides(self._database, ids, with_gone=everything)
            links = self._links([key for key in page if key[0] != key[1]])
            nodes = self._nodes([key[0] for key in page if key[0] == key[1]])
            for key in page:
                found = links.get(key, ()) if key[0] != key[1] else nodes.get(key[0], ())
                for pair in _linked(found, sides) if key[0] != key[1] else _same(found, sides):
                    if shown is not None and pair.group not in shown:
                        # Its folders are no longer mirrored.
                        pair = replace(pair, state=max(pair.state, PairState.GONE, key=_STATES))
                    if everything or pair.state is PairState.OPEN:
                        yield pair

    def count_open(self) -> int:
        """The number of open pairs."""
        shown = MIRRORED if mirrored_groups(self._database) is not None else ""
        copies: int = self._database.one(
            "SELECT coalesce(sum(images + others - 1), 0) FROM node"
            f" WHERE group_id IS NOT NULL AND internal {shown}"
        )
        links: int = self._database.one(
            f"SELECT count(*) FROM link JOIN node ON node_id = a WHERE {OPEN_DUPLICATE} {shown}"
        )
        return copies + links

    def _keys(self, *, everything: bool) -> list[tuple[int, int]]:
        """The numbers of the two nodes of each link, and twice that of each node with copies."""
        rows = self._database.query(
            f"SELECT a, b, found_at FROM link WHERE counts_as = '{Relation.DUPLICATE}'"
            " AND (?1 OR NOT (gone OR dismissed))"
            " UNION ALL SELECT node_id, node_id, found_at FROM node WHERE internal"
            f" OR (?1 AND {EVERY_IMAGE} > 1)"
            " ORDER BY 3 DESC, 1, 2",
            (everything,),
        )
        return [(a, b) for a, b, _ in rows]

    def _links(self, keys: Sequence[tuple[int, int]]) -> dict[tuple[int, int], Any]:
        rows = self._database.query(
            "SELECT a, b, rank, kind, link.found_at, dismissed, gone, node_a.content,"
            " node_b.content, node_a.group_id FROM json_each(?) AS key"
            " JOIN link ON a = json_extract(key.value, '$[0]')"
            " AND b = json_extract(key.value, '$[1]')"
            " JOIN node AS node_a ON node_a.node_id = a"
            " JOIN node AS node_b ON node_b.node_id = b",
            (json.dumps(keys),),
        )
        return {row[:2]: row[2:] for row in rows}

    def _nodes(self, node_ids: Sequence[int]) -> dict[int, Any]:
        rows = self._database.query(
            "SELECT node_id, content, found_at, internal, group_id FROM node"
            " WHERE node_id IN (SELECT value FROM json_each(?))",
            (json.dumps(node_ids),),
        )
        return {row[0]: row[1:] for row in rows}


def _same(row: Sequence[Any], sides: dict[bytes, list[Side]]) -> Iterator[Duplicate]:
    """The pairs of the images with the same bytes."""
    if not row:
        return
    content, found_at, internal, group = row
    same = sides.get(content, [])
    for other in same[1:]:
        state = PairState.OPEN if internal else PairState.DISMISSED
        if other.is_gone:  # these come last
            state = PairState.GONE
        a, b = sorted((same[0], other), key=lambda side: side.image_id)
        yield Duplicate(a, b, 0, IDENTICAL, found_at, state, True, group)


def _linked(row: Sequence[Any], sides: dict[bytes, list[Side]]) -> Iterator[Duplicate]:
    """The pair of a link."""
    if not row:
        return
    rank, kind, found_at, dismissed, gone, a_content, b_content, group = row
    if not sides.get(a_content) or not sides.get(b_content):
        return
    a, b = sorted((sides[a_content][0], sides[b_content][0]), key=lambda side: side.image_id)
    state = PairState.OPEN
    if gone or a.is_gone or b.is_gone:
        state = PairState.GONE
    if dismissed:
        state = PairState.DISMISSED
    yield Duplicate(a, b, rank, kind, found_at, state, False, group)
