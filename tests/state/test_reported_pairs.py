"""Images of other owners that the collection reported: each is recorded, and alerted once."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from snoopsync.core.duplicates import FoundImage
from snoopsync.state import reported_pairs
from snoopsync.state.database import Database
from snoopsync.state.reported_pairs import ReportedPair
from snoopsync.state.searches import Searches
from tests.support.duplicates import LARGE, SMALL, Duplicates, like, sent, sha


def report(world: Duplicates, *pairs: ReportedPair) -> int:
    """The collection reports these pairs. Returns how many are stored."""
    with world.database.transaction():
        return world.searches.reported.add(pairs)


def record(world: Duplicates, found: FoundImage | None = None) -> list[tuple[str, str]]:
    """Record all reported pairs. ``found``: what the search found. Returns the alerts."""
    for pairs in world.searches.reported.due("", 99):
        world.searches.reported.record(pairs, found, LARGE, 2.0)
    return world.alerts()


def test_only_pairs_of_our_present_images_are_stored(world: Duplicates) -> None:
    sent(world, "a")
    pairs = [ReportedPair("them.x", name, 5) for name in ("a", "unknown")]
    assert report(world, *pairs) == 1
    assert world.searches.reported.due("", 9) == [[pairs[0]]]


def test_pairs_are_read_by_their_match_and_the_nearest_first(world: Duplicates) -> None:
    sent(world, "abc")
    report(
        world,
        ReportedPair("them.y", "a", 5),
        ReportedPair("them.x", "b", 9, "edited", "PC: x"),
        ReportedPair("them.x", "c", 3),
        ReportedPair("them.z", "c", 3),
    )
    due = world.searches.reported.due
    names = [[(pair.match, pair.image_id) for pair in pairs] for pairs in due("", 2)]
    assert names == [[("them.x", "c"), ("them.x", "b")], [("them.y", "a")]]
    assert due("them.y", 9) == [[ReportedPair("them.z", "c", 3)]]
    assert due("", 1)[0][1] == ReportedPair("them.x", "b", 9, "edited", "PC: x")
    world.searches.reported.drop("them.x")
    assert [pairs[0].match for pairs in due("", 9)] == ["them.y", "them.z"]


def test_a_reported_image_is_alerted_once_also_after_a_restart(
    world: Duplicates, path: Path
) -> None:
    sent(world, "a")
    pair = ReportedPair("them.x", "a", 5, "reencoded", "PC: x")
    report(world, pair)
    found = FoundImage("them.x", 5, "reencoded", sha("x"), SMALL)
    for pairs in world.searches.reported.due("", 9):
        world.searches.reported.record(pairs, found, LARGE, 2.0)
    with closing(Database(path)) as again:
        [alert] = Searches(again).alerts.due()
    assert (alert.image.image_id, alert.match.image_id) == ("a", "them.x")
    assert (alert.rank, alert.kind, alert.others) == (5, "reencoded", 0)
    assert (alert.image.facts, alert.match.facts, alert.match.label) == (LARGE, SMALL, "PC: x")
    assert world.alerts() == [("a", "them.x")]
    assert world.alerts() == []
    assert report(world, pair) == 0
    assert world.search("a", like("them.x", picture="x")) == []


def test_an_image_that_our_own_search_found_is_not_alerted_again(world: Duplicates) -> None:
    sent(world, "a")
    report(world, ReportedPair("them.x", "a", 5))
    assert world.search("a", like("them.x", picture="x")) == [("a", "them.x")]
    assert record(world, like("them.x", picture="x")) == []
    assert report(world, ReportedPair("them.x", "a", 5)) == 0


def test_an_image_of_ours_that_was_alerted_before_is_named_again_with_a_new_copy(
    world: Duplicates,
) -> None:
    sent(world, "ab")
    assert world.search("b", like("a")) == [("b", "a")]
    report(world, ReportedPair("them.x", "b", 0, "identical"))
    assert record(world) == [("b", "them.x")]
    assert world.names() == {"1": {"a", "b", "them.x"}}


def test_of_several_images_of_ours_the_nearest_is_named_and_all_are_in_one_group(
    world: Duplicates,
) -> None:
    sent(world, "abc")
    report(world, *(ReportedPair("them.x", name, rank) for name, rank in (("a", 9), ("b", 3))))
    assert record(world, like("them.x", picture="x")) == [("b", "them.x")]
    assert world.names() == {"1": {"a", "b", "them.x"}}
    assert world.search("a", like("them.x", picture="x")) == []


def test_images_that_are_reported_together_give_one_alert(world: Duplicates) -> None:
    sent(world, "a")
    report(world, *(ReportedPair(f"them.{number}", "a", 4) for number in range(5)))
    [(ours, _)] = record(world)
    assert ours == "a"
    assert len(world.names()["1"]) == 6
    assert record(world) == []


def test_an_image_that_no_search_found_is_known_by_its_id(world: Duplicates) -> None:
    sent(world, "a")
    report(world, ReportedPair("them.x", "a", 4, None, "PC: x"))
    assert record(world, None) == [("a", "them.x")]
    # A later search finds it, with its digest.
    found = FoundImage("them.x", 4, None, sha("x"))
    assert world.search("a", found) == []
    assert world.names() == {"1": {"a", "them.x"}}
    assert world.search("a", found) == []


def test_a_dismissal_of_an_image_that_is_known_by_its_id_stays_when_a_search_finds_it(
    world: Duplicates,
) -> None:
    sent(world, "a")
    report(world, ReportedPair("them.x", "a", 4))
    assert record(world, None) == [("a", "them.x")]
    world.contents["them.x"] = b"them.x"
    world.dismiss("a", "them.x")
    assert world.search("a", FoundImage("them.x", 4, None, sha("x"))) == []
    assert world.names() == {}


def test_a_dismissed_picture_is_not_alerted(world: Duplicates) -> None:
    sent(world, "a")
    world.search("a", like("them.x", picture="x"))
    world.contents["them.x"] = sha("x")
    world.dismiss("a", "them.x")
    report(world, ReportedPair("them.x", "a", 5), ReportedPair("them.y", "a", 5))
    for pairs in world.searches.reported.due("", 9):
        match = like(pairs[0].match, picture="x")
        world.searches.reported.record(pairs[:1], match, LARGE, 2.0)
    assert world.alerts() == []
    # A file with the bytes of our own image is another decision.
    report(world, ReportedPair("them.z", "a", 0, "identical"))
    assert record(world) == [("a", "them.z")]


def test_an_alert_for_an_image_that_ended_is_dropped(world: Duplicates) -> None:
    sent(world, "a")
    report(world, ReportedPair("them.x", "a", 5))
    for pairs in world.searches.reported.due("", 9):
        world.searches.reported.record(pairs, like("them.x", picture="x"), LARGE, 2.0)
    world.searches.record([])
    world.send("a", "changed")
    world.searches.settle()
    assert world.alerts() == []
    assert world.database.one("SELECT count(*) FROM picture WHERE alert_due") == 0


def test_a_collection_cannot_report_without_end(
    world: Duplicates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reported_pairs, "MOST_OTHERS", 3)
    sent(world, "a")
    assert report(world, *(ReportedPair(f"them.{number}", "a", 4) for number in range(9))) == 3
    assert len(record(world)) == 1
    assert report(world, ReportedPair("them.9", "a", 4)) == 0
