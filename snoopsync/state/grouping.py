"""The groups in the state file: connected components of nodes and open links.

A node has a duplicate if it is internal (two of its images are duplicates of each other) or if an
open link of it counts as duplicate. Such nodes form groups of duplicates. The other nodes form
series, by open links that count as series: a picture that has duplicates is shown with them only.
A link between companions connects nothing.

Triggers count the images of a node, and mark a node whose images changed. ``settle`` then updates
the groups.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from functools import partial

from snoopsync.core.groups import components, separated
from snoopsync.core.shots import Relation
from snoopsync.state.copies import has_open_pair
from snoopsync.state.database import Database
from snoopsync.state.nodes import BELONGS, OPEN, OPEN_DUPLICATE, Node, Nodes

#: The condition that an open link of the node ``?1`` to ``node`` connects the two.
_CONNECTS = f"""
    {OPEN} AND (counts_as = '{Relation.DUPLICATE}' OR counts_as = '{Relation.SERIES}'
    AND NOT has_duplicate AND NOT (SELECT has_duplicate FROM node WHERE node_id = ?1))
"""

#: The nodes that the node ``?1`` is connected with.
_NEIGHBOURS = f"""
    SELECT node_id, group_id FROM link JOIN node ON node_id = b WHERE a = ?1 AND {_CONNECTS}
    UNION ALL SELECT node_id, group_id FROM link JOIN node ON node_id = a
    WHERE b = ?1 AND {_CONNECTS}
"""

#: The condition that a node has an open link that counts as duplicate.
_HAS_DUPLICATE_LINK = f"""
    (EXISTS (SELECT 1 FROM link WHERE a = node_id AND {OPEN_DUPLICATE})
     OR EXISTS (SELECT 1 FROM link WHERE b = node_id AND {OPEN_DUPLICATE}))
"""


class Grouping:
    """Updates the groups when links and images change. Methods run in a transaction of their
    caller."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._nodes = Nodes(database)

    def connect(self, one: int, other: int) -> None:
        """An open link between two nodes is new, or open again: put them into one group if the link
        connects them."""
        a, b = sorted((one, other))
        counts_as = self._database.one(
            f"SELECT counts_as FROM link WHERE a = ? AND b = ? AND {OPEN}", (a, b)
        )
        if counts_as == Relation.DUPLICATE:
            for node_id in (a, b):
                self._leave_series(node_id)
            self._join(a, b)
        elif counts_as == Relation.SERIES and not any(
            self._nodes.numbered(node_id).has_duplicate for node_id in (a, b)
        ):
            self._join(a, b)

    def regroup(self, node_ids: Iterable[int]) -> None:
        """Update the groups of these nodes, between which links have ended."""
        ended = list(node_ids)
        self._split(ended)
        alone = self._database.query(
            "UPDATE node SET has_duplicate = 0 WHERE has_duplicate AND NOT internal"
            " AND node_id IN (SELECT value FROM json_each(?))"
            f" AND NOT {_HAS_DUPLICATE_LINK} RETURNING node_id",
            (json.dumps(ended),),
        )
        for (node_id,) in alone:
            for other in self._neighbours(node_id):
                self._join(node_id, other)

    def settle(self) -> None:
        """Update the groups: images may have been added and removed since the last call."""
        while changed := self._nodes.changed(1000):
            self._database.change_many(
                "UPDATE node SET changed = 0 WHERE node_id = ?",
                [(node.node_id,) for node in changed],
            )
            for node in changed:
                self._settle(self._nodes.numbered(node.node_id))

    def rebuild(self, node_ids: Collection[int]) -> None:
        """Form the groups of these nodes again, after many of their links came to count as
        something else. Takes time in proportion to these groups."""
        rows = self._database.query(
            "WITH given AS MATERIALIZED (SELECT value AS node_id FROM json_each(?))"
            " SELECT node_id FROM given UNION SELECT node_id FROM node WHERE group_id IN"
            " (SELECT group_id FROM given JOIN node USING (node_id) WHERE group_id IS NOT NULL)",
            (json.dumps(list(node_ids)),),
        )
        members = [node_id for (node_id,) in rows]
        self._database.change(
            f"UPDATE node SET group_id = NULL, has_duplicate = internal OR {_HAS_DUPLICATE_LINK}"
            " WHERE node_id IN (SELECT value FROM json_each(?))",
            (json.dumps(members),),
        )
        connected = [(node_id, each) for node_id in members for each in self._neighbours(node_id)]
        internal = [(each, each) for each in members if self._nodes.numbered(each).internal]
        for piece in components([*connected, *internal]):
            self._form(piece)

    def _form(self, piece: Collection[int]) -> None:
        """Put the nodes of this piece into one group. An alert that named one of them counts as one
        in this group."""
        ids = json.dumps(list(piece))
        nodes = [self._nodes.numbered(node_id) for node_id in piece]
        groups = {node.group_id for node in nodes if node.group_id is not None}
        group = min(groups) if groups else self._new_group(nodes)
        for other in groups - {group}:
            self._move("group_id = ?", other, other, group)
        self._database.change(
            "UPDATE node SET group_id = ?1, last_group = ?1"
            " WHERE node_id IN (SELECT value FROM json_each(?2))",
            (group, ids),
        )
        self._database.change(
            "UPDATE image SET named_in = ?1 WHERE named_in <> ?1 AND sha256 IN"
            " (SELECT content FROM node WHERE node_id IN (SELECT value FROM json_each(?2)))",
            (group, ids),
        )

    def _leave_series(self, node_id: int) -> None:
        """The node has a duplicate: take it out of its series."""
        if self._nodes.numbered(node_id).has_duplicate:
            return
        series = self._neighbours(node_id)
        self._database.change(
            "UPDATE node SET has_duplicate = 1, group_id = NULL WHERE node_id = ?", (node_id,)
        )
        self._split(series)

    def _join(self, one: int, other: int) -> None:
        """Put two nodes into one group: that of the two with the older number, or a new one."""
        nodes = [self._nodes.numbered(one), self._nodes.numbered(other)]
        groups = {node.group_id for node in nodes if node.group_id is not None}
        group = min(groups) if groups else self._new_group(nodes)
        for node in nodes:
            if node.group_id is None:
                self._move("node_id = ?", node.node_id, None, group)
            elif node.group_id != group:
                self._move("group_id = ?", node.group_id, node.group_id, group)

    def _split(self, node_ids: Iterable[int]) -> None:
        """Split the groups of these nodes where they are not connected any more. The piece with the
        earliest image keeps the group's number."""
        by_group: dict[int, list[int]] = {}
        for group, node_id in self._database.query(
            "SELECT group_id, node_id FROM json_each(?) CROSS JOIN node ON node_id = value"
            " WHERE group_id IS NOT NULL",
            (json.dumps(list(node_ids)),),
        ):
            by_group.setdefault(group, []).append(node_id)
        for group, members in by_group.items():
            pieces = separated(members, partial(self._neighbours, group=group))
            if pieces:
                self._split_off(self._without_earliest(pieces, group), group)
            self._leave_if_alone(group)

    def _settle(self, node: Node) -> None:
        node_id = node.node_id
        internal = has_open_pair(self._database, node.content, node.total)
        self._database.change("UPDATE node SET internal = ? WHERE node_id = ?", (internal, node_id))
        linked = self._neighbours(node_id)
        if not node.total:
            self._database.change("UPDATE link SET gone = 1 WHERE a = ?1 OR b = ?1", (node_id,))
            self.regroup([node_id, *linked])
            return
        if internal:
            self._leave_series(node_id)
        else:
            self.regroup([node_id])
        node = self._nodes.numbered(node_id)
        if node.group_id is None and (linked or internal):
            if internal:
                self._join(node_id, node_id)
            for other in linked:
                self.connect(node_id, other)

    def _split_off(self, pieces: Sequence[Collection[int]], group: int) -> None:
        """Take these pieces out of a group. Each becomes a group of its own, unless it is a single
        picture."""
        single = json.dumps([node_id for piece in pieces if len(piece) == 1 for node_id in piece])
        alone = {
            node_id
            for (node_id,) in self._database.query(
                "UPDATE node SET group_id = NULL WHERE NOT internal AND node_id IN"
                " (SELECT value FROM json_each(?)) RETURNING node_id",
                (single,),
            )
        }
        for piece in pieces:
            if not alone.issuperset(piece):
                new = self._new_group(())
                for node_id in piece:
                    self._move("node_id = ?", node_id, group, new)

    def _without_earliest(self, pieces: list[set[int]], group: int) -> list[set[int]]:
        """The pieces that leave a group: all but the one with the earliest image. ``pieces`` has
        all pieces but one."""
        earliest = self._earliest(group)
        if not any(earliest in piece for piece in pieces):
            return pieces
        rest = {node.node_id for node in self._nodes.in_group(group)}.difference(*pieces)
        return [piece if earliest not in piece else rest for piece in pieces]

    def _leave_if_alone(self, group: int) -> None:
        members = self._nodes.in_group(group, 2)
        if len(members) == 1 and not members[0].internal:
            self._database.change(
                "UPDATE node SET group_id = NULL WHERE node_id = ?", (members[0].node_id,)
            )

    def _move(self, which: str, parameter: int, before: int | None, group: int) -> None:
        """Move nodes into a group. What an alert named in their group before counts as named in the
        new one."""
        if before is None:
            self._database.change(
                "UPDATE image SET named_in = ? WHERE named_in = 0 AND sha256 ="
                f" (SELECT content FROM node WHERE {which})",
                (group, parameter),
            )
        else:
            self._database.change(
                "UPDATE image SET named_in = ? WHERE named_in = ? AND sha256 IN"
                f" (SELECT content FROM node WHERE {which})",
                (group, before, parameter),
            )
        self._database.change(
            f"UPDATE node SET group_id = ?, last_group = ? WHERE {which}",
            (group, group, parameter),
        )

    def _new_group(self, nodes: Sequence[Node]) -> int:
        """A number for a group of these nodes: one that a node had last, if no group has it now, or
        else a new one."""
        for group in sorted({node.last_group for node in nodes if node.last_group is not None}):
            if not self._nodes.in_group(group, 1):
                return group
        number = self._database.one(
            "INSERT INTO fact VALUES ('duplicate_groups', '1')"
            " ON CONFLICT (name) DO UPDATE SET value = CAST(value AS INTEGER) + 1 RETURNING value"
        )
        return int(number)

    def _earliest(self, group: int) -> int | None:
        node_id: int | None = self._database.one(
            "SELECT node_id FROM node JOIN image ON sha256 = content"
            f" WHERE group_id = ? AND {BELONGS} ORDER BY image.rowid LIMIT 1",
            (group,),
        )
        return node_id

    def _neighbours(self, node_id: int, group: int | None = None) -> list[int]:
        """The nodes that links connect with this one. ``group``: only those in this group."""
        rows = self._database.query(_NEIGHBOURS, (node_id,))
        return [other for other, its_group in rows if group in (None, its_group)]
