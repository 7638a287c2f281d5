"""The poll of what other owners added: nothing is lost, repeated or without end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from snoopsync.client.retrying import RetryingCollection
from snoopsync.core.errors import (
    BadAnswer,
    CollectionError,
    NotFound,
    Refused,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from snoopsync.core.protocol import ChangedPair, ChangesAnswer
from snoopsync.state.database import Database
from snoopsync.state.searches import Searches
from snoopsync.sync import changes_poll
from snoopsync.sync.changes_poll import ChangesPoll
from snoopsync.sync.duplicate_search import Alert, DuplicateSearch, SearchSettings
from tests.support.duplicates import Duplicates
from tests.support.made_up import MadeUpCollection


class Reporting(MadeUpCollection):
    """``pages``: what the collection reports after each moment, and the next moment."""

    def __init__(self, database: Path) -> None:
        super().__init__(database)
        self.present = 10
        self.pages: dict[int, tuple[list[ChangedPair], int]] = {}

    def changes(self, since: int | None, owner: str) -> ChangesAnswer:
        assert owner == "us"
        self.note_call(since)
        pairs, following = self.pages.get(since or 0, ([], max(since or 0, self.present)))
        return {
            "status": 200,
            "message": "OK",
            "collection_id": self.id,
            "pairs": pairs,
            "next": following,
        }


class Machine:
    """The poll and the search of one machine, on a state file."""

    def __init__(self, database: Database, collection: Reporting) -> None:
        self.images = Duplicates(database)
        self.searches = Searches(database)
        self.collection = collection
        self.alerts: list[Alert] = []
        self.restart()

    def restart(self) -> None:
        client = RetryingCollection(self.collection)
        self.poll = ChangesPoll("us", self.images.state, self.searches.reported, client, 50)
        self.search = DuplicateSearch(
            client, self.searches, SearchSettings(50), self.alerts.append, changes_poll=self.poll
        )

    def ask(self, rest: Callable[[float], bool] = lambda _seconds: True) -> bool:
        return self.poll.work_off(rest)

    def alerted(self) -> list[tuple[str, str]]:
        """Search for what is due. Returns all alerts so far."""
        self.search.work_off(lambda: False)
        return [(each.image.image_id, each.match.image_id) for each in self.alerts]

    @property
    def reported(self) -> list[str]:
        return [pairs[0].match for pairs in self.searches.reported.due("", 99)]

    @property
    def moment(self) -> str | None:
        return self.images.state.fact("changes_since")


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with (
        closing(Database(tmp_path / "state.sqlite3")) as database,
        closing(Reporting(tmp_path / "collection.sqlite3")) as collection,
    ):
        yield Machine(database, collection)


def pair(match: str, image_id: str = "us.a", rank: int = 5) -> ChangedPair:
    return {"id": image_id, "match": match, "rank": rank, "kind": None, "label": None}


@pytest.fixture
def ready(machine: Machine) -> Machine:
    """Our image ``us.a`` was searched for, and others have added nothing yet."""
    machine.images.send("us.a")
    assert machine.alerted() == []
    machine.collection.calls.clear()
    return machine


def test_the_first_moment_is_taken_before_the_first_search_and_then_kept(machine: Machine) -> None:
    machine.images.send("us.a")
    machine.alerted()
    assert machine.collection.calls == [None, "us.a"]
    machine.collection.present = 20
    machine.images.send("us.b")
    machine.restart()
    machine.alerted()
    assert machine.moment == "10"
    assert None not in machine.collection.calls[2:]


def test_a_machine_without_a_moment_asks_for_nothing_older(machine: Machine) -> None:
    assert not machine.ask()
    assert (machine.collection.calls, machine.moment) == ([None], "10")


def test_pages_are_read_up_to_the_present_moment_and_stored(ready: Machine) -> None:
    ready.collection.present = 30
    ready.collection.pages = {10: ([pair("x.1")], 20), 20: ([pair("x.2")], 30), 30: ([], 40)}
    assert ready.ask()
    assert ready.reported == ["x.1", "x.2"]
    assert ready.moment == "30"
    # Others add images all the time, and nobody waits for an end.
    assert ready.collection.calls == [10, None, 20]


def test_a_machine_asks_once_if_nothing_changed(ready: Machine) -> None:
    assert not ready.ask()
    assert ready.collection.calls == [10]


def test_each_image_that_was_reported_is_alerted_once_also_after_restarts(ready: Machine) -> None:
    ready.collection.present = 20
    ready.collection.pages = {10: ([pair("x.1")], 20)}
    ready.collection.found = {"us.a": {"x.1": 5}}
    assert ready.ask()
    ready.restart()
    for _ in range(2):
        assert ready.alerted() == [("us.a", "x.1")]
        ready.restart()
        ready.images.state.set_fact("changes_since", "10")
        assert not ready.ask()


def test_pages_that_were_stored_are_kept_if_a_later_one_fails(ready: Machine) -> None:
    ready.collection.present = 30
    ready.collection.pages = {10: ([pair("x.1")], 20)}
    ready.collection.failing = {20: Unreachable("gone")}
    assert ready.ask()
    assert (ready.reported, ready.moment) == (["x.1"], "20")
    with pytest.raises(Unreachable):
        ready.ask()


def test_a_proxy_that_refuses_only_this_call_stops_no_other_one(ready: Machine) -> None:
    ready.collection.failing = {10: Unauthorized("who?")}
    with pytest.raises(Unavailable):
        ready.ask()


@pytest.mark.parametrize("error", [NotFound("what?"), Refused("no such call")])
def test_a_service_that_does_not_know_the_call_does_not_offer_it(
    ready: Machine, error: CollectionError
) -> None:
    ready.collection.failing = {10: error}
    with pytest.raises(NotFound):
        ready.ask()


@pytest.mark.parametrize("error", [NotFound("what?"), BadAnswer("html"), Unreachable("gone")])
def test_searches_do_not_wait_for_a_service_that_does_not_report_changes(
    machine: Machine, error: CollectionError
) -> None:
    machine.collection.failing = {None: error}
    for number in range(9):
        machine.images.send(f"us.{number}")
        machine.alerted()
    assert machine.collection.calls.count(None) == 3
    assert machine.searches.due(9) == []
    assert machine.moment is None


def test_a_service_whose_moments_went_back_is_followed(ready: Machine) -> None:
    ready.collection.pages = {10: ([], 4)}
    ready.collection.present = 4
    assert not ready.ask()
    assert ready.moment == "4"


def test_pages_without_end_are_read_in_portions(
    ready: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes_poll, "_MOST_PAGES", 5)
    ready.collection.pages = {moment: ([], moment + 1) for moment in range(1, 100)}
    ready.collection.present = 10**18
    assert not ready.ask()
    assert ready.moment == "15"


def test_the_poll_stops_between_two_pages(ready: Machine) -> None:
    ready.collection.present = 30
    ready.collection.pages = {10: ([pair("x.1")], 20), 20: ([pair("x.2")], 30)}
    assert ready.ask(lambda _seconds: False)
    assert (ready.reported, ready.moment) == (["x.1"], "20")


def test_pairs_above_the_highest_rank_are_not_stored(ready: Machine) -> None:
    ready.collection.present = 20
    ready.collection.pages = {10: ([pair("x.1", rank=51), pair("x.2", rank=50)], 20)}
    assert ready.ask()
    assert ready.reported == ["x.2"]


def test_a_damaged_moment_is_taken_again(ready: Machine) -> None:
    ready.images.state.set_fact("changes_since", "odd")
    assert not ready.ask()
    assert ready.moment == "10"


def test_a_search_that_fails_keeps_its_pairs_and_does_not_delay_the_others(ready: Machine) -> None:
    ready.images.send("us.b")
    ready.alerted()
    ready.collection.present = 20
    ready.collection.pages = {10: ([pair("x.1"), pair("x.2", "us.b")], 20)}
    ready.collection.found = {"us.a": {"x.1": 5}, "us.b": {"x.2": 5}}
    ready.collection.failing = {"us.a": BadAnswer("html")}
    assert ready.ask()
    with pytest.raises(BadAnswer):
        ready.alerted()
    assert ready.reported == ["x.1"]
    ready.collection.failing = {}
    assert ready.alerted() == [("us.b", "x.2"), ("us.a", "x.1")]


def test_images_of_ours_are_searched_for_before_reported_ones(ready: Machine) -> None:
    ready.collection.present = 20
    ready.collection.pages = {10: ([pair("x.1")], 20)}
    ready.ask()
    ready.images.send("us.new")
    ready.collection.calls.clear()
    ready.alerted()
    assert ready.collection.calls == ["us.new", "us.a"]


def test_an_image_that_is_no_longer_in_the_collection_is_forgotten(ready: Machine) -> None:
    ready.collection.present = 20
    ready.collection.pages = {10: ([pair("x.1"), pair("x.2")], 20)}
    assert ready.ask()
    assert ready.alerted() == []
    assert ready.reported == []
    ready.collection.pages = {20: ([pair("x.1")], 21)}
    ready.collection.failing = {"us.a": NotFound("gone")}
    assert ready.ask()
    assert ready.alerted() == []
    assert ready.reported == []
