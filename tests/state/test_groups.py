"""The groups as they are listed: their images, the one to keep, and how the others differ."""

from __future__ import annotations

from snoopsync.core.duplicates import Findings, FoundImage
from snoopsync.core.keep import FolderOrder, Keep, Reason
from snoopsync.core.model import File, Fingerprint, FolderState
from snoopsync.core.planner import Update
from snoopsync.state.folders import FolderRow
from snoopsync.state.group_order import GroupFilter
from snoopsync.state.groups import Group, Groups
from snoopsync.state.searches import Due, SearchResult
from tests.support.duplicates import (
    LARGE,
    NOW,
    PHOTOS,
    SMALL,
    Duplicates,
    like,
    rel_path,
    sent,
    sha,
)


def likenesses(group: Group) -> dict[str, tuple[int, str | None] | None]:
    """The rank and the kind of each image of a group, by its ID."""
    return {
        each.side.image_id: (
            None if each.likeness is None else (each.likeness.rank, each.likeness.kind)
        )
        for each in group.images
    }


def test_the_larger_picture_is_kept_unless_its_file_changed_or_is_missing(
    world: Duplicates,
) -> None:
    sent(world, "ab")
    found = FoundImage("a", 5, "reencoded", sha("a"), LARGE)
    due = Due("b", sha("b"))
    world.searches.record([SearchResult(due, Findings((found,), SMALL), 1.0)])

    def kept(order: FolderOrder = PHOTOS) -> Keep | None:
        [group] = world.groups(order)
        return group.keep

    assert kept() == Keep("a", Reason.MORE_PIXELS)
    assert kept({}) is None
    folder = FolderRow("photos", b"/photos", None, None, True, FolderState.MISSING)
    world.state.folders.save(folder)
    assert kept() is None
    world.state.folders.save(FolderRow("photos", b"/photos", None, None, True, FolderState.OK))
    world.state.deletions.hold(["a"])
    assert kept() is None
    world.state.intents.apply([Update(rel_path("a"), "a", File(Fingerprint(9, 1, 9, 9)))], 2.0)
    [group] = world.groups()
    assert (group.images[0].side.facts, group.keep) == ({}, None)


def test_copies_always_have_one_to_keep(world: Duplicates) -> None:
    for name in ("b", "a"):
        world.send(name, "same")
    world.search("a", like("b", 0, picture="same"))
    [group] = world.groups()
    assert group.keep == Keep("a", Reason.FIRST_PATH)
    likeness = group.images[1].likeness
    assert likeness is not None
    assert (likeness.rank, likeness.kind) == (0, "identical")


def test_a_chain_is_named_as_such(world: Duplicates) -> None:
    sent(world, "abc")
    world.search("b", like("a"), like("c"))
    [group] = world.groups()
    assert group.chain
    assert [image.likeness is None for image in group.images] == [True, False, True]
    world.search("a", like("b"), like("c"))
    [group] = world.groups()
    assert not group.chain


def test_the_largest_waste_is_listed_first(world: Duplicates) -> None:
    for name in ("a1", "a2", "b1", "b2", "b3"):
        world.send(name, name[0])
    world.search("a1", like("a2", 0, picture="a"))
    world.search("b1", like("b2", 0, picture="b"))
    assert [len(group.images) for group in world.groups()] == [3, 2]
    assert [group.waste_bytes for group in world.groups()] == [2, 1]


def test_without_one_to_keep_images_are_compared_with_the_first_one(world: Duplicates) -> None:
    sent(world, "abc")
    world.search("b", like("a", 3, kind="rotated"), like("c", 9, kind="edited"))
    world.search("a", like("b", 3, kind="rotated"), like("c", 7, kind="mirrored"))
    [group] = world.groups()
    assert group.keep is None
    assert likenesses(group) == {"a": None, "b": (3, "rotated"), "c": (7, "mirrored")}


def test_only_open_links_count_and_the_newest_one_tells_when_a_group_was_found(
    world: Duplicates,
) -> None:
    sent(world, "abc")
    world.search("b", like("a"), at=5.0)
    world.search("c", like("a"), like("b"), at=2.0)
    [group] = world.groups()
    assert (group.open_pairs, group.found_at) == (3, 5.0)
    world.dismiss("b", "c")
    [group] = world.groups()
    assert group.open_pairs == 2


def test_filters_compare_with_the_one_to_keep_or_the_first(world: Duplicates) -> None:
    """The link between two other images matches no filter."""
    sent(world, "abc")
    world.search("a", like("b", 9, kind="edited"), like("c", 9, kind="edited"))
    world.search("c", like("a", 9, kind="edited"), like("b", 2, kind="rotated"))

    def listed(which: GroupFilter) -> int:
        return len(list(Groups(world.database, PHOTOS).listed(NOW, which)))

    assert listed(GroupFilter(kind="edited", max_rank=9)) == 1
    assert listed(GroupFilter(kind="rotated")) == 0
    assert listed(GroupFilter(max_rank=8)) == 0


def test_everything_has_the_images_that_were_dismissed_and_those_that_are_gone(
    world: Duplicates,
) -> None:
    sent(world, "abcd")
    world.search("b", like("a"))
    world.search("d", like("c"))
    world.dismiss("a", "b")
    world.state.intents.forget("d")
    assert world.groups() == []
    found = {
        each.name: {image.side.image_id: image.side.is_gone for image in each.images}
        for each in Groups(world.database, PHOTOS).everything(NOW)
    }
    assert found == {"1": {"a": False, "b": False}, "2": {"c": False, "d": True}}
