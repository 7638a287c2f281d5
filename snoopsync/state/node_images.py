"""Finds the nodes of many images in one query."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from snoopsync.state.database import Database
from snoopsync.state.nodes import BELONGS


@dataclass(frozen=True, slots=True)
class NodeImage:
    """An image and its node, which is ``None`` if the image was never like another one.
    ``belongs``: the node counts the image. ``group``: the node's group, ``last_group`` the last
    one that it was in."""

    content: bytes
    node_id: int | None
    belongs: bool
    group: int | None
    last_group: int | None


def node_images(database: Database, image_ids: Iterable[str]) -> dict[str, NodeImage]:
    """Those of these images whose bytes are known, ours and other owners', by ID."""
    node = "node_id, {}, group_id, last_group FROM json_each(?1) CROSS JOIN {} ON image_id = value"
    rows = database.query(
        f"SELECT image_id, sha256, {node.format(BELONGS, 'image')}"
        " LEFT JOIN node ON content = sha256 WHERE sha256 <> x''"
        f" UNION ALL SELECT image_id, sha256, {node.format('1', 'picture')}"
        " LEFT JOIN node ON content = sha256 WHERE NOT gone AND sha256 IS NOT NULL",
        (json.dumps(list(dict.fromkeys(image_ids))),),
    )
    found: dict[str, NodeImage] = {}
    for image_id, content, node_id, belongs, group, last_group in rows:
        # Our own image comes first.
        found.setdefault(image_id, NodeImage(content, node_id, bool(belongs), group, last_group))
    return found
