"""Makes dismissals of groups, or of the images that a person names.

The image to keep is not computed, because a dismissal of 10,000 groups must not take long.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence

from snoopsync.state.database import Database
from snoopsync.state.decisions import Dismissal, Member
from snoopsync.state.group_order import GroupFilter, measured_groups
from snoopsync.state.node_images import NodeImage, node_images
from snoopsync.state.nodes import Nodes
from snoopsync.state.sides import read_sides

#: How many groups are read in one query.
_PAGE = 500


def dismissals_of_groups(database: Database, which: GroupFilter) -> Iterator[Dismissal]:
    """For each open group that matches, a dismissal of all its images. The filter must have neither
    a kind nor a rank, since both depend on the image to keep."""
    assert which.kind is None and which.max_rank is None
    numbers = [each.number for each in measured_groups(database, which)]
    for start in range(0, len(numbers), _PAGE):
        rows = database.query(
            "SELECT node_id, content, group_id FROM node"
            " WHERE group_id IN (SELECT value FROM json_each(?))",
            (json.dumps(numbers[start : start + _PAGE]),),
        )
        sides = read_sides(database, [node_id for node_id, _, _ in rows])
        members: dict[int, list[Member]] = {}
        for _, content, group in rows:
            found = [Member(side.image_id, content) for side in sides.get(content, ())]
            members.setdefault(group, []).extend(found)
        yield from (Dismissal(tuple(found), group) for group, found in members.items())


def dismissals_of_images(
    database: Database, named: Sequence[Collection[Member]]
) -> list[Dismissal | None]:
    """For each of these sets of images, a dismissal of them; ``None`` unless all of them are in one
    group. Images that were dismissed already count."""
    images = node_images(database, (member.image_id for each in named for member in each))
    nodes = Nodes(database)
    return [_dismissal(nodes, members, images) for members in named]


def _dismissal(
    nodes: Nodes, members: Collection[Member], images: Mapping[str, NodeImage]
) -> Dismissal | None:
    found = []
    for member in members:
        image = images.get(member.image_id)
        if image is None or image.content != member.content or not image.belongs:
            return None
        found.append(image)
    if len(found) < 2:
        return None
    first = min(found, key=lambda image: image.content)
    if first.node_id is None or not _are_connected(nodes, first.node_id, found):
        return None
    return Dismissal(tuple(members), first.group or first.last_group)


def _are_connected(nodes: Nodes, node_id: int, images: Collection[NodeImage]) -> bool:
    groups = {image.group for image in images}
    if len(groups) == 1 and None not in groups:
        return True
    reached = nodes.connected(node_id, {image.content for image in images})
    return all(image.node_id in reached for image in images)
