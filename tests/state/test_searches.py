"""What searches find becomes links and groups, and each new picture gets one alert."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from snoopsync.core.duplicates import NEAREST_LINKS, Findings, FoundImage
from snoopsync.core.model import File, Fingerprint, FolderState
from snoopsync.core.planner import Update
from snoopsync.state.database import Database
from snoopsync.state.decisions import Dismissal, Member, MembersChanged
from snoopsync.state.folders import FolderRow
from snoopsync.state.groups import Groups, count_groups
from snoopsync.state.pairs import PairState
from snoopsync.state.searches import Due, Searches, SearchResult
from tests.support.duplicates import (
    LARGE,
    NOW,
    PHOTOS,
    Duplicates,
    like,
    rel_path,
    sent,
    sha,
)


def test_a_confirmed_image_is_searched_for_once(world: Duplicates) -> None:
    world.send("a")
    assert world.searches.due(9) == [Due("a", sha("a"))]
    world.search("a")
    assert world.searches.due(9) == []


def test_an_image_that_was_sent_again_during_its_search_is_still_due(world: Duplicates) -> None:
    world.send("a")
    [due] = world.searches.due(9)
    world.send("a", "new")
    world.searches.record([SearchResult(due, Findings((like("z"),)), 1.0)])
    assert world.searches.due(9) == [Due("a", sha("new"))]
    assert world.groups() == []


def test_a_link_makes_a_group_and_one_alert_also_after_a_restart(
    world: Duplicates, path: Path
) -> None:
    sent(world, "ab")
    assert world.search("b", like("a")) == [("b", "a")]
    assert world.search("a", like("b")) == []
    with closing(Database(path)) as again:
        assert Searches(again).alerts.due() == []
        [group] = Groups(again, PHOTOS).listed(NOW)
    assert [image.side.image_id for image in group.images] == ["a", "b"]
    assert (group.open_pairs, group.found_at) == (1, 1.0)


def test_an_alert_that_was_not_given_is_given_later(world: Duplicates, path: Path) -> None:
    sent(world, "ab")
    due = Due("b", sha("b"))
    world.searches.record([SearchResult(due, Findings((like("a"),)), 1.0)])
    with closing(Database(path)) as again:
        [alert] = Searches(again).alerts.due()
    assert (alert.image.image_id, alert.match.image_id, alert.rank) == ("b", "a", 5)


def test_two_new_copies_give_one_alert(world: Duplicates) -> None:
    for name in "abc":
        world.send(name, "same")
    assert world.search("a", like("b", 0, picture="same"), like("c", 0, picture="same")) == [
        ("a", "b")
    ]
    assert world.search("b", like("a", 0, picture="same")) == []
    assert world.search("c", like("a", 0, picture="same")) == []


def test_a_picture_that_joins_a_known_group_gets_an_alert_that_counts_the_others(
    world: Duplicates,
) -> None:
    sent(world, "ab")
    world.search("b", like("a"))
    world.send("c")
    due = Due("c", sha("c"))
    world.searches.record([SearchResult(due, Findings((like("a", 3), like("b", 7))), 2.0)])
    [alert] = world.searches.alerts.due()
    assert (alert.match.image_id, alert.rank, alert.others, alert.group) == ("a", 3, 1, 1)


def test_a_link_between_two_known_groups_is_alerted(world: Duplicates) -> None:
    sent(world, "abcd")
    world.search("b", like("a"))
    world.search("d", like("c"))
    assert world.search("d", like("c"), like("a", 3)) == [("d", "a")]
    assert world.names() == {"1": {"a", "b", "c", "d"}}
    assert world.search("a", like("b"), like("d")) == []


def test_copies_need_no_links(world: Duplicates) -> None:
    for number in range(50):
        name = f"c{number}"
        world.send(name, "same")
        world.search(name, FoundImage("c0", 0, "identical", sha("same"), copies=number))
    assert world.database.one("SELECT count(*) FROM link") == 0
    assert world.database.one("SELECT count(*) FROM node") == 1
    [group] = world.groups()
    assert len(group.images) == 50
    assert group.open_pairs == world.pairs.count_open() == len(list(world.pairs.listed())) == 49


def test_links_are_bounded_and_still_connect_all(world: Duplicates) -> None:
    names = [f"n{number:02}" for number in range(40)]
    sent(world, names)
    for name in names:
        world.search(name, *(like(other) for other in names if other != name))
    assert world.database.one("SELECT count(*) FROM link") <= NEAREST_LINKS * len(names)
    assert len(world.groups()) == 1


def test_dismissed_pictures_crowd_out_no_new_one(world: Duplicates) -> None:
    names = [f"n{number:02}" for number in range(30)]
    sent(world, ["a", *names])
    world.search("a", *map(like, names))
    for name in names:
        world.search(name, like("a"))
        world.dismiss("a", name)
    assert world.searches.limit(Due("a", sha("a"))) > len(names) + NEAREST_LINKS
    world.send("z")
    assert world.search("z", like("a", 40)) == [("z", "a")]


# Groups over time.


def test_a_group_keeps_its_number_when_images_join_leave_and_are_renamed(world: Duplicates) -> None:
    sent(world, "abc")
    world.search("b", like("a"))
    world.search("c", like("b"))
    assert world.names() == {"1": {"a", "b", "c"}}
    world.state.intents.forget("a")
    assert world.names() == {"1": {"b", "c"}}


def test_on_a_split_the_number_stays_with_the_earliest_image(world: Duplicates) -> None:
    sent(world, "abcde")
    world.search("b", like("a"))
    world.search("c", like("b"))
    world.search("d", like("c"))
    world.search("e", like("d"))
    world.state.intents.forget("c")
    assert world.names() == {"1": {"a", "b"}, "2": {"d", "e"}}
    assert world.search("e", like("d")) == []


def test_a_group_of_one_picture_ends(world: Duplicates) -> None:
    sent(world, "ab")
    world.search("b", like("a"))
    world.state.intents.forget("a")
    assert world.names() == {}
    assert (count_groups(world.database), world.pairs.count_open()) == (0, 0)
    assert world.states() == [PairState.GONE]
    [pair] = world.pairs.listed(everything=True)
    assert (pair.a.was, pair.a.rel_path) == (rel_path("a"), None)


def test_a_link_that_only_one_of_two_searches_finds_stays(world: Duplicates) -> None:
    sent(world, "ab")
    world.search("a", like("b"))
    world.search("b")
    assert world.states() == [PairState.OPEN]
    world.search("a")
    assert world.states() == [PairState.GONE]


def test_an_incomplete_answer_ends_no_link(world: Duplicates) -> None:
    sent(world, "ab")
    world.search("a", like("b"))
    world.search("a", complete=False)
    assert world.states() == [PairState.OPEN]


def test_a_picture_that_was_not_compared_stays_linked(world: Duplicates) -> None:
    sent(world, "ab")
    world.search("a", like("b"))
    result = SearchResult(Due("a", sha("a")), Findings(), 2.0, uncompared=["b"])
    world.searches.record([result])
    assert world.states() == [PairState.OPEN]


def test_a_link_to_an_image_that_is_being_sent_again_stays(world: Duplicates) -> None:
    """A collection that has lost both gets them back one by one: that is no news."""
    sent(world, "ab")
    world.search("b", like("a"))
    world.state.intents.apply([Update(rel_path("a"), "a", File(Fingerprint(9, 1, 9, 9)))], 2.0)
    assert world.search("b") == []
    assert world.search("b", like("a")) == []
    assert world.states() == [PairState.OPEN]


def test_a_changed_file_leaves_its_group(world: Duplicates) -> None:
    sent(world, "abc")
    world.search("b", like("a"))
    world.send("b", "new")
    assert world.search("b", like("c")) == [("b", "c")]
    assert list(world.names().values()) == [{"b", "c"}]


def test_a_changed_file_that_still_matches_is_not_alerted_again(world: Duplicates) -> None:
    sent(world, "ab")
    world.search("b", like("a"))
    world.send("b", "new")
    assert world.search("b", like("a")) == []


def test_a_picture_that_comes_back_with_the_same_bytes_is_not_alerted_again(
    world: Duplicates,
) -> None:
    sent(world, "abc")
    world.search("b", like("a"))
    [before] = world.groups()
    for name in "ab":
        world.state.intents.forget(name)
    world.searches.settle()
    assert world.groups() == []
    for name in "ba":
        world.send(name)
    assert world.search("b", like("a"), at=2.0) == []
    assert world.search("a", like("b"), at=2.0) == []
    [group] = world.groups()
    assert (group.name, group.found_at) == (before.name, before.found_at)
    # Together with a new picture, it is news.
    assert world.search("c", like("a"), at=3.0) == [("c", "a")]


def test_a_picture_that_comes_back_with_other_bytes_is_alerted(world: Duplicates) -> None:
    sent(world, "ab")
    world.search("b", like("a"))
    world.state.intents.forget("b")
    world.send("b", "other")
    assert world.search("b", like("a"), at=2.0) == [("b", "a")]


def test_a_picture_that_went_before_its_alert_is_alerted_when_it_comes_back(
    world: Duplicates,
) -> None:
    sent(world, "ab")
    world.searches.record([SearchResult(Due("b", sha("b")), Findings((like("a"),)), 1.0)])
    world.state.intents.forget("b")
    world.send("b")
    assert world.search("b", like("a"), at=2.0) == [("b", "a")]


def test_a_file_that_matches_again_after_it_did_not_is_alerted_again(world: Duplicates) -> None:
    sent(world, "ab")
    world.search("b", like("a"))
    world.send("b", "other")
    world.search("b")
    world.send("b", "again")
    assert world.search("b", like("a")) == [("b", "a")]


def test_of_two_ranks_the_lower_one_counts(world: Duplicates) -> None:
    sent(world, "ab")
    world.search("a", like("b", 30, kind="edited"))
    world.search("b", like("a", 4, kind="cropped"))
    world.search("a", like("b", 30, kind="edited"))
    [pair] = world.pairs.listed()
    assert (pair.rank, pair.kind) == (4, "cropped")
    world.search("b")
    assert [each.rank for each in world.pairs.listed()] == [30]


def test_each_side_has_the_rank_of_its_last_search(world: Duplicates) -> None:
    sent(world, "ab")
    for rank in (4, 30):
        world.search("a", like("b", rank))
        world.search("b", like("a", rank))
    assert [each.rank for each in world.pairs.listed()] == [30]


def test_the_images_of_others_have_no_path(world: Duplicates) -> None:
    sent(world, "a")
    image = FoundImage("other.1", 3, "reencoded", sha("x"), LARGE, "laptop: a.jpg")
    assert world.search("a", image) == [("a", "other.1")]
    [group] = world.groups()
    side = group.images[1].side
    assert (side.rel_path, side.label, side.facts) == (None, "laptop: a.jpg", LARGE)
    world.search("a")
    assert world.groups() == []


def test_a_copy_of_another_owner_is_alerted_once_and_listed_until_it_is_gone(
    world: Duplicates,
) -> None:
    world.send("a", "same")
    copy = FoundImage("other.1", 0, "identical", sha("same"), copies=1)
    assert world.search("a", copy) == [("a", "other.1")]
    assert world.search("a", copy) == []
    assert [group.open_pairs for group in world.groups()] == [1]
    world.search("a")
    assert world.groups() == []


def test_an_image_without_a_sha256_is_a_node_of_its_own(world: Duplicates) -> None:
    sent(world, "a")
    world.search("a", FoundImage("other.1", 3), FoundImage("other.2", 3))
    [group] = world.groups()
    assert group.open_pairs == 2


def test_groups_without_a_configured_folder_are_not_shown(world: Duplicates) -> None:
    sent(world, "ab")
    world.search("a", like("b"))
    row = FolderRow("photos", b"/photos", None, None, True, FolderState.OK)
    world.state.folders.save(row)
    world.state.folders.save(FolderRow("photos", b"/photos", None, None, False, FolderState.OK))
    assert (world.groups(), world.pairs.count_open()) == ([], 0)
    assert count_groups(world.database) == 0


# Dismissals.


def test_a_dismissed_link_is_never_alerted_again(world: Duplicates) -> None:
    sent(world, "ab")
    world.search("a", like("b"))
    world.dismiss("a", "b")
    assert (world.names(), world.states()) == ({}, [PairState.DISMISSED])
    assert world.search("b", like("a")) == []
    world.search("a")
    world.search("b")
    assert world.search("a", like("b")) == []


def test_a_dismissal_is_about_the_bytes_whatever_ids_they_have(world: Duplicates) -> None:
    sent(world, "ab")
    world.search("a", like("b"))
    world.dismiss("a", "b")
    for name in "ab":
        world.state.intents.forget(name)
    world.send("x", "a")
    world.send("y", "b")
    assert world.search("x", like("y", picture="b")) == []
    assert world.names() == {}


def test_a_third_copy_of_dismissed_copies_is_alerted(world: Duplicates) -> None:
    for name in "ab":
        world.send(name, "same")
    world.search("a", like("b", 0, picture="same"))
    world.dismiss("a", "b")
    assert (world.names(), world.states()) == ({}, [PairState.DISMISSED])
    assert world.search("b", like("a", 0, picture="same")) == []
    world.send("c", "same")
    [(image, match)] = world.search("c", like("a", 0, picture="same"))
    assert (image, match in "ab") == ("c", True)


def test_copies_that_were_dismissed_two_by_two_are_dismissed(world: Duplicates) -> None:
    for name in "abc":
        world.send(name, "same")
    world.search("a", like("b", 0, picture="same"))
    for one, other in ("ab", "bc"):
        world.dismiss(one, other)
        assert len(world.groups()) == 1
    world.dismiss("a", "c")
    assert world.groups() == []


def test_a_picture_that_joins_later_is_not_covered(world: Duplicates) -> None:
    sent(world, "ab")
    world.search("a", like("b"))
    world.dismiss("a", "b")
    world.send("c")
    assert world.search("c", like("a"), like("b", 6)) == [("c", "a")]
    assert world.names() == {"1": {"a", "b", "c"}} or len(world.names()) == 1


def test_a_decision_has_one_row_for_each_image(world: Duplicates) -> None:
    names = [f"c{number}" for number in range(30)]
    for name in names:
        world.send(name, "same")
    world.search("c0", like("c1", 0, picture="same"))
    world.dismiss(*names)
    assert world.database.one("SELECT count(*) FROM decision_member") == 30


def test_a_dismissal_of_an_image_that_changed_is_refused_as_a_whole(world: Duplicates) -> None:
    sent(world, "abcd")
    world.search("a", like("b"))
    world.search("c", like("d"))
    seen = [Dismissal(tuple(Member(name, sha(name)) for name in names)) for names in ("ab", "cd")]
    world.send("d", "new")
    with pytest.raises(MembersChanged, match="d has changed"):
        world.decisions.dismiss(seen, NOW)
    assert {"a", "b"} in world.names().values()


def test_a_dismissal_can_be_restored(world: Duplicates) -> None:
    sent(world, "ab")
    world.search("a", like("b"))
    world.dismiss("a", "b")
    assert world.restore("a", "b") == 1
    assert world.names() == {"1": {"a", "b"}}
    assert world.restore("a", "b") == 0
    assert world.alerts() == world.search("a", like("b")) == []


def test_dismissed_copies_can_be_restored(world: Duplicates) -> None:
    for name in "ab":
        world.send(name, "same")
    world.search("a", like("b", 0, picture="same"))
    world.dismiss("a", "b")
    assert world.restore("a", "b") == 1
    assert world.names() == {"1": {"a", "b"}}


def test_what_another_decision_names_stays_dismissed(world: Duplicates) -> None:
    sent(world, "abc")
    world.search("a", like("b"), like("c"))
    world.search("b", like("c"))
    world.dismiss("a", "b", "c")
    world.dismiss("a", "b")
    world.restore("a", "c")
    assert world.names() == {"1": {"a", "b", "c"}}
    assert world.states().count(PairState.DISMISSED) == 1


# Which one to keep.


def test_all_images_can_be_searched_for_again(world: Duplicates) -> None:
    sent(world, "ab")
    world.searches.search_again()
    assert world.searches.count_due() == 2
