"""Lists the groups of duplicates, each with its images and the one to keep."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from snoopsync.core.keep import (
    IDENTICAL,
    FolderOrder,
    Keep,
    KeepPicture,
    keep_of_group,
)
from snoopsync.core.model import RelPath
from snoopsync.state.database import Database
from snoopsync.state.decisions import Member
from snoopsync.state.group_order import (
    MIRRORED,
    GroupFilter,
    GroupSort,
    measured_groups,
    mirrored_groups,
    sorted_groups,
)
from snoopsync.state.group_rows import GroupRow, GroupRows, Likeness
from snoopsync.state.nodes import Nodes
from snoopsync.state.rows import below_directory
from snoopsync.state.sides import Side, read_sides

#: How many groups are read in one query: few at first, so that the first one is shown at once.
_FIRST_PAGE, _PAGE = 20, 500

#: With more pictures, those that no link connects with the one to keep are not compared with it.
_MOST_COMPARED = 64


#: Compares two images from their stored features; ``None`` if they are not alike.
Compare = Callable[[str, str], Likeness | None]


@dataclass(frozen=True, slots=True)
class GroupImage:
    """One image of a group. ``likeness``: how the image differs from the one to keep, or from the
    first image of a group without one. ``None`` for that image itself, and if the two are not alike
    or were never compared."""

    side: Side
    likeness: Likeness | None


@dataclass(frozen=True, slots=True)
class Group:
    """A group. ``images``: the one to keep comes first. ``chain``: an image is not like the first
    one, only like another image of the group. ``series``: its pictures are shots of a series, not
    duplicates. ``found_at``: Unix time of the newest link."""

    name: str
    images: tuple[GroupImage, ...]
    keep: Keep | None
    chain: bool
    series: bool
    open_pairs: int
    found_at: float

    @property
    def is_open(self) -> bool:
        """Returns whether the group has open pairs of duplicates."""
        return self.open_pairs > 0 and not self.series

    @property
    def waste_bytes(self) -> int:
        """The bytes that can be freed: the size of our files without the one to keep. In a group
        without one to keep, the largest file is not counted. A series has no waste."""
        if self.series:
            return 0
        sizes = [each.side.size_bytes or 0 for each in self.images if each.side.rel_path]
        if not sizes:
            return 0
        first = self.images[0].side
        kept = (first.size_bytes or 0) if self.keep is not None else max(sizes)
        return sum(sizes) - kept


class Groups:
    """The groups in the state file. ``order``: the configured folders. ``compare``: compares images
    that no link connects."""

    def __init__(
        self, database: Database, order: FolderOrder, compare: Compare | None = None
    ) -> None:
        self._database = database
        self._order = order
        self._compare = compare
        self._rows = GroupRows(database)

    def count(self) -> int:
        """The number of groups of duplicates with open pairs."""
        return count_groups(self._database)

    def of_content(self, content: bytes) -> int | None:
        """The group of the images with this content."""
        group: int | None = self._database.one(
            "SELECT group_id FROM node WHERE content = ?", (content,)
        )
        return group

    def below(self, directory: RelPath) -> set[int]:
        """The groups with an image in this directory or below it."""
        below, limits = below_directory(directory.path)
        rows = self._database.query(
            "SELECT DISTINCT group_id FROM image JOIN node ON content = sha256"
            f" WHERE group_id IS NOT NULL AND folder = ? {below}",
            (directory.folder, *limits),
        )
        return {group for (group,) in rows}

    def with_members(self, members: Collection[Member], now: float) -> Group | None:
        """The group that these images are in, with no other images; ``None`` unless all of them are
        in one group. Dismissed images count."""
        contents = {member.content for member in members}
        nodes = Nodes(self._database)
        first = nodes.of_content(min(contents))
        if first is None:
            return None
        reached = nodes.connected(first.node_id, contents)
        rows = self._rows.of_nodes(dict.fromkeys(reached, 0), everything=False)[0]
        if not contents <= rows.nodes.keys():
            return None
        chosen = replace(rows, nodes={content: rows.nodes[content] for content in contents})
        sides = {
            content: [side for side in each if Member(side.image_id, side.content) in members]
            for content, each in read_sides(self._database, chosen.nodes.values()).items()
        }
        name = str(first.group_id or first.last_group or 0)
        group = self._group(name, chosen, sides, now)
        return group if group is not None and len(group.images) == len(members) else None

    def listed(
        self, now: float, which: GroupFilter | None = None, sort: GroupSort = GroupSort.WASTE
    ) -> Iterator[Group]:
        """The open groups that match. ``now``: Unix time. The groups are read in pages, each at its
        own moment."""
        which = which or GroupFilter()
        order = [
            each.number for each in sorted_groups(measured_groups(self._database, which), sort)
        ]
        start, count = 0, _FIRST_PAGE
        while page := order[start : start + count]:
            start, count = start + count, _PAGE
            groups = self.numbered(page, now, which)
            # The order is only approximate: see ``MeasuredGroup.waste_bytes``.
            by_waste = sort is GroupSort.WASTE
            yield from sorted(groups, key=lambda each: -each.waste_bytes) if by_waste else groups

    def numbered(
        self, numbers: Sequence[int], now: float, which: GroupFilter | None = None
    ) -> Iterator[Group]:
        """Those of these groups that exist and match, in the given order. ``now``: Unix time."""
        rows = self._rows.of_groups(numbers)
        ids = [node_id for each in rows.values() for node_id in each.nodes.values()]
        sides = read_sides(self._database, ids)
        for number in numbers:
            if number in rows:
                yield from self._shown(
                    str(number), rows[number], sides, which or GroupFilter(), now
                )

    def everything(
        self, now: float, which: GroupFilter | None = None, name: str | None = None
    ) -> Iterator[Group]:
        """All groups, also with images that were dismissed or are gone. ``name``: only this
        group."""
        which = which or GroupFilter()
        numbers = {
            node_id: both
            for node_id, *both in self._database.query(
                "SELECT node_id, group_id, last_group FROM node"
            )
        }
        found = []
        for nodes in self._rows.components():
            group, last = map(_smallest, zip(*map(numbers.__getitem__, nodes), strict=True))
            its_name = str(group or last or f"n{min(nodes)}")
            if name not in (None, its_name):
                continue
            if which.groups is None or not which.groups.isdisjoint((group, last)):
                found.append((its_name, nodes))
        for start in range(0, len(found), _PAGE):
            page = found[start : start + _PAGE]
            group_of = {node: at for at, (_, nodes) in enumerate(page) for node in nodes}
            rows = self._rows.of_nodes(group_of, everything=True)
            sides = read_sides(self._database, group_of, with_gone=True)
            for at, (its_name, _) in enumerate(page):
                yield from self._shown(its_name, rows[at], sides, which, now)

    def ended(self, after: int, count: int, now: float) -> list[tuple[int, Group]]:
        """Groups without open pairs that have an image that is gone, each with the number of its
        first node: at most so many, those after this node."""
        is_open = {
            node_id
            for (node_id,) in self._database.query(
                "SELECT node_id FROM node WHERE group_id IS NOT NULL"
            )
        }
        found: list[tuple[int, Group]] = []
        for nodes in sorted(self._rows.components(only_ended=True), key=min):
            first = min(nodes)
            if first <= after or not is_open.isdisjoint(nodes):
                continue
            rows = self._rows.of_nodes(dict.fromkeys(nodes, 0), everything=True)
            sides = read_sides(self._database, nodes, with_gone=True)
            group = self._group(f"g{first}", rows[0], sides, now)
            if group is not None and any(each.side.is_gone for each in group.images):
                found.append((first, group))
                if len(found) == count:
                    break
        return found

    def _shown(
        self,
        name: str,
        rows: GroupRow,
        sides: Mapping[bytes, Sequence[Side]],
        which: GroupFilter,
        now: float,
    ) -> Iterator[Group]:
        own = {content: sides[content] for content in rows.nodes if content in sides}
        group = self._group(name, rows, own, now)
        if group is not None and _matches(group, which):
            yield group

    def _group(
        self, name: str, rows: GroupRow, sides: Mapping[bytes, Sequence[Side]], now: float
    ) -> Group | None:
        if sum(map(len, sides.values())) < 2:
            return None  # its files were deleted or changed a moment ago
        contents = sorted(sides, key=lambda content: _order(sides[content][0]))
        keep = None if rows.series else self._keep(contents, sides, rows.links, now)
        first = sides[contents[0]][0]
        if keep is not None:
            first = next(
                side for each in sides.values() for side in each if side.image_id == keep.image_id
            )
        likenesses, chain = self._likenesses(first, contents, sides, rows.links)
        images = [GroupImage(first, None)]
        for content in contents:
            likeness = likenesses.get(content)
            images += [GroupImage(side, likeness) for side in sides[content] if side is not first]
        images[1:] = sorted(images[1:], key=_image_order)
        return Group(
            *(name, tuple(images), keep, chain, rows.series, rows.open_pairs, rows.found_at)
        )

    def _keep(
        self,
        contents: Sequence[bytes],
        sides: Mapping[bytes, Sequence[Side]],
        links: Mapping[tuple[bytes, bytes], Likeness],
        now: float,
    ) -> Keep | None:
        pictures = [
            KeepPicture(
                [side.candidate(self._order) for side in sides[content] if not side.is_gone]
            )
            for content in contents
        ]

        def kind_of(one: int, other: int) -> str | None:
            likeness = _linked(links, contents[one], contents[other])
            return None if likeness is None else likeness.kind

        return keep_of_group(pictures, kind_of, int(now * 1e9))

    def _likenesses(
        self,
        first: Side,
        contents: Sequence[bytes],
        sides: Mapping[bytes, Sequence[Side]],
        links: Mapping[tuple[bytes, bytes], Likeness],
    ) -> tuple[dict[bytes, Likeness], bool]:
        """The likeness of each picture to the first one, and whether the group is a chain."""
        found = {first.content: Likeness(0, IDENTICAL)}
        chain = False
        compared = 0
        for content in contents:
            if content == first.content:
                continue
            likeness = _linked(links, first.content, content)
            if likeness is None and self._compare is not None and compared < _MOST_COMPARED:
                compared += 1
                likeness = self._compare(first.image_id, sides[content][0].image_id)
            if likeness is None:
                chain = True
            else:
                found[content] = likeness
        return found, chain


def count_groups(database: Database) -> int:
    """The number of groups of duplicates with open pairs."""
    shown = MIRRORED if mirrored_groups(database) is not None else ""
    count: int = database.one(
        "SELECT count(DISTINCT group_id) FROM node"
        f" WHERE group_id IS NOT NULL AND has_duplicate {shown}"
    )
    return count


def _smallest(numbers: Iterable[int | None]) -> int | None:
    return min((each for each in numbers if each is not None), default=None)


def _linked(
    links: Mapping[tuple[bytes, bytes], Likeness], one: bytes, other: bytes
) -> Likeness | None:
    return links.get((one, other)) or links.get((other, one))


def _order(side: Side) -> tuple[bool, int, str]:
    return (side.is_gone, side.number, side.image_id)


def _image_order(image: GroupImage) -> tuple[bool, bool, int, int, str]:
    """Files of ours first, the nearest first, those that were never compared last."""
    likeness = image.likeness
    rank = 1 << 30 if likeness is None else likeness.rank
    side = image.side
    return (side.is_gone, side.rel_path is None, rank, side.number, side.image_id)


def _matches(group: Group, which: GroupFilter) -> bool:
    likenesses = [each.likeness for each in group.images if each.likeness is not None]
    if which.kind is not None and all(each.kind != which.kind for each in likenesses):
        return False
    if which.max_rank is not None and all(each.rank > which.max_rank for each in likenesses):
        return False
    if which.folder is None:
        return True
    paths = (image.side.rel_path or image.side.was for image in group.images)
    return any(path is not None and path.folder == which.folder for path in paths)
