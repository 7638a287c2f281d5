"""Nodes and links in the state file: reads them, and records nodes.

A node stands for all images with the same bytes. A link says that the pictures of two nodes are
alike. A link is open unless a person dismissed it or it has ended.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from snoopsync.core.protocol import PictureFacts
from snoopsync.core.shots import Relation
from snoopsync.state.database import Database

#: The conditions for an open link, for one that counts as duplicate, and for an image of ours that
#: belongs to its node.
OPEN = "NOT gone AND NOT dismissed"
OPEN_DUPLICATE = f"{OPEN} AND counts_as = '{Relation.DUPLICATE}'"
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
    """One row of ``node``. ``internal``: two of its images are duplicates of each other.
    ``has_duplicate``: it is internal or has an open link that counts as duplicate."""

    node_id: int
    content: bytes
    images: int
    others: int
    internal: bool
    group_id: int | None
    last_group: int | None
    has_duplicate: bool

    @property
    def total(self) -> int:
        """The number of images with these bytes."""
        return self.images + self.others


_COLUMNS = "node_id, content, images, others, internal, group_id, last_group, has_duplicate"


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

    def numbered(self, node_id: int) -> Node:
        """The node with this number."""
        node = self._one("node_id = ?", node_id)
        assert node is not None
        return node

    def in_group(self, group: int, most: int = -1) -> list[Node]:
        """The nodes in this group, at most so many."""
        return self._all("group_id = ? LIMIT ?", group, most)

    def changed(self, most: int) -> list[Node]:
        """Nodes whose images changed since the groups were last updated, at most so many."""
        return self._all("changed LIMIT ?", most)

    def _one(self, condition: str, parameter: int | bytes) -> Node | None:
        found = self._all(condition, parameter)
        return found[0] if found else None

    def _all(self, condition: str, *parameters: int | bytes) -> list[Node]:
        rows = self._database.query(f"SELECT {_COLUMNS} FROM node WHERE {condition}", parameters)
        return [Node(*row) for row in rows]
