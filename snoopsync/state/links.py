"""The links in the state file: which pictures are alike, and how they are related.

A relation comes from the metadata and the names of the files. It never changes by itself. The
configuration decides which relations count as what they are, and which as duplicates.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass

from snoopsync.core.shots import Distinctions, Relation
from snoopsync.state.database import Database
from snoopsync.state.grouping import Grouping
from snoopsync.state.nodes import BELONGS, OPEN, Node

#: The fact that names the relations which are distinguished from duplicates. Without it, all are.
_FACT = "distinguished relations"


@dataclass(frozen=True, slots=True)
class FoundLink:
    """A link that the search for one of its ends found. ``finder``: that end. ``is_news``: no alert
    named the two in their group. ``relation``: ``None`` if it could not be determined."""

    finder: int
    other: int
    rank: int
    kind: str | None
    is_news: bool = True
    relation: Relation | None = None


class Links:
    """The links in the state file. All methods but ``distinguish`` run in a transaction of their
    caller."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._grouping = Grouping(database)

    def link(self, found: FoundLink, now: float, *, dismissed: bool) -> None:
        """Record a link, and join the groups of its ends if it connects them. Some services give
        another rank in each direction; the lower one counts. A link that had ended, and that is no
        news, keeps the time when it was found first. A relation that could not be determined is
        that of an earlier search."""
        a, b = sorted((found.finder, found.other))
        ranks = (found.rank, None) if found.finder == a else (None, found.rank)
        other_rank = "iif(gone, NULL, iif(excluded.a_rank IS NULL, a_rank, b_rank))"
        before = self._database.one(
            f"SELECT counts_as FROM link WHERE a = ? AND b = ? AND {OPEN}", (a, b)
        )
        counts_as = self._meaning(a, b, found.relation)
        self._database.change(
            "INSERT INTO link (a, b, rank, kind, found_at, a_rank, b_rank, dismissed, relation,"
            " counts_as) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?10, ?11)"
            " ON CONFLICT (a, b) DO UPDATE SET"
            f" rank = min(excluded.rank, coalesce({other_rank}, excluded.rank)),"
            f" kind = iif(coalesce({other_rank}, excluded.rank) < excluded.rank, kind,"
            " excluded.kind),"
            f" a_rank = coalesce(excluded.a_rank, {other_rank}),"
            f" b_rank = coalesce(excluded.b_rank, {other_rank}),"
            " found_at = iif(gone AND ?9, excluded.found_at, found_at),"
            " dismissed = excluded.dismissed, gone = 0,"
            " relation = coalesce(excluded.relation, relation), counts_as = excluded.counts_as",
            (
                *(a, b, found.rank, found.kind, now, *ranks, dismissed, found.is_news),
                *(found.relation, counts_as),
            ),
        )
        if before not in (None, counts_as):
            self._grouping.regroup([a, b])
        if not dismissed:
            self._grouping.connect(a, b)

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
        self._grouping.regroup([finder, *others])

    # Relations.

    def counts_as(self, node: Node, other: Node | None, relation: Relation | None) -> Relation:
        """What a link between two nodes counts as. ``other``: ``None`` if it is not recorded yet.
        ``relation``: ``None`` for that of an earlier search, and for duplicates if there was
        none."""
        a, b = sorted((node.node_id, 0 if other is None else other.node_id))
        return self._meaning(a, b, relation)

    def related(self, content: bytes) -> set[bytes]:
        """The contents of the nodes whose relation to the node with this content is known."""
        rows = self._database.query(
            "SELECT other.content FROM node JOIN link ON a = node.node_id"
            " JOIN node AS other ON other.node_id = b WHERE node.content = ?1 AND relation NOT NULL"
            " UNION ALL SELECT other.content FROM node JOIN link ON b = node.node_id"
            " JOIN node AS other ON other.node_id = a WHERE node.content = ?1"
            " AND relation NOT NULL",
            (content,),
        )
        return {other for (other,) in rows}

    def distinguish(self, distinctions: Distinctions) -> None:
        """Let all links count as the configuration says. Alerts become due for pairs that are
        duplicates now, unless an alert named them already."""
        with self._database.transaction():
            if distinctions == self._distinctions():
                return
            self._database.change(
                "INSERT OR REPLACE INTO fact VALUES (?, ?)",
                (_FACT, " ".join(sorted(distinctions.relations))),
            )
            changed: set[int] = set()
            for relation in (Relation.COMPANION, Relation.SERIES):
                ends = self._database.query(
                    "UPDATE link SET counts_as = ?1 WHERE relation = ?2 AND counts_as <> ?1"
                    " RETURNING a, b",
                    (distinctions.counts_as(relation), relation),
                )
                changed.update(node_id for both in ends for node_id in both)
            self._grouping.settle()
            self._grouping.rebuild(changed)
            self._require_alerts(changed)

    def _require_alerts(self, node_ids: Collection[int]) -> None:
        """Let an alert become due for each group of duplicates of these nodes that has an image
        which no alert named. One alert counts the whole group."""
        newest = self._database.query(
            "SELECT max(image.rowid) FROM json_each(?) CROSS JOIN node ON node_id = value"
            " CROSS JOIN image ON sha256 = content"
            f" WHERE has_duplicate AND named_in IS NULL AND {BELONGS} GROUP BY group_id",
            (json.dumps(list(node_ids)),),
        )
        self._database.change_many("UPDATE image SET alert_due = 1 WHERE rowid = ?", newest)

    def _meaning(self, a: int, b: int, relation: Relation | None) -> Relation:
        known = relation or self._database.one(
            "SELECT relation FROM link WHERE a = ? AND b = ?", (a, b)
        )
        return self._distinctions().counts_as(Relation(known or Relation.DUPLICATE))

    def _distinctions(self) -> Distinctions:
        known = self._database.one("SELECT value FROM fact WHERE name = ?", (_FACT,))
        if known is None:
            return Distinctions()
        return Distinctions(*(each in known.split() for each in ("companion", "series")))
