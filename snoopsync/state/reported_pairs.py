"""Images of other owners that the collection reported, because they are like images of ours.

A reported pair waits until a search has shown what the collection knows about the other owner's
image. Then the image is recorded, and an alert becomes due for it, unless an alert already named or
counted it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from snoopsync.core.duplicates import FoundImage
from snoopsync.core.keep import IDENTICAL
from snoopsync.core.protocol import PictureFacts
from snoopsync.state.database import Database
from snoopsync.state.grouping import Grouping
from snoopsync.state.links import FoundLink, Links
from snoopsync.state.nodes import Nodes

#: How many images of other owners are recorded because they were reported. No collection can fill
#: the disk.
MOST_OTHERS = 1_000_000

#: The reported pair ``?1``, ``?2``, if both images are in one group.
_IN_ONE_GROUP = """
    SELECT 1 FROM picture JOIN node AS theirs ON theirs.content = picture.sha256
    JOIN image ON image.image_id = ?2 JOIN node AS ours ON ours.content = image.sha256
    WHERE picture.image_id = ?1 AND NOT picture.gone AND theirs.group_id = ours.group_id
"""


@dataclass(frozen=True, slots=True)
class ReportedPair:
    """An image of ours, and the image ``match`` of another owner. ``rank``, ``kind`` and ``label``:
    as in ``protocol.ChangedPair``."""

    match: str
    image_id: str
    rank: int
    kind: str | None = None
    label: str | None = None


class ReportedPairs:
    """The reported pairs in the state file."""

    def __init__(self, database: Database, nodes: Nodes) -> None:
        self._database = database
        self._nodes = nodes
        self._grouping = Grouping(database)
        self._links = Links(database)

    def add(self, pairs: Iterable[ReportedPair]) -> int:
        """Store pairs, in a transaction of the caller. Pairs that are known already, or whose image
        we do not have, are left out. Returns how many were stored."""
        recorded = self._database.one(
            "SELECT (SELECT count(*) FROM picture) + (SELECT count(*) FROM reported_pair)"
        )
        stored = 0
        for pair in pairs:
            is_wanted = recorded + stored < MOST_OTHERS and self._content_of(pair) is not None
            if is_wanted and not self._is_known(pair):
                stored += self._database.change(
                    "REPLACE INTO reported_pair (match, image_id, rank, kind, label)"
                    " VALUES (?, ?, ?, ?, ?)",
                    (pair.match, pair.image_id, pair.rank, pair.kind, pair.label),
                )
        return stored

    def due(self, after: str, limit: int) -> list[list[ReportedPair]]:
        """The pairs of at most ``limit`` images of other owners, in the order of their IDs,
        beginning after ``after``. The nearest pair of each image comes first."""
        rows = self._database.query(
            "SELECT match, image_id, rank, kind, label FROM reported_pair WHERE match IN"
            " (SELECT DISTINCT match FROM reported_pair WHERE match > ? ORDER BY match LIMIT ?)"
            " ORDER BY match, rank, image_id",
            (after, limit),
        )
        found: dict[str, list[ReportedPair]] = {}
        for row in rows:
            pair = ReportedPair(*row)
            found.setdefault(pair.match, []).append(pair)
        return list(found.values())

    def drop(self, match: str) -> None:
        """Forget the pairs of an image that the collection no longer has."""
        self._database.change("DELETE FROM reported_pair WHERE match = ?", (match,))

    def record(
        self,
        pairs: Sequence[ReportedPair],
        found: FoundImage | None,
        facts: PictureFacts,
        at: float,
    ) -> None:
        """Record all pairs of one image of another owner. ``found``: the image, if a search for the
        image of the first pair found it. ``facts``: what that search reported about our image.
        ``at``: Unix time."""
        with self._database.transaction():
            self.drop(pairs[0].match)
            self.learn_contents([] if found is None else [found])
            self._grouping.settle()
            # If an alert named the image, it counted this group.
            is_new = not any(map(self._is_known, pairs))
            contents = {pair.image_id: self._content_of(pair) for pair in pairs}
            content = self._record_match(pairs, found, facts, at)
            node = self._nodes.of_content(content)
            assert node is not None
            for pair in pairs:
                ours = contents[pair.image_id]
                if ours is None or ours == content:
                    continue
                finder = self._nodes.record(ours, facts if pair is pairs[0] else {}, at)
                is_dismissed = self._nodes.is_dismissed(ours, content)
                link = FoundLink(finder.node_id, node.node_id, pair.rank, pair.kind, is_new)
                self._links.link(link, at, dismissed=is_dismissed)
            self._grouping.settle()
            node = self._nodes.of_content(content)
            if is_new and node is not None and node.group_id is not None:
                self._database.change(
                    "UPDATE picture SET alert_due = 1 WHERE image_id = ?", (pairs[0].match,)
                )
                self._database.change(
                    "UPDATE node SET found_at = ? WHERE node_id = ?", (at, node.node_id)
                )

    def learn_contents(self, found: Iterable[FoundImage]) -> None:
        """A search found these images. Those that were recorded by their IDs get the digest of
        their bytes, so that they keep their links, alerts and decisions."""
        digests = {image.image_id: image.sha256 for image in found if image.sha256}
        rows = self._database.query(
            "SELECT image_id, sha256 FROM picture WHERE sha256 = CAST(image_id AS BLOB)"
            " AND image_id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(digests)),),
        )
        for image_id, content in rows:
            digest = digests[image_id]
            self._database.change(
                "UPDATE OR IGNORE decision_member SET content = ? WHERE content = ?",
                (digest, content),
            )
            # If another image with these bytes has a node, this image joins it when it is recorded.
            if self._database.change(
                "UPDATE OR IGNORE node SET content = ? WHERE content = ?", (digest, content)
            ):
                self._database.change(
                    "UPDATE picture SET sha256 = ? WHERE image_id = ?", (digest, image_id)
                )

    def _record_match(
        self,
        pairs: Sequence[ReportedPair],
        found: FoundImage | None,
        facts: PictureFacts,
        at: float,
    ) -> bytes:
        """Record the other owner's image. Returns its content."""
        first = pairs[0]
        label = first.label or (None if found is None else found.label)
        content = None if found is None else found.sha256
        known: PictureFacts = {} if found is None else found.facts
        if content is None and first.kind == IDENTICAL:
            content, known = self._content_of(first), facts
        # Of several images with the same bytes, a search names one, and not this one.
        content = content or first.match.encode()
        self._nodes.record(content, known, at)
        self._nodes.add_other(first.match, content, label)
        self._grouping.settle()
        return content

    def _content_of(self, pair: ReportedPair) -> bytes | None:
        """The digest of our image's bytes; ``None`` if we do not have it."""
        content: bytes | None = self._database.one(
            "SELECT sha256 FROM image WHERE image_id = ? AND NOT left_out AND sha256 <> x''",
            (pair.image_id,),
        )
        return content

    def _is_known(self, pair: ReportedPair) -> bool:
        """Whether both images are in one group, so that an alert named or counted them."""
        return bool(self._database.one(_IN_ONE_GROUP, (pair.match, pair.image_id)))
