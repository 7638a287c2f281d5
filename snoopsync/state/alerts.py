"""The alerts that are due: for images of ours, and for images of other owners that the collection
reported.

``image.named_in`` is the group in which an alert named or counted the image. An image of another
owner needs no such note, because the collection reports it once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from snoopsync.core.keep import IDENTICAL
from snoopsync.state.database import Database
from snoopsync.state.nodes import BELONGS, OPEN_DUPLICATE, Node, Nodes
from snoopsync.state.sides import Side, read_side


@dataclass(frozen=True, slots=True)
class NewDuplicate:
    """A new picture and the nearest picture that is similar to it. ``image`` is always ours.
    ``match`` is the new one of the two if the collection reported it. ``kind``: how they differ.
    ``others``: how many more images the group has. ``counted``: those of them for which an alert
    was due as well."""

    image: Side
    match: Side
    rank: int
    kind: str | None
    group: int
    others: int
    counted: tuple[str, ...] = ()


#: An image for which an alert is due, its content, and the function that finds the alert.
_DueImage = tuple[str, bytes | None, Callable[[Node, str], NewDuplicate | None]]


class Alerts:
    """The alerts that are due, in the state file."""

    def __init__(self, database: Database, nodes: Nodes) -> None:
        self._database = database
        self._nodes = nodes

    def due(self) -> list[NewDuplicate]:
        """The alerts that are due. If several of these images are in one group, the alert for the
        first one counts the others."""
        alerts: dict[int, NewDuplicate] = {}
        counted: dict[int, list[str]] = {}
        for image_id, sha256, find in self._all():
            node = None if sha256 is None else self._nodes.of_content(sha256)
            if node is None or node.group_id is None:
                continue
            if node.group_id in alerts:
                counted.setdefault(node.group_id, []).append(image_id)
            elif alert := find(node, image_id):
                alerts[node.group_id] = alert
        return [
            replace(alert, counted=tuple(counted.get(group, ()))) for group, alert in alerts.items()
        ]

    def mark(self, alerts: Sequence[NewDuplicate]) -> None:
        """Record that these alerts were given. They named or counted all images of their groups."""
        with self._database.transaction():
            for alert in alerts:
                name_image(self._database, alert.image.image_id, alert.group)
                self._database.change(
                    "UPDATE image SET named_in = ?1, alert_due = 0 WHERE named_in IS NULL"
                    " AND sha256 IN (SELECT content FROM node WHERE group_id = ?1)",
                    (alert.group,),
                )
                self._drop([alert.image.image_id, alert.match.image_id, *alert.counted])

    def drop_ended(self) -> None:
        """Drop the alerts for images that are no duplicates any more. Call this when the alerts
        that are due were given."""
        with self._database.transaction():
            self._forget([image_id for image_id, _, _ in self._ended()])

    def _ended(self) -> Iterator[_DueImage]:
        for each in self._all():
            image_id, sha256, find = each
            node = None if sha256 is None else self._nodes.of_content(sha256)
            if node is None or find(node, image_id) is None:
                yield each

    def _forget(self, image_ids: Sequence[str]) -> None:
        """No alert names these images any more."""
        self._drop(image_ids)
        self._database.change_many(
            "UPDATE image SET named_in = NULL WHERE image_id = ?",
            [(image_id,) for image_id in image_ids],
        )

    def _drop(self, image_ids: Sequence[str]) -> None:
        for table in ("image", "picture"):
            self._database.change_many(
                f"UPDATE {table} SET alert_due = 0 WHERE alert_due AND image_id = ?",
                [(image_id,) for image_id in image_ids],
            )

    def _all(self) -> Iterator[_DueImage]:
        for image_id, sha256 in self._images():
            yield image_id, sha256, self._of_image
        for image_id, sha256 in self._pictures():
            yield image_id, sha256, self._of_picture

    def _images(self) -> list[tuple[str, bytes | None]]:
        # The unary plus makes SQLite sort the few rows, instead of reading the whole table.
        return self._database.query(
            "SELECT image_id, sha256 FROM image WHERE alert_due ORDER BY +rowid"
        )

    def _pictures(self) -> list[tuple[str, bytes]]:
        return self._database.query(
            "SELECT image_id, sha256 FROM picture WHERE alert_due ORDER BY image_id"
        )

    def _of_image(self, node: Node, image_id: str) -> NewDuplicate | None:
        """The alert for an image of ours; ``None`` if it is no duplicate any more."""
        if not is_member(self._database, image_id):
            return None
        image = read_side(self._database, node.node_id, image_id)
        match, rank, kind = self._nearest(node, image_id)
        return self._alert(node, image, match, rank, kind)

    def _of_picture(self, node: Node, image_id: str) -> NewDuplicate | None:
        """The alert for an image of another owner; ``None`` if it is no duplicate any more."""
        match = read_side(self._database, node.node_id, image_id)
        image, rank, kind = self._nearest(node, image_id, only_ours=True)
        return self._alert(node, image, match, rank, kind)

    def _alert(
        self, node: Node, image: Side | None, match: Side | None, rank: int, kind: str | None
    ) -> NewDuplicate | None:
        if node.group_id is None or image is None or match is None:
            return None
        count: int = self._database.one(
            "SELECT sum(images + others) FROM node WHERE group_id = ?", (node.group_id,)
        )
        return NewDuplicate(image, match, rank, kind, node.group_id, max(0, count - 2))

    def _nearest(
        self, node: Node, image_id: str, *, only_ours: bool = False
    ) -> tuple[Side | None, int, str | None]:
        """The nearest image to this image of the node, with rank and kind."""
        match = read_side(self._database, node.node_id, image_id, another=True)
        if node.internal and _is_eligible(match, only_ours):
            return match, 0, IDENTICAL
        rows = self._database.query(
            f"SELECT b, rank, kind FROM link WHERE a = ?1 AND {OPEN_DUPLICATE}"
            f" UNION ALL SELECT a, rank, kind FROM link WHERE b = ?1 AND {OPEN_DUPLICATE}"
            " ORDER BY 2, 1",
            (node.node_id,),
        )
        for other, rank, kind in rows:
            match = read_side(self._database, other, "", another=True)
            if _is_eligible(match, only_ours):
                return match, rank, kind
        return None, 0, None


def _is_eligible(side: Side | None, only_ours: bool) -> bool:
    return side is not None and (side.rel_path is not None or not only_ours)


def is_member(database: Database, image_id: str) -> bool:
    """Whether an image of ours belongs to a node."""
    return bool(database.one(f"SELECT 1 FROM image WHERE image_id = ? AND {BELONGS}", (image_id,)))


def name_image(database: Database, image_id: str, group: int | None) -> None:
    """Record the group in which an alert named the image; ``None`` if none did."""
    database.change(
        "UPDATE image SET named_in = ?, alert_due = 0 WHERE image_id = ?", (group, image_id)
    )
