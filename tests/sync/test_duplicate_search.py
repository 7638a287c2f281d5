"""Alerts: each new picture once, none lost, and no image keeps the others waiting."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from snoopsync.config.settings import LogConfig
from snoopsync.core.errors import (
    BadAnswer,
    CollectionError,
    NotFound,
    Refused,
    Unauthorized,
    Unreachable,
)
from snoopsync.core.keep import Keep, Reason
from snoopsync.core.model import File, Fingerprint, RelPath
from snoopsync.core.planner import Add, Update
from snoopsync.core.protocol import ImageAnswer, SearchByIdAnswer
from snoopsync.log.setup import configure, in_background, release
from snoopsync.runtime.counters import Counters
from snoopsync.state.database import Database
from snoopsync.state.decisions import Decisions, Dismissal, Member
from snoopsync.state.images import State
from snoopsync.state.intents import Sent
from snoopsync.state.pairs import Pairs
from snoopsync.state.searches import Searches
from snoopsync.state.sides import Side
from snoopsync.sync.duplicate_search import (
    Alert,
    DuplicateSearch,
    SearchSettings,
    announce_to_file,
    announce_to_log,
)
from tests.support.made_up import MadeUpCollection
from tests.support.pipes import full_pipe

SETTINGS = SearchSettings(max_rank=50)


class World:
    """A state file with images that were sent, and the alerts that were given."""

    def __init__(self, database: Database, collection: MadeUpCollection) -> None:
        self.state = State(database)
        self.searches = Searches(database)
        self.decisions = Decisions(database)
        self.pairs = Pairs(database)
        self.collection = collection
        self.alerts: list[Alert] = []
        self.contents: dict[str, bytes] = {}
        self.counters = Counters()

    def send(self, image_id: str, version: int = 1) -> None:
        """The image's bytes are new, and confirmed."""
        seen = Fingerprint(version, 1, 1, 1)
        rel_path, file = RelPath("f", image_id.encode()), File(seen)
        is_known = self.state.is_taken(image_id)
        action = (Update if is_known else Add)(rel_path, image_id, file)
        self.state.intents.apply([action], 1.0)
        [mark] = [
            item.mark
            for item in self.state.intents.outstanding(9999, 2.0, ["f"])
            if item.record.image_id == image_id
        ]
        sha256 = hashlib.sha256(f"{image_id} {version}".encode()).digest()
        self.contents[image_id] = sha256
        self.state.intents.confirm(Sent(image_id, mark, sha256, None), 1.0)

    def dismiss(self, *image_ids: str) -> None:
        """These images are not duplicates of each other."""
        members = tuple(Member(image_id, self.contents[image_id]) for image_id in image_ids)
        self.decisions.dismiss([Dismissal(members)], 1.0)

    def search(self, *, quiet: bool = False) -> list[tuple[str, str, int]]:
        """Search for what is due; the alerts so far."""
        duplicate_search = DuplicateSearch(
            self.collection,
            self.searches,
            SearchSettings(50, quiet=quiet),
            self.alerts.append,
            counters=self.counters,
        )
        duplicate_search.work_off(lambda: False)
        return [(each.image.image_id, each.match.image_id, each.rank) for each in self.alerts]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with (
        closing(Database(tmp_path / "state.sqlite3")) as database,
        closing(MadeUpCollection(tmp_path / "collection.sqlite3")) as collection,
    ):
        yield World(database, collection)


def test_a_pair_is_alerted_once_whichever_search_finds_it(world: World) -> None:
    world.collection.found = {"a": {"b": 3}, "b": {"a": 3}}
    world.send("a")
    world.send("b")
    assert len(world.search()) == 1
    world.send("a", 2)
    assert len(world.search()) == 1
    assert world.counters.figures().duplicates == 1


def test_searches_are_prepared_in_blocks(world: World) -> None:
    for number in range(100):
        world.send(f"{number:03d}")
    world.search()
    prepared = world.collection.prepared
    assert [image_id for block in prepared for image_id in block] == world.collection.calls
    assert {len(block) for block in prepared[:-1]} == {16}


def test_the_image_that_was_searched_for_comes_first(world: World) -> None:
    world.send("a")
    world.search()
    world.collection.found = {"b": {"a": 7}}
    world.send("b")
    assert world.search() == [("b", "a", 7)]
    assert "f/b (b) is like f/a (a), rank 7" in str(world.alerts[0])


def test_a_match_above_the_highest_rank_is_no_pair(world: World) -> None:
    world.collection.found = {"a": {"b": 51}}
    world.send("a")
    assert world.search() == []
    assert world.pairs.count_open() == 0


def test_a_dismissed_pair_is_never_alerted_again(world: World) -> None:
    twins = {"a": {"b": 3}, "b": {"a": 3}}
    world.collection.found = twins
    world.send("a")
    world.send("b")
    assert len(world.search()) == 1
    world.dismiss("b", "a")
    for version, now in ((2, {}), (3, twins)):
        world.collection.found = now
        world.send("a", version)
        assert len(world.search()) == 1


def test_an_alert_whose_line_is_not_written_stays_due(world: World) -> None:
    """A crash loses a line that waits to be written."""
    world.collection.found = {"a": {"b": 3}, "b": {"a": 3}}
    world.send("a")
    world.send("b")
    duplicate_search = DuplicateSearch(world.collection, world.searches, SETTINGS, announce_to_log)
    with full_pipe() as (reading, writing), pytest.MonkeyPatch.context() as patch:
        stderr = os.fdopen(os.dup(writing), "w")
        with closing(stderr):
            patch.setattr(sys, "stderr", stderr)
            configure(LogConfig(), verbosity=0, environ={})
            try:
                with in_background():
                    duplicate_search.work_off(lambda: bool(world.searches.alerts.due()))
                    assert len(world.searches.alerts.due()) == 1
                    os.read(reading, 1 << 20)
                    duplicate_search.work_off(lambda: False)
                    assert not world.searches.alerts.due()
            finally:
                release()


def test_an_alert_that_was_not_given_is_given_after_a_restart(world: World) -> None:
    world.collection.found = {"a": {"b": 3}}
    world.send("a")
    world.send("b")

    def power_loss(_alert: Alert) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        DuplicateSearch(world.collection, world.searches, SETTINGS, power_loss).work_off(
            lambda: False
        )
    assert world.search() == [("a", "b", 3)]


def test_an_alert_that_a_power_loss_left_unmarked_is_repeated_once(world: World) -> None:
    """An alert is given first and then marked, because the other order could lose it."""
    world.collection.found = {"a": {"b": 3}}
    world.send("a")
    world.send("b")

    def power_loss(alert: Alert) -> None:
        world.alerts.append(alert)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        DuplicateSearch(world.collection, world.searches, SETTINGS, power_loss).work_off(
            lambda: False
        )
    for _ in range(2):
        assert world.search() == [("a", "b", 3)] * 2


def test_without_alerts_pairs_are_recorded_and_never_alerted(world: World) -> None:
    world.collection.found = {"a": {"b": 3}, "b": {"a": 3}}
    world.send("a")
    world.send("b")
    assert world.search(quiet=True) == []
    assert world.pairs.count_open() == 1
    assert world.search() == []


@pytest.mark.parametrize("error", [Refused("no"), BadAnswer("html")])
def test_a_failed_search_does_not_delay_the_others(world: World, error: CollectionError) -> None:
    bad = [f"bad{number:03}" for number in range(120)]
    world.collection.failing = dict.fromkeys(bad, error)
    world.collection.found = {"z": {"a": 1}}
    for image_id in (*bad, "a", "z"):
        world.send(image_id)
    with pytest.raises(type(error)):
        world.search()
    assert [(each.image.image_id, each.match.image_id) for each in world.alerts] == [("z", "a")]
    assert len(world.collection.calls) == 122
    world.collection.failing = {}
    world.search()
    assert world.searches.due(999) == []


def away() -> Unreachable:
    """What a call raises that has waited long enough for a service that is down."""
    error = Unreachable("gone")
    error.outage = True
    return error


@pytest.mark.parametrize("error", [away(), Unauthorized("who?")])
def test_an_error_that_concerns_all_images_ends_the_searches(
    world: World, error: CollectionError
) -> None:
    world.collection.failing = {"a": error, "b": error}
    world.send("a")
    world.send("b")
    with pytest.raises(type(error)):
        world.search()
    assert len(world.collection.calls) == 1
    assert len(world.searches.due(9)) == 2


def test_images_stay_due_when_the_search_is_stopped(world: World) -> None:
    world.send("a")
    DuplicateSearch(world.collection, world.searches, SETTINGS, world.alerts.append).work_off(
        lambda: True
    )
    assert len(world.searches.due(9)) == 1


def test_images_stay_due_when_a_rest_ends_the_searches(world: World) -> None:
    for number in range(3):
        world.send(f"{number}")
    rests = iter([True, True, False])
    search = DuplicateSearch(world.collection, world.searches, SETTINGS, world.alerts.append)
    search.work_off(lambda: False, rest=lambda _seconds: next(rests, True))
    assert not search.has_tried_all
    assert len(world.searches.due(9)) == 1
    search.work_off(lambda: False)
    assert search.has_tried_all
    assert len(world.searches.due(9)) == 0


def alert() -> Alert:
    odd = RelPath("f", b"odd\xff\n.jpg")
    return Alert(Side("one", odd), Side("other", None), 0, others=2, group=7)


def test_an_alert_names_the_kind_the_one_to_keep_and_why() -> None:
    here, there = Side("one", RelPath("f", b"a.jpg")), Side("other", None)
    mirrored = Alert(here, there, 4, "mirrored", Keep("one", Reason.MORE_PIXELS))
    assert str(mirrored) == (
        "duplicate: f/a.jpg (one) is like an image without a file here (other), rank 4, mirrored;"
        " keep f/a.jpg (more pixels)"
    )
    assert str(Alert(here, there, 9, "odd\n", Keep("other", Reason.OLDER))).endswith(
        ", rank 9, odd\\n; keep an image without a file here (other) (older)"
    )


def test_an_alert_names_an_image_of_another_owner_by_its_label() -> None:
    here, there = Side("one", RelPath("f", b"a.jpg")), Side("other", None, label="laptop: x\n.jpg")
    assert str(Alert(here, there, 4)) == (
        "duplicate: f/a.jpg (one) is like laptop: x\\n.jpg (other), rank 4"
    )


def test_an_alert_is_one_line_and_names_everything(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "made" / "alerts.jsonl"
    announce = announce_to_file(path)
    with caplog.at_level(logging.WARNING, "snoopsync.duplicates"):
        announce(alert())
    [record] = caplog.records
    assert (record.name, record.levelname) == ("snoopsync.duplicates", "WARNING")
    assert record.getMessage() == (
        "duplicate: f/odd\\udcff\\n.jpg (one) is the same picture as"
        " an image without a file here (other), rank 0; 2 more (snoopsync duplicates --group 7)"
    )
    [line] = path.read_text().splitlines()
    assert list(json.loads(line)) == [
        *("time", "level", "logger", "event", "message", "folder", "path", "image_id"),
        *("match_folder", "match_path", "match_id", "match_label", "rank", "kind"),
        *("keep", "reason", "others", "group"),
    ]
    assert json.loads(line)["path"] == "odd\udcff\n.jpg"
    assert (json.loads(line)["match_path"], json.loads(line)["rank"]) == (None, 0)


def test_alerts_are_written_to_a_new_file_after_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    announce = announce_to_file(path)
    announce(alert())
    path.rename(tmp_path / "old")
    announce(alert())
    assert len(path.read_text().splitlines()) == 1


def test_an_alert_begins_a_line_after_one_that_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    path.write_text('{"time": "20')
    announce_to_file(path)(alert())
    cut, whole = path.read_text().splitlines()
    assert cut == '{"time": "20'
    assert json.loads(whole)["image_id"] == "one"


def test_an_alert_that_cannot_be_written_to_the_file_is_still_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "snoopsync.duplicates"):
        announce_to_file(tmp_path)(alert())
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]


class Renewing(MadeUpCollection):
    """A collection that describes its pictures again. ``old``: those that are not done yet."""

    old: frozenset[str] = frozenset()

    def search_images_by_id(self, image_id: str, limit: int | None = None) -> SearchByIdAnswer:
        answer = super().search_images_by_id(image_id, limit)
        if image_id in self.old:
            answer["outdated"] = True
        if self.old:
            answer["partial"] = True
        return answer

    def get_image(self, image_id: str) -> ImageAnswer:
        if image_id == "gone":
            raise NotFound("no such image")
        return {
            "status": 200,
            "message": "OK",
            "collection_id": self.id,
            "image_id": image_id,
            "image_time": "",
            "outdated": image_id in self.old,
        }


@pytest.fixture
def renewing(tmp_path: Path) -> Iterator[World]:
    """``a`` and ``b`` are known as a pair, and so are ``a`` and ``gone``."""
    with (
        closing(Database(tmp_path / "state.sqlite3")) as database,
        closing(Renewing(tmp_path / "collection.sqlite3")) as collection,
    ):
        world = World(database, collection)
        collection.found = {"a": {"b": 3, "gone": 3}}
        world.send("a")
        world.send("b")
        world.search()
        collection.found = {}
        yield world


def open_pairs(world: World) -> set[str]:
    return {pair.b.image_id for pair in world.pairs.listed()}


@pytest.mark.parametrize(
    ("old", "left"),
    [
        # Neither was compared with what another version has described.
        ({"a"}, {"b", "gone"}),
        ({"b"}, {"b"}),
        # They were compared.
        ({"c"}, set()),
        (set(), set()),
    ],
)
def test_a_pair_that_was_not_compared_is_not_gone(
    renewing: World, old: set[str], left: set[str]
) -> None:
    renewing.collection.old = frozenset(old)  # type: ignore[attr-defined]
    renewing.searches.search_again()
    assert len(renewing.search()) == 1
    assert open_pairs(renewing) == left
    renewing.collection.old = frozenset()  # type: ignore[attr-defined]
    renewing.collection.found = {"a": {"b": 3}}
    renewing.searches.search_again()
    renewing.search()
    assert open_pairs(renewing) == {"b"}
    # What has never been gone is no news.
    assert len(renewing.alerts) == (1 if "b" in left else 2)
