"""Groups of duplicates and series: each picture is in one of them at most."""

from __future__ import annotations

from contextlib import closing
from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from snoopsync.core.duplicates import FoundImage
from snoopsync.core.groups import components
from snoopsync.core.shots import Distinctions, Relation
from snoopsync.runtime.sqlite import MEMORY
from snoopsync.state.database import Database
from snoopsync.state.groups import Group, count_groups
from tests.support.duplicates import Duplicates, like, sent, sha

DUPLICATE, COMPANION, SERIES = Relation.DUPLICATE, Relation.COMPANION, Relation.SERIES


def related(name: str, relation: Relation | None, rank: int = 5) -> FoundImage:
    return FoundImage(name, rank, "edited", sha(name), relation=relation)


def series(name: str) -> FoundImage:
    return related(name, SERIES)


def burst(world: Duplicates, names: str) -> None:
    """Each of these pictures was found to follow the one before."""
    sent(world, names)
    for before, name in pairwise(names):
        assert world.search(name, series(before)) == []


def by_kind(world: Duplicates) -> tuple[list[set[str]], list[set[str]]]:
    """The groups of duplicates, and the series."""

    def names(group: Group) -> set[str]:
        return {each.side.image_id for each in group.images}

    groups = world.groups()
    return (
        sorted((names(group) for group in groups if not group.series), key=min),
        sorted((names(group) for group in groups if group.series), key=min),
    )


def test_a_series_is_a_group_without_alert_pairs_and_waste(world: Duplicates) -> None:
    burst(world, "abc")
    [group] = world.groups()
    assert (group.series, group.is_open, group.keep, group.waste_bytes) == (True, False, None, 0)
    assert group.open_pairs == 2
    assert (count_groups(world.database), world.pairs.count_open()) == (0, 0)
    assert list(world.pairs.listed(everything=True)) == []


def test_companions_are_neither_alerted_nor_in_a_group(world: Duplicates) -> None:
    sent(world, "ab")
    assert world.search("b", related("a", COMPANION)) == []
    assert world.groups() == []
    assert list(world.pairs.listed(everything=True)) == []


def test_a_picture_with_a_duplicate_leaves_its_series(world: Duplicates) -> None:
    burst(world, "abcde")
    world.send("x")
    assert world.search("x", related("c", DUPLICATE), series("b"), series("d")) == [("x", "c")]
    assert by_kind(world) == ([{"c", "x"}], [{"a", "b"}, {"d", "e"}])
    assert world.pairs.count_open() == 1


def test_copies_leave_their_series_too(world: Duplicates) -> None:
    burst(world, "abc")
    world.send("x", "a")
    assert world.search("x", like("a", 0, picture="a")) == [("x", "a")]
    assert by_kind(world) == ([{"a", "x"}], [{"b", "c"}])


def test_a_picture_returns_to_its_series_when_its_duplicates_are_gone(world: Duplicates) -> None:
    burst(world, "abcde")
    world.send("x")
    world.search("x", related("c", DUPLICATE))
    world.send("y", "d")
    world.search("y", like("d", 0, picture="d"), complete=False)
    assert by_kind(world) == ([{"c", "x"}, {"d", "y"}], [{"a", "b"}])
    world.state.intents.forget("x")
    world.state.intents.forget("y")
    assert by_kind(world) == ([], [{"a", "b", "c", "d", "e"}])


def test_a_picture_returns_to_its_series_when_its_duplicates_are_dismissed(
    world: Duplicates,
) -> None:
    burst(world, "abc")
    world.send("x")
    world.search("x", related("b", DUPLICATE))
    assert by_kind(world) == ([{"b", "x"}], [])
    world.dismiss("b", "x")
    assert by_kind(world) == ([], [{"a", "b", "c"}])
    world.restore("b", "x")
    assert by_kind(world) == ([{"b", "x"}], [])


def test_a_series_can_be_dismissed_and_restored(world: Duplicates) -> None:
    burst(world, "abc")
    [group] = world.groups()
    world.dismiss("a", "b", "c")
    assert world.groups() == []
    world.restore("a", "b", "c")
    [again] = world.groups()
    assert (again.series, again.name, len(again.images)) == (True, group.name, 3)


def test_a_link_may_turn_out_to_be_of_a_series(world: Duplicates) -> None:
    sent(world, "abc")
    assert world.search("b", related("a", None)) == [("b", "a")]
    world.search("c", related("b", None), related("a", None))
    assert by_kind(world) == ([{"a", "b", "c"}], [])
    world.search("c", series("a"), series("b"))
    assert by_kind(world) == ([{"a", "b"}], [])
    assert world.search("b", series("a"), series("c")) == []
    assert by_kind(world) == ([], [{"a", "b", "c"}])
    assert world.search("b", related("a", None), related("c", None)) == []
    assert by_kind(world) == ([], [{"a", "b", "c"}])


def test_a_duplicate_is_linked_though_it_is_in_the_same_series(world: Duplicates) -> None:
    names = "abcdefghijklmnopqrstuvw"
    burst(world, names)
    world.send("z")
    found = [series(name) for name in names[1:]]
    assert world.search("z", *found, related("a", DUPLICATE, 30)) == [("z", "a")]
    assert by_kind(world)[0] == [{"a", "z"}]


NAMES = "abcdef"
relations = st.sampled_from([DUPLICATE, COMPANION, SERIES, None])
events = st.one_of(
    st.tuples(st.just("find"), st.sampled_from(NAMES), st.sampled_from(NAMES), relations),
    st.tuples(st.just("lose"), st.sampled_from(NAMES), st.sampled_from(NAMES), st.none()),
    st.tuples(st.just("copy"), st.sampled_from(NAMES), st.sampled_from(NAMES), st.none()),
    st.tuples(st.just("dismiss"), st.sampled_from(NAMES), st.sampled_from(NAMES), st.none()),
    st.tuples(st.just("restore"), st.sampled_from(NAMES), st.sampled_from(NAMES), st.none()),
    st.tuples(st.just("forget"), st.sampled_from(NAMES), st.just(""), st.none()),
    st.tuples(st.just("companions"), st.just(""), st.just(""), st.none()),
    st.tuples(st.just("series"), st.just(""), st.just(""), st.none()),
)


@given(st.lists(events, max_size=25))
def test_groups_are_those_that_the_links_make(
    history: list[tuple[str, str, str, Relation]],
) -> None:
    with closing(Database(Path(MEMORY))) as database:
        world = Duplicates(database)
        sent(world, NAMES)
        distinctions = {"companions": True, "series": True}
        for event, one, other, relation in history:
            if event in distinctions:
                distinctions[event] = not distinctions[event]
                world.searches.distinguish(Distinctions(**distinctions))
            elif event == "forget":
                world.state.intents.forget(one)
                world.send(one)
            elif event == "copy":
                world.send(one + "2", one)
                world.search(one + "2", like(one, 0, picture=one), complete=False)
            elif one == other:
                continue
            elif event == "find":
                world.search(one, related(other, relation), complete=False)
            elif event == "lose":
                world.search(one)
                world.search(other)
            else:
                getattr(world, event)(one, other)
            world.searches.settle()
            check(database)


def check(database: Database) -> None:
    """The groups and flags in the state file are those that follow from its nodes and links."""
    nodes = {
        node_id: (bool(internal), bool(has_duplicate), group)
        for node_id, internal, has_duplicate, group in database.query(
            "SELECT node_id, internal, has_duplicate, group_id FROM node"
        )
    }
    links = database.query("SELECT a, b, counts_as FROM link WHERE NOT gone AND NOT dismissed")
    with_duplicate = {
        node_id
        for node_id, (internal, _, _) in nodes.items()
        if internal or any(node_id in (a, b) and kind == DUPLICATE for a, b, kind in links)
    }
    assert with_duplicate == {
        each for each, (_, has_duplicate, _) in nodes.items() if has_duplicate
    }
    edges = [(each, each) for each, (internal, _, _) in nodes.items() if internal]
    edges += [(a, b) for a, b, kind in links if kind == DUPLICATE]
    edges += [(a, b) for a, b, kind in links if kind == SERIES and not with_duplicate & {a, b}]
    expected = sorted(map(sorted, components(edges)))
    found: dict[int, list[int]] = {}
    for node_id, (_, _, group) in nodes.items():
        if group is not None:
            found.setdefault(group, []).append(node_id)
    assert sorted(map(sorted, found.values())) == expected
