"""Dismissals: decisions of a person that some images are not duplicates of each other.

A decision names its images by their bytes: one row for each image. It closes the links between
these bytes, whatever IDs they get. Of images with the same bytes it covers those that it names, so
a further copy is a new duplicate.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snoopsync.core.errors import SnoopsyncError
from snoopsync.core.model import printable
from snoopsync.state.database import Database
from snoopsync.state.grouping import Grouping
from snoopsync.state.node_images import node_images
from snoopsync.state.nodes import Nodes


class MembersChanged(SnoopsyncError):
    """An image has changed since the person saw it."""


@dataclass(frozen=True, slots=True)
class Member:
    """An image as a person saw it. ``content``: the SHA-256 of its bytes, or its ID where the
    collection tells no SHA-256."""

    image_id: str
    content: bytes

    @classmethod
    def from_message(cls, message: Sequence[str]) -> Member:
        """The member of a valid command."""
        return cls(message[0], bytes.fromhex(message[1]))

    def as_message(self) -> list[str]:
        """The member as part of a command."""
        return [self.image_id, self.content.hex()]


@dataclass(frozen=True, slots=True)
class Dismissal:
    """Images that are not duplicates of each other. ``group``: the group that they were shown
    in."""

    members: tuple[Member, ...]
    group: int | None = None

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> Dismissal:
        """The dismissal of a valid command."""
        return cls(tuple(map(Member.from_message, message["members"])), message["group"])

    def as_message(self) -> dict[str, Any]:
        """The dismissal as part of a command."""
        return {"members": [each.as_message() for each in self.members], "group": self.group}


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """A dismissal that was recorded. ``at``: Unix time."""

    number: int
    at: float
    members: tuple[Member, ...]


class Decisions:
    """The dismissals in the state file."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._nodes = Nodes(database)
        self._grouping = Grouping(database)

    def dismiss(self, dismissals: Sequence[Dismissal], now: float) -> None:
        """Record these decisions, all of them or none. ``now``: Unix time. Raises
        ``MembersChanged`` if an image is not what the person saw."""
        with self._database.transaction():
            self._grouping.settle()
            images = node_images(self._database, (each.image_id for each in _members(dismissals)))
            for member in _members(dismissals):
                known = images.get(member.image_id)
                if known is None or known.content != member.content:
                    raise MembersChanged(
                        f"{printable(member.image_id)} has changed since it was listed: list the"
                        " duplicates again"
                    )
            nodes: dict[int, None] = {}
            for dismissal in dismissals:
                self._record(dismissal, now)
                found = (images[member.image_id].node_id for member in dismissal.members)
                dismissed = dict.fromkeys(node_id for node_id in found if node_id is not None)
                self._close_links(list(dismissed))
                nodes |= dismissed
            self._changed(list(nodes))
            self._grouping.settle()
            self._grouping.regroup(nodes)

    def _record(self, dismissal: Dismissal, now: float) -> None:
        decision = self._database.one(
            "INSERT INTO decision (at, group_id) VALUES (?, ?) RETURNING decision_id",
            (now, dismissal.group),
        )
        self._database.change_many(
            "INSERT OR IGNORE INTO decision_member VALUES (?, ?, ?)",
            [(decision, member.content, member.image_id) for member in dismissal.members],
        )

    def _close_links(self, nodes: Sequence[int]) -> None:
        """Close the links between these nodes."""
        if len(nodes) > 1:
            self._database.change(
                # The unary plus keeps SQLite from looking up every two of the nodes.
                "UPDATE link SET dismissed = 1 WHERE a IN (SELECT value FROM json_each(?1))"
                " AND +b IN (SELECT value FROM json_each(?1))",
                (json.dumps(nodes),),
            )

    def restore(self, members: Sequence[Member], group: int | None = None) -> int:
        """Delete the decisions that name two or more of these images, and those about this group.
        Returns their number."""
        with self._database.transaction():
            decisions = self._about(members) | self._of_group(group)
            for decision in decisions:
                self._restore(decision)
            self._grouping.settle()
        return len(decisions)

    def count(self) -> int:
        """The number of dismissals."""
        count: int = self._database.one("SELECT count(*) FROM decision")
        return count

    def listed(self, before: int | None, count: int) -> list[DecisionRow]:
        """The newest dismissals, at most so many. ``before``: only those with a lower number."""
        rows = self._database.query(
            "SELECT decision_id FROM decision WHERE ?1 IS NULL OR decision_id < ?1"
            " ORDER BY decision_id DESC LIMIT ?2",
            (before, count),
        )
        return self.numbered([number for (number,) in rows])

    def numbered(self, numbers: Sequence[int]) -> list[DecisionRow]:
        """Those of these dismissals that exist, the newest first."""
        times: dict[int, float] = {}
        members: dict[int, list[Member]] = {}
        for number, at, image_id, content in self._database.query(
            "SELECT decision_id, at, image_id, content FROM decision"
            " JOIN decision_member USING (decision_id)"
            " WHERE decision_id IN (SELECT value FROM json_each(?)) ORDER BY decision_id DESC",
            (json.dumps(numbers),),
        ):
            times[number] = at
            members.setdefault(number, []).append(Member(image_id, content))
        return [DecisionRow(each, times[each], tuple(members[each])) for each in members]

    def named_since(self, since: float) -> dict[bytes, float]:
        """The contents that dismissals since then name, each with the time of the newest of these.
        Both are Unix times."""
        rows = self._database.query(
            "SELECT content, max(at) FROM decision JOIN decision_member USING (decision_id)"
            " WHERE at >= ? GROUP BY content",
            (since,),
        )
        return dict(rows)

    def dismissed_with(self, member: Member) -> tuple[set[bytes], set[str]]:
        """What was dismissed as duplicates of this image: contents, and IDs of images with the same
        content."""
        rows = self._database.query(
            "SELECT other.content, other.image_id, one.image_id = ?2"
            " FROM decision_member AS one JOIN decision_member AS other USING (decision_id)"
            " WHERE one.content = ?1",
            (member.content, member.image_id),
        )
        contents = {content for content, _, _ in rows if content != member.content}
        named = {
            image_id for content, image_id, is_it in rows if is_it and content == member.content
        }
        return contents, named - {member.image_id}

    def _about(self, members: Sequence[Member]) -> set[int]:
        """The decisions that name two or more of these images, or two or more of their
        contents."""
        # One query for each content, because ten thousand copies of a picture have the same one.
        of_content: dict[bytes, set[str]] = {}
        for member in members:
            of_content.setdefault(member.content, set()).add(member.image_id)
        contents: dict[int, set[bytes]] = {}
        named: Counter[int] = Counter()
        for content, image_ids in of_content.items():
            rows = self._database.query(
                "SELECT decision_id, image_id FROM decision_member WHERE content = ?", (content,)
            )
            for decision, image_id in rows:
                contents.setdefault(decision, set()).add(content)
                named[decision] += image_id in image_ids
        return {each for each in contents if len(contents[each]) > 1 or named[each] > 1}

    def _of_group(self, group: int | None) -> set[int]:
        rows = self._database.query("SELECT decision_id FROM decision WHERE group_id = ?", (group,))
        return {decision for (decision,) in rows}

    def _restore(self, decision: int) -> None:
        contents = [
            content
            for (content,) in self._database.query(
                "SELECT DISTINCT content FROM decision_member WHERE decision_id = ?", (decision,)
            )
        ]
        self._database.change("DELETE FROM decision WHERE decision_id = ?", (decision,))
        self._database.change("DELETE FROM decision_member WHERE decision_id = ?", (decision,))
        nodes = self._node_ids(contents)
        reopened = self._database.query(
            "SELECT a, b FROM link WHERE dismissed AND a IN (SELECT value FROM json_each(?1))"
            " AND +b IN (SELECT value FROM json_each(?1))",
            (json.dumps(nodes),),
        )
        for a, b in reopened:
            # Another decision may name the two as well.
            if not self._nodes.is_dismissed(self._content(a), self._content(b)):
                self._database.change("UPDATE link SET dismissed = 0 WHERE a = ? AND b = ?", (a, b))
                self._grouping.connect(a, b)
        self._changed(nodes)

    def _changed(self, nodes: Sequence[int]) -> None:
        # A node with one image has nothing to settle: only its links matter.
        self._database.change(
            "UPDATE node SET changed = 1 WHERE images + others > 1"
            " AND node_id IN (SELECT value FROM json_each(?))",
            (json.dumps(nodes),),
        )

    def _node_ids(self, contents: Iterable[bytes]) -> list[int]:
        found = (self._nodes.of_content(content) for content in dict.fromkeys(contents))
        return [node.node_id for node in found if node is not None]

    def _content(self, node_id: int) -> bytes:
        content: bytes = self._database.one(
            "SELECT content FROM node WHERE node_id = ?", (node_id,)
        )
        return content


def _members(dismissals: Iterable[Dismissal]) -> Iterator[Member]:
    return (member for dismissal in dismissals for member in dismissal.members)
