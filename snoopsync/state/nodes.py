"""Which pictures are alike: nodes, links and groups in the state file.

A node stands for all images with the same bytes. A link says that the pictures of two nodes are
alike. A link is open unless a person dismissed it or it has ended. A group is a connected component
of nodes and open links. A node with two images that are duplicates of each other is a group as
well. Triggers count the images of a node, and mark a node whose images changed. ``settle`` then
updates the groups.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from snoopsync.core.groups import separated
from snoopsync.core.protocol import PictureFacts
from snoopsync.state.copies import has_open_pair
from snoopsync.state.database import Database

#: The conditions for an open link, and for an image of ours that belongs to its node.
OPEN = "NOT gone AND NOT dismissed"
BELONGS = "NOT left_out AND linked_to IS NULL"

#: The number of images of a node, with those that are gone or left out.
EVERY_IMAGE = """
    images + others + (SELECT count(*) FROM picture WHERE sha256 = content AND gone)
    + (SELECT count(*) FROM image WHERE sha256 = content AND left_out)
"""

#: SQLite accepts at least so many parameters of a statement.
_MOST_PARAMETERS = 900


@dataclass(frozen=True, slots=True)
class Node:
    """One row of ``node``."""

    node_id: int
    content: bytes
    images: int
    others: int
    internal: bool
    group_id: int | None
    last_group: int | None

    @property
    def total(self) -> int:
        """The number of images with these bytes."""
        return self.images + self.others


_COLUMNS = "node_id, content, images, others, internal, group_id, last_group"


@dataclass(frozen=True, slots=True)
class FoundLink:
    """A link that the search for one of its ends found. ``finder``: that end. ``is_news``: no alert
    named the two in their group."""

    finder: int
    other: int
    rank: int
    kind: str | None
    is_news: bool = True


class Nodes:
    """The nodes in the state file. Methods that change something run in a transaction of their
    caller."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_content(self, content: bytes) -> Node | None:
        """The node with this content, if it is recorded."""
        return self._one("content = ?", content)

    def of_contents(self, contents: Iterable[bytes]) -> dict[bytes, Node]:
        """The nodes with these contents. A content without a node is left out."""
        wanted, found = list(contents), []
        for start in range(0, len(wanted), _MOST_PARAMETERS):
            part = wanted[start : start + _MOST_PARAMETERS]
            found += self._all(f"content IN ({', '.join('?' * len(part))})", *part)
        return {node.content: node for node in found}

    def content_of(self, image_id: str) -> bytes | None:
        """The content of an image in the collection, ours or another owner's; ``None`` if it is not
        known."""
        content: bytes | None = self._database.one(
            "SELECT sha256 FROM image WHERE image_id = ?1 AND sha256 <> x''"
            " UNION ALL SELECT sha256 FROM picture WHERE image_id = ?1 AND NOT gone",
            (image_id,),
        )
        return content

    def of_image(self, image_id: str) -> Node | None:
        """The node of an image, ours or another owner's; ``None`` if it has none."""
        content = self.content_of(image_id)
        return None if content is None else self.of_content(content)

    def record(self, content: bytes, facts: PictureFacts, now: float) -> Node:
        """Record a node and what the collection reported about its picture. Returns the node."""
        known = json.dumps(facts)
        changed = self._database.change(
            "UPDATE node SET facts = iif(?2 = '{}', facts, ?2) WHERE content = ?1",
            (content, known),
        )
        if not changed:
            self._database.change(
                "INSERT INTO node (content, facts, found_at, images, others) VALUES (?1, ?2, ?3,"
                f" (SELECT count(*) FROM image WHERE sha256 = ?1 AND {BELONGS}),"
                " (SELECT count(*) FROM picture WHERE sha256 = ?1 AND NOT gone))",
                (content, known, now),
            )
        node = self.of_content(content)
        assert node is not None
        return node

    def add_other(self, image_id: str, content: bytes, label: str | None) -> None:
        """Record that an image of another owner has this content."""
        before = self._database.one(
            "SELECT sha256 FROM picture WHERE image_id = ? AND NOT gone", (image_id,)
        )
        self._database.change(
            "INSERT INTO picture (image_id, sha256, label) VALUES (?, ?, ?)"
            " ON CONFLICT (image_id) DO UPDATE SET sha256 = excluded.sha256,"
            " label = excluded.label, gone = 0",
            (image_id, content, label),
        )
        if before != content:
            self._recount_others(c for c in (before, content) if c is not None)

    def drop_others(self, content: bytes, keep: Collection[str]) -> None:
        """Record that only these images of other owners have this content."""
        dropped = self._database.change(
            "UPDATE picture SET gone = 1 WHERE sha256 = ? AND NOT gone"
            " AND image_id NOT IN (SELECT value FROM json_each(?))",
            (content, json.dumps(list(keep))),
        )
        if dropped:
            self._recount_others([content])

    def _recount_others(self, contents: Iterable[bytes]) -> None:
        for content in contents:
            self._database.change(
                "UPDATE node SET changed = 1, others ="
                " (SELECT count(*) FROM picture WHERE sha256 = ?1 AND NOT gone)"
                " WHERE content = ?1",
                (content,),
            )

    # Links.

    def links_of(self, node_id: int) -> dict[int, bool]:
        """The other ends of the links of this node that have not ended, and whether each is
        open."""
        rows = self._database.query(
            "SELECT b, NOT dismissed FROM link WHERE a = ?1 AND NOT gone"
            " UNION ALL SELECT a, NOT dismissed FROM link WHERE b = ?1 AND NOT gone",
            (node_id,),
        )
        return {other: bool(is_open) for other, is_open in rows}

    def connected(self, node_id: int, contents: Collection[bytes]) -> set[int]:
        """The nodes that links connect with this one, also dismissed links. The search stops when
        all of these contents are reached."""
        wanted = {node.node_id for node in map(self.of_content, contents) if node is not None}
        reached, frontier = {node_id}, [node_id]
        while frontier and not wanted <= reached:
            new = self.links_of(frontier.pop()).keys() - reached
            reached |= new
            frontier += new
        return reached

    def count_dismissed(self, content: bytes) -> int:
        """The number of nodes that were dismissed as duplicates of this one."""
        count: int = self._database.one(
            "SELECT count(*) FROM node JOIN link ON node_id IN (a, b)"
            " WHERE content = ? AND dismissed AND NOT gone",
            (content,),
        )
        return count

    def is_in_decision(self, content: bytes) -> bool:
        """Returns whether any decision names this content."""
        return bool(
            self._database.one(
                "SELECT 1 FROM decision_member WHERE content = ? LIMIT 1", (content,)
            )
        )

    def is_dismissed(self, one: bytes, other: bytes) -> bool:
        """Returns whether a decision names both contents."""
        return bool(
            self._database.one(
                "SELECT 1 FROM decision_member AS one JOIN decision_member AS other"
                " USING (decision_id) WHERE one.content = ? AND other.content = ?",
                (one, other),
            )
        )

    def link(self, found: FoundLink, now: float, *, dismissed: bool) -> None:
        """Record a link, and join the groups of its ends if it is open. Some services give another
        rank in each direction; the lower one counts. A link that had ended, and that is no news,
        keeps the time when it was found first."""
        a, b = sorted((found.finder, found.other))
        ranks = (found.rank, None) if found.finder == a else (None, found.rank)
        other_rank = "iif(gone, NULL, iif(excluded.a_rank IS NULL, a_rank, b_rank))"
        self._database.change(
            "INSERT INTO link (a, b, rank, kind, found_at, a_rank, b_rank, dismissed)"
            " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (a, b) DO UPDATE SET"
            f" rank = min(excluded.rank, coalesce({other_rank}, excluded.rank)),"
            f" kind = iif(coalesce({other_rank}, excluded.rank) < excluded.rank, kind,"
            " excluded.kind),"
            f" a_rank = coalesce(excluded.a_rank, {other_rank}),"
            f" b_rank = coalesce(excluded.b_rank, {other_rank}),"
            " found_at = iif(gone AND ?9, excluded.found_at, found_at),"
            " dismissed = excluded.dismissed, gone = 0",
            (a, b, found.rank, found.kind, now, *ranks, dismissed, found.is_news),
        )
        if not dismissed:
            self.join(a, b)

    def not_found(self, finder: int, others: Collection[int]) -> None:
        """Record that the search for a node did not find these linked ones. A link stays as long as
        the search for its other end finds it: the search for a whole picture may find a part of it
        when the search for the part does not find the whole. It also stays while the other end is
        being sent: the search for that image decides."""
        for other in others:
            a, b = sorted((finder, other))
            mine, others_rank = ("a_rank", "b_rank") if finder == a else ("b_rank", "a_rank")
            self._database.change(
                f"UPDATE link SET {mine} = NULL, rank = coalesce({others_rank}, rank),"
                f" gone = {others_rank} IS NULL AND NOT EXISTS (SELECT 1 FROM node JOIN image"
                " ON sha256 = content WHERE node_id = ?3 AND dirty) WHERE a = ?1 AND b = ?2",
                (a, b, other),
            )
        self.regroup([finder, *others])

    # Groups.

    def join(self, one: int, other: int) -> None:
        """Put two nodes into one group: that of the two with the older number, or a new one."""
        nodes = [self._node(one), self._node(other)]
        groups = {node.group_id for node in nodes if node.group_id is not None}
        group = min(groups) if groups else self._new_group(nodes)
        for node in nodes:
            if node.group_id is None:
                self._move("node_id = ?", node.node_id, None, group)
            elif node.group_id != group:
                self._move("group_id = ?", node.group_id, node.group_id, group)

    def regroup(self, node_ids: Iterable[int]) -> None:
        """Split the groups of these nodes where links between them have ended. The piece with the
        earliest image keeps the group's number."""
        by_group: dict[int, list[int]] = {}
        for group, node_id in self._database.query(
            "SELECT group_id, node_id FROM json_each(?) CROSS JOIN node ON node_id = value"
            " WHERE group_id IS NOT NULL",
            (json.dumps(list(node_ids)),),
        ):
            by_group.setdefault(group, []).append(node_id)
        for group, members in by_group.items():
            pieces = separated(members, self._open_neighbours)
            if pieces:
                self._split_off(self._without_earliest(pieces, group), group)
            self._leave_if_alone(group)

    def settle(self) -> None:
        """Update the groups: images may have been added and removed since the last call."""
        while changed := self._all("changed LIMIT 1000"):
            self._database.change_many(
                "UPDATE node SET changed = 0 WHERE node_id = ?",
                [(node.node_id,) for node in changed],
            )
            for node in changed:
                self._settle(self._node(node.node_id))

    def _settle(self, node: Node) -> None:
        internal = has_open_pair(self._database, node.content, node.total)
        self._database.change(
            "UPDATE node SET internal = ? WHERE node_id = ?", (internal, node.node_id)
        )
        linked = self._open_neighbours(node.node_id)
        if not node.total:
            self._database.change(
                "UPDATE link SET gone = 1 WHERE a = ?1 OR b = ?1", (node.node_id,)
            )
            self.regroup([node.node_id, *linked])
        elif node.group_id is None and (linked or internal):
            self.join(node.node_id, node.node_id)
            for other in linked:
                self.join(node.node_id, other)
        elif node.group_id is not None and not linked and not internal:
            self._leave_if_alone(node.group_id)

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
        rest = set(self._members(group)).difference(*pieces)
        return [piece if earliest not in piece else rest for piece in pieces]

    def _leave_if_alone(self, group: int) -> None:
        members = self._all("group_id = ? LIMIT 2", group)
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
            if not self._all("group_id = ? LIMIT 1", group):
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

    def _open_neighbours(self, node_id: int) -> list[int]:
        rows = self._database.query(
            f"SELECT b FROM link WHERE a = ?1 AND {OPEN}"
            f" UNION ALL SELECT a FROM link WHERE b = ?1 AND {OPEN}",
            (node_id,),
        )
        return [other for (other,) in rows]

    def _members(self, group: int) -> list[int]:
        rows = self._database.query("SELECT node_id FROM node WHERE group_id = ?", (group,))
        return [node_id for (node_id,) in rows]

    def _node(self, node_id: int) -> Node:
        node = self._one("node_id = ?", node_id)
        assert node is not None
        return node

    def _one(self, condition: str, parameter: int | bytes) -> Node | None:
        found = self._all(condition, parameter)
        return found[0] if found else None

    def _all(self, condition: str, *parameters: int | bytes) -> list[Node]:
        rows = self._database.query(f"SELECT {_COLUMNS} FROM node WHERE {condition}", parameters)
        return [Node(*row) for row in rows]
