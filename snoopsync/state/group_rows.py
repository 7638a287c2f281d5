"""What the state file stores about groups: their nodes and links.

A group of duplicates and a series are never mixed: see ``grouping``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from snoopsync.core.groups import components
from snoopsync.core.shots import Relation
from snoopsync.state.database import Database
from snoopsync.state.nodes import EVERY_IMAGE

#: The links that show which nodes are listed together, whether they are open or not.
_LISTED_LINKS = f"""
    SELECT a, b FROM link JOIN node AS one ON one.node_id = a JOIN node AS other ON
    other.node_id = b WHERE counts_as = '{Relation.DUPLICATE}'
    OR counts_as = '{Relation.SERIES}' AND NOT one.has_duplicate AND NOT other.has_duplicate
"""


@dataclass(frozen=True, slots=True)
class Likeness:
    """How two pictures differ, and how they are related."""

    rank: int
    kind: str | None
    relation: Relation = Relation.DUPLICATE


@dataclass(slots=True)
class GroupRow:
    """What is stored about a group. ``nodes``: the numbers of its nodes, by content. ``series``:
    its links are those of a series. ``open_pairs``: the number of open links, and of further images
    with the same bytes. ``found_at``: Unix time of the newest one."""

    nodes: dict[bytes, int] = field(default_factory=dict)
    links: dict[tuple[bytes, bytes], Likeness] = field(default_factory=dict)
    series: bool = False
    open_pairs: int = 0
    found_at: float = 0.0


class GroupRows:
    """Reads the nodes and links of groups."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_groups(self, numbers: Sequence[int]) -> dict[int, GroupRow]:
        """Those of the groups with these numbers that exist, by number."""
        rows = self._database.query(
            "SELECT node_id, group_id FROM node WHERE group_id IN (SELECT value FROM json_each(?))",
            (json.dumps(numbers),),
        )
        return self.of_nodes(dict(rows), everything=False)

    def of_nodes(self, group_of: Mapping[int, int], *, everything: bool) -> dict[int, GroupRow]:
        """The groups of these nodes, by number. ``everything``: also links that have ended."""
        groups: dict[int, GroupRow] = {}
        ids = json.dumps(list(group_of))
        contents, with_duplicates = {}, set()
        for node_id, content, members, internal, has_duplicate, found_at in self._database.query(
            "SELECT node_id, content, images + others, internal, has_duplicate, found_at FROM node"
            " WHERE node_id IN (SELECT value FROM json_each(?))",
            (ids,),
        ):
            contents[node_id] = content
            group = groups.setdefault(group_of[node_id], GroupRow())
            group.nodes[content] = node_id
            if has_duplicate:
                with_duplicates.add(group_of[node_id])
            if internal:
                group.open_pairs += members - 1
            if internal or (everything and members > 1):
                group.found_at = max(group.found_at, found_at)
        for a, b, rank, kind, counts_as, found_at, is_open in self._database.query(
            "SELECT a, b, rank, kind, counts_as, found_at, NOT (dismissed OR gone)"
            " FROM json_each(?1) AS key CROSS JOIN link ON a = key.value WHERE ?2 OR NOT gone",
            (ids, everything),
        ):
            number = group_of[a]
            if b in contents and number == group_of[b]:
                relation, group = Relation(counts_as), groups[number]
                group.links[contents[a], contents[b]] = Likeness(rank, kind, relation)
                is_series = relation is Relation.SERIES and number not in with_duplicates
                group.series = group.series or is_series
                if is_series or relation is Relation.DUPLICATE:
                    group.open_pairs += is_open
                    group.found_at = max(group.found_at, found_at)
        return groups

    def components(self, *, only_ended: bool = False) -> Iterator[set[int]]:
        """The nodes that are listed together, also with links that were dismissed or have ended.
        ``only_ended``: leave out copies in open groups."""
        ended = "AND group_id IS NULL" if only_ended else ""
        return components(
            self._database.query(
                f"{_LISTED_LINKS} UNION ALL SELECT node_id, node_id FROM node"
                f" WHERE {EVERY_IMAGE} > 1 {ended}"
            )
        )
