"""The images that must be searched for, what the searches found, and the alerts that are due."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from snoopsync.core.duplicates import NEAREST_LINKS, Findings, FoundImage, search_limit
from snoopsync.core.model import Record
from snoopsync.core.shots import Distinctions, Relation
from snoopsync.state.alerts import Alerts, is_member, name_image
from snoopsync.state.database import Database
from snoopsync.state.grouping import Grouping
from snoopsync.state.links import FoundLink, Links
from snoopsync.state.nodes import BELONGS, Node, Nodes
from snoopsync.state.reported_pairs import ReportedPairs
from snoopsync.state.rows import records

#: How many of the images with the same bytes are compared by their names.
_MOST_FILES = 8


@dataclass(frozen=True, slots=True)
class Due:
    """An image to search for, with the digest of the bytes that the collection confirmed."""

    image_id: str
    sha256: bytes


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The result of the search for an image. ``at``: Unix time. ``hard_links``: images of ours that
    are this image's file under other names. ``uncompared``: images that were neither found nor
    compared. ``is_partial``: the collection did not compare all images."""

    due: Due
    findings: Findings
    at: float
    hard_links: Collection[str] = ()
    uncompared: Collection[str] = ()
    is_partial: bool = False


class Searches:
    """The searches for duplicates, in the state file. ``alerts``: the alerts that are due.
    ``reported``: what the collection reported about images of other owners."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._nodes = Nodes(database)
        self._grouping = Grouping(database)
        self._links = Links(database)
        self.alerts = Alerts(database, self._nodes)
        self.reported = ReportedPairs(database, self._nodes)

    def due(self, limit: int) -> list[Due]:
        """At most ``limit`` images that were confirmed since they were last searched for."""
        rows = self._database.query(
            "SELECT image_id, sha256 FROM image WHERE search_due ORDER BY synced_at LIMIT ?",
            (limit,),
        )
        return [Due(*row) for row in rows]

    def count_due(self) -> int:
        """The number of images that must be searched for."""
        count: int = self._database.one("SELECT count(*) FROM image WHERE search_due")
        return count

    def search_again(self) -> None:
        """Require a new search for every image, because the collection describes its pictures in a
        new way."""
        self._database.change(
            "UPDATE image SET search_due = 1 WHERE sha256 IS NOT NULL AND NOT left_out"
        )

    def limit(self, due: Due) -> int:
        """How many results the search for this image must request."""
        return search_limit(self._nodes.count_dismissed(due.sha256))

    def has_node(self, due: Due) -> bool:
        """Whether the image is a known duplicate, or was one."""
        return self._nodes.of_content(due.sha256) is not None or (
            self._named_in(due.image_id) is not None
        )

    def linked_images(self, due: Due) -> list[str]:
        """For each picture that is linked to this one: the ID of one of its images."""
        node = self._nodes.of_content(due.sha256)
        links = () if node is None else self._nodes.links_of(node.node_id)
        rows = self._database.query(
            "SELECT min(image_id) FROM node_image JOIN node USING (content) WHERE node_id IN"
            " (SELECT value FROM json_each(?)) GROUP BY node_id",
            (json.dumps(list(links)),),
        )
        return [image_id for (image_id,) in rows]

    def with_same_inode(self, due: Due) -> list[str]:
        """Images of ours with the same bytes whose file had the same inode number."""
        rows = self._database.query(
            "SELECT other.image_id FROM image JOIN image AS other USING (inode, sha256)"
            " WHERE image.image_id = ?1 AND other.image_id <> ?1 AND NOT other.left_out",
            (due.image_id,),
        )
        return [image_id for (image_id,) in rows]

    def files_of(self, content: bytes) -> list[Record]:
        """Some of our images with this content: not all, because there may be thousands."""
        return records(self._database, f"sha256 = ? AND {BELONGS} LIMIT ?", (content, _MOST_FILES))

    def content_of(self, image: FoundImage) -> bytes | None:
        """The content of an image that a search found; ``None`` if it is not known."""
        return image.sha256 or self._nodes.content_of(image.image_id)

    def related(self, due: Due) -> set[bytes]:
        """The contents whose relation to this image is known."""
        return self._links.related(due.sha256)

    def distinguish(self, distinctions: Distinctions) -> None:
        """Let companions and series count as the configuration says."""
        self._links.distinguish(distinctions)

    def settle(self) -> None:
        """Bring the groups up to date with files that were deleted and changed."""
        with self._database.transaction():
            self._grouping.settle()

    # What searches found.

    def record(self, results: Sequence[SearchResult]) -> None:
        """Record the results of searches in one transaction: links, groups, and that the searches
        are done. An alert becomes due for an image whose search found something new. It is recorded
        here, so that no alert is lost."""
        if results:
            with self._database.transaction():
                for result in results:
                    self._record(result)

    def _record(self, result: SearchResult) -> None:
        due = result.due
        self._record_hard_links(due.image_id, result.hard_links)
        # An image that was sent again during the search is still due.
        is_current = self._database.change(
            "UPDATE image SET search_due = 0 WHERE image_id = ? AND sha256 = ?",
            (due.image_id, due.sha256),
        )
        self._grouping.settle()
        if is_current:
            self._record_findings(result)

    def _record_findings(self, result: SearchResult) -> None:
        due = result.due
        self.reported.learn_contents(result.findings.images)
        found, ours = self._by_content(result)
        copies = self._database.query(
            f"SELECT image_id FROM image WHERE sha256 = ? AND {BELONGS} LIMIT 2", (due.sha256,)
        )
        node = self._nodes.of_content(due.sha256)
        if node is None and not found and len(copies) < 2:
            if not result.is_partial:
                # An alert about earlier bytes no longer counts.
                name_image(self._database, due.image_id, None)
            return
        node = self._nodes.record(due.sha256, result.findings.facts, result.at)
        same = found.pop(due.sha256, [])
        self._record_others(node, same, ours, complete=result.findings.is_complete)
        self._grouping.settle()
        node = self._reread(node)
        news = self._news_of_copies(due.image_id, node)
        if news:
            self._database.change(
                "UPDATE node SET found_at = ? WHERE node_id = ?", (result.at, node.node_id)
            )
        news |= self._record_links(result, node, found, ours)
        self._grouping.settle()
        group = self._reread(node).group_id
        if group is None:
            name_image(self._database, due.image_id, None)
        elif news and is_member(self._database, due.image_id):
            self._database.change(
                "UPDATE image SET alert_due = 1 WHERE image_id = ?", (due.image_id,)
            )

    def _record_links(
        self,
        result: SearchResult,
        node: Node,
        found: Mapping[bytes, Sequence[FoundImage]],
        ours: Collection[str],
    ) -> bool:
        """Link the node with what was found. Returns whether any of it is news."""
        due, linked = result.due, self._nodes.links_of(node.node_id)
        named_in = self._named_in(due.image_id)
        known = self._nodes.of_contents(found)
        may_be_dismissed = self._nodes.is_in_decision(due.sha256)
        has_news, open_links = False, 0
        seen = set()
        for content, images in found.items():
            other, relation = known.get(content), images[0].relation
            counts_as = self._links.counts_as(node, other, relation)
            needs_link = open_links < NEAREST_LINKS or not (
                _is_connected(other, node, counts_as) and other.node_id not in linked
            )
            if needs_link or may_be_dismissed:
                other = self._nodes.record(content, images[0].facts, result.at)
            assert other is not None
            other = self._record_others(other, images, ours, complete=False)
            if not other.total:
                continue
            seen.add(other.node_id)
            dismissed = may_be_dismissed and self._nodes.is_dismissed(due.sha256, content)
            is_duplicate = counts_as is Relation.DUPLICATE and not dismissed
            is_news = is_duplicate and self._is_news(other, named_in)
            has_news = has_news or is_news
            if not dismissed:
                open_links += counts_as is not Relation.COMPANION
                if not needs_link:
                    continue
            link = FoundLink(
                *(node.node_id, other.node_id, images[0].rank, images[0].kind, is_news, relation)
            )
            self._links.link(link, result.at, dismissed=dismissed)
            node = self._reread(node)
        if result.findings.is_complete:
            uncompared = set(filter(None, map(self._nodes.of_image, result.uncompared)))
            ended = set(linked) - seen - {each.node_id for each in uncompared}
            self._links.not_found(node.node_id, sorted(ended))
        return has_news

    def _is_news(self, other: Node, named_in: int | None) -> bool:
        """Whether a match is news for an image that an alert named in this group. 0 is an
        alert of an older version."""
        if named_in is None:
            return True
        group = other.last_group if other.group_id is None else other.group_id
        return self._has_unnamed(other.content) or (named_in != 0 and group != named_in)

    def _news_of_copies(self, image_id: str, node: Node) -> bool:
        """Whether the other images with the same bytes are news."""
        if not node.internal:
            return False
        named_in = self._named_in(image_id)
        if named_in is None:
            return True
        group = node.last_group if node.group_id is None else node.group_id
        moved = named_in != 0 and group not in (None, named_in)
        return moved or self._has_unnamed(node.content)

    def _has_unnamed(self, content: bytes) -> bool:
        return bool(
            self._database.one(
                f"SELECT 1 FROM image WHERE sha256 = ? AND named_in IS NULL AND {BELONGS} LIMIT 1",
                (content,),
            )
        )

    def _named_in(self, image_id: str) -> int | None:
        named_in: int | None = self._database.one(
            "SELECT named_in FROM image WHERE image_id = ?", (image_id,)
        )
        return named_in

    def _by_content(
        self, result: SearchResult
    ) -> tuple[dict[bytes, list[FoundImage]], Collection[str]]:
        """What was found, nearest first, by content, and which of these images are ours. Images
        that the configuration leaves out do not count."""
        ids = [image.image_id for image in result.findings.images]
        known = {
            image_id: (sha256, bool(left_out))
            for image_id, sha256, left_out in self._database.query(
                "SELECT image_id, sha256, left_out FROM image"
                " WHERE image_id IN (SELECT value FROM json_each(?))",
                (json.dumps(ids),),
            )
        }
        found: dict[bytes, list[FoundImage]] = {}
        for image in result.findings.images:
            sha256, left_out = known.get(image.image_id, (None, False))
            content = image.sha256 or sha256 or image.image_id.encode()
            if not left_out or (image.copies or 1) > 1:
                found.setdefault(content, []).append(image)
        return found, known.keys()

    def _record_others(
        self, node: Node, images: Sequence[FoundImage], ours: Collection[str], *, complete: bool
    ) -> Node:
        """Record which images of other owners the node has. Returns the node with them."""
        others = [image for image in images if image.image_id not in ours]
        for image in others:
            self._nodes.add_other(image.image_id, node.content, image.label)
        if others:
            node = self._reread(node)
        copies = [image.copies for image in images if image.copies is not None]
        # Without numbers of copies, each image with this content was named.
        is_outdated = max(copies) < node.others if copies else bool(images) or complete
        if is_outdated and node.others:
            self._nodes.drop_others(node.content, [image.image_id for image in others])
            node = self._reread(node)
        return node

    def _record_hard_links(self, image_id: str, hard_links: Collection[str]) -> None:
        """Record which images are one file: the others are linked to the earliest of them."""
        ids = json.dumps([image_id, *hard_links])
        former = self._database.query(
            "SELECT image_id FROM image WHERE (linked_to = ?1 OR image_id ="
            " (SELECT linked_to FROM image WHERE image_id = ?1)) AND image_id NOT IN"
            " (SELECT value FROM json_each(?2))",
            (image_id, ids),
        )
        for (other,) in former:
            self._database.change(
                "UPDATE image SET search_due = 1, linked_to = nullif(linked_to, ?)"
                " WHERE image_id = ?",
                (image_id, other),
            )
        first = self._database.one(
            "SELECT image_id FROM image WHERE image_id IN (SELECT value FROM json_each(?))"
            " ORDER BY rowid LIMIT 1",
            (ids,),
        )
        self._database.change(
            "UPDATE image SET linked_to = iif(image_id = ?1, NULL, ?1)"
            " WHERE image_id IN (SELECT value FROM json_each(?2))"
            " AND linked_to IS NOT iif(image_id = ?1, NULL, ?1)",
            (first, ids),
        )

    def _reread(self, node: Node) -> Node:
        again = self._nodes.of_content(node.content)
        assert again is not None
        return again


def _is_connected(other: Node | None, node: Node, counts_as: Relation) -> TypeGuard[Node]:
    """Returns whether two nodes need no link between them that counts as this, because others
    connect them or because it would connect nothing."""
    if other is None:
        return False
    if counts_as is Relation.SERIES and node.has_duplicate:
        return True
    is_proven = counts_as is not Relation.DUPLICATE or other.has_duplicate
    return node.group_id is not None and other.group_id == node.group_id and is_proven
