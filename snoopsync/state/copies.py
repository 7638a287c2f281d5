"""Which images with the same bytes are duplicates of each other."""

from __future__ import annotations

from snoopsync.state.database import Database

#: The largest number of images of a node that one decision names.
_MOST_COVERED = """
    SELECT max(covered) FROM (
        SELECT count(*) AS covered FROM decision_member
        WHERE content = ?1 AND image_id IN (SELECT image_id FROM node_image WHERE content = ?1)
        GROUP BY decision_id)
"""

#: How many pairs of images of a node a decision names.
_PAIRS_COVERED = """
    SELECT count(*) FROM (
        SELECT DISTINCT one.image_id, other.image_id
        FROM decision_member AS one
        JOIN decision_member AS other USING (decision_id, content)
        JOIN node_image AS a ON (a.content, a.image_id) = (one.content, one.image_id)
        JOIN node_image AS b ON (b.content, b.image_id) = (one.content, other.image_id)
        WHERE one.content = ? AND one.image_id < other.image_id)
"""

#: Up to so many images of a node, every two of them are looked up in the decisions.
_MOST_PAIRED = 40


def has_open_pair(database: Database, content: bytes, images: int) -> bool:
    """Returns whether two images with this content are duplicates of each other: no decision names
    both. ``images``: how many images have the content."""
    if images < 2:
        return False
    covered = database.one(_MOST_COVERED, (content,)) or 0
    if covered == 0 or covered >= images or images > _MOST_PAIRED:
        return bool(covered < images)
    pairs = database.one(_PAIRS_COVERED, (content,))
    return bool(pairs < images * (images - 1) // 2)
