"""Which images a dismissal names, and what a dismissal of many groups costs."""

from __future__ import annotations

from snoopsync.state.decisions import Dismissal, Member
from snoopsync.state.group_members import dismissals_of_groups, dismissals_of_images
from snoopsync.state.group_order import GroupFilter
from tests.support.duplicates import NOW, Duplicates, like, sent


def members(world: Duplicates, *names: str) -> list[Member]:
    return [Member(name, world.contents[name]) for name in names]


def of_groups(world: Duplicates, which: GroupFilter) -> dict[int | None, set[Member]]:
    found = dismissals_of_groups(world.database, which)
    return {each.group: set(each.members) for each in found}


def of_images(world: Duplicates, *names: str) -> Dismissal | None:
    [found] = dismissals_of_images(world.database, [members(world, *names)])
    return found


def pairs(world: Duplicates, count: int) -> list[list[str]]:
    """So many groups of two images."""
    found = [[f"a{number}", f"b{number}"] for number in range(count)]
    for one, other in found:
        sent(world, [one, other])
        world.search(other, like(one))
    return found


def test_a_dismissal_of_a_group_names_all_images_that_the_list_shows(world: Duplicates) -> None:
    sent(world, ["a", "b"])
    world.send("a copy", "a")
    world.search("b", like("a"), like("other.image"))
    sent(world, ["x", "y"])
    world.search("y", like("x"))
    [one, other] = world.groups()
    expected = {
        int(group.name): {Member(each.side.image_id, each.side.content) for each in group.images}
        for group in (one, other)
    }
    assert sorted(map(len, expected.values())) == [2, 4]
    assert of_groups(world, GroupFilter()) == expected
    number = int(other.name)
    only = GroupFilter(groups=frozenset({number}))
    assert of_groups(world, only) == {number: expected[number]}


def test_a_group_is_in_the_folders_of_the_images_that_belong_to_it(world: Duplicates) -> None:
    pairs(world, 1)
    assert len(of_groups(world, GroupFilter(folder="photos"))) == 1
    assert of_groups(world, GroupFilter(folder="another")) == {}
    world.database.change("UPDATE image SET folder = 'another' WHERE image_id = 'a0'")
    assert len(of_groups(world, GroupFilter(folder="another"))) == 1
    world.send("c", "a0")
    world.database.change(
        "UPDATE image SET folder = 'a third', linked_to = 'a0' WHERE image_id = 'c'"
    )
    assert of_groups(world, GroupFilter(folder="a third")) == {}


def test_images_are_dismissed_only_if_they_are_in_one_group(world: Duplicates) -> None:
    [[a, b], [x, _]] = pairs(world, 2)
    sent(world, ["alone"])
    found = of_images(world, a, b)
    assert found is not None and found.group == int(world.groups()[0].name)
    assert found.members == tuple(members(world, a, b))
    assert of_images(world, a, x) is None
    assert of_images(world, a, "alone") is None
    assert of_images(world, "alone") is None
    assert of_images(world, a) is None


def test_images_that_were_dismissed_already_can_be_dismissed_together(world: Duplicates) -> None:
    sent(world, ["a", "b", "c"])
    world.search("b", like("a"), like("c"))
    world.dismiss("a", "b", "c")
    assert of_images(world, "a", "c") is not None


def test_an_image_that_has_changed_is_not_dismissed(world: Duplicates) -> None:
    [[a, b]] = pairs(world, 1)
    seen = members(world, a, b)
    world.send(a, "other bytes")
    assert dismissals_of_images(world.database, [seen]) == [None]


def test_a_hard_link_is_not_dismissed(world: Duplicates) -> None:
    world.send("a", "picture")
    world.send("b", "picture")
    world.search("b")
    assert of_images(world, "a", "b") is not None
    world.database.change("UPDATE image SET linked_to = 'a' WHERE image_id = 'b'")
    assert of_images(world, "a", "b") is None


def statements(world: Duplicates, count: int) -> int:
    """How many statements a dismissal of so many groups takes."""
    named = pairs(world, count)
    sets = [members(world, *names) for names in named]
    counted = 0

    def count_one(_: str) -> None:
        nonlocal counted
        counted += 1

    world.database._connection.set_trace_callback(count_one)
    found = [each for each in dismissals_of_images(world.database, sets) if each is not None]
    world.decisions.dismiss(found, NOW)
    world.database._connection.set_trace_callback(None)
    assert len(found) == count
    assert world.groups() == []
    return counted


def test_a_dismissal_of_many_groups_takes_few_statements_for_each(world: Duplicates) -> None:
    few, many = statements(world, 20), statements(world, 200)
    assert many < few + 180 * 15


def work(world: Duplicates, first: int, count: int) -> int:
    """How many steps of SQLite's virtual machine the dismissal of a group of so many takes."""
    names = [f"{first + number:03}" for number in range(count)]
    sent(world, names[:1])
    for at, name in enumerate(names[1:], 1):
        world.send(name)
        world.search(name, *(like(other) for other in names[max(0, at - 8) : at]))
    steps = 0

    def count_ten() -> None:
        nonlocal steps
        steps += 10

    world.database._connection.set_progress_handler(count_ten, 10)
    world.dismiss(*names)
    world.database._connection.set_progress_handler(None, 10)
    assert world.groups() == []
    return steps


def test_the_dismissal_of_a_large_group_takes_work_in_proportion(world: Duplicates) -> None:
    small, large = work(world, 0, 40), work(world, 100, 240)
    assert large < 7 * small
