"""Deletions in bulk wait, however they come: at once, bit by bit, or gathered in an outage."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from snoopsync.config.settings import HoldPolicy
from snoopsync.deletions import DeletionGuard, Verdict
from snoopsync.hold import WINDOW_SECONDS
from snoopsync.model import File, Fingerprint, Place
from snoopsync.planner import Add, Delete, Update
from snoopsync.state.database import Database
from snoopsync.state.images import State
from snoopsync.state.intents import Sent

POLICY = HoldPolicy(count=5, percent=10)
NOW = 10_000.0


class Folder:
    """A folder in a state file, whose files go one after the other."""

    def __init__(self, path: Path, images: int, policy: HoldPolicy | None = POLICY) -> None:
        self.path = path
        self.policy = policy
        self.vanishing: frozenset[Place] = frozenset()
        self.places = [Place("photos", b"%03d.jpg" % number) for number in range(images)]
        self.open()
        self.state.intents.apply(
            [Add(place, self.id_of(place), file()) for place in self.places], NOW
        )
        for item in self.state.intents.outstanding(images, NOW, ["photos"]):
            self.state.intents.confirm(Sent(item.record.image_id, item.mark, b"1" * 32, None), NOW)

    def open(self) -> None:
        self.database = Database(self.path)
        self.state = State(self.database)
        self.guard = DeletionGuard(self.policy, self.state)

    def close(self) -> None:
        self.database.close()

    def reopen(self) -> None:
        self.close()
        self.open()

    def id_of(self, place: Place) -> str:
        return "nas." + place.text

    def delete(self, places: Iterable[Place], now: float = NOW) -> Verdict:
        """Plan to delete them, and write down what may be sent and what is held."""
        deletes = [Delete(place, self.id_of(place)) for place in places]
        verdict = self.guard.judge(deletes, lambda _: self.vanishing, now)
        self.state.intents.apply(verdict.send, now)
        self.state.deletions.hold(delete.image_id for delete in verdict.hold)
        return verdict

    def carry_out(self, now: float = NOW) -> int:
        """Remove all that may be, and count it."""
        items = self.state.intents.outstanding(1000, now, ["photos"])
        for item in items:
            self.state.intents.removed(item.record.image_id, item.mark)
            if not item.approved:
                self.state.deletions.note_sent("photos", now)
        return len(items)


def file(version: int = 1) -> File:
    return File(Fingerprint(version, 1, version, version))


def places_of(deletes: Iterable[Delete]) -> list[Place | None]:
    return [delete.place for delete in deletes]


@pytest.fixture
def folder_of(tmp_path: Path) -> Iterator[Callable[..., Folder]]:
    folders: list[Folder] = []

    def make(images: int, policy: HoldPolicy | None = POLICY) -> Folder:
        folders.append(Folder(tmp_path / f"{len(folders)}.sqlite3", images, policy))
        return folders[-1]

    yield make
    for folder in folders:
        folder.close()


def test_a_few_deletions_are_sent(folder_of: Callable[..., Folder]) -> None:
    folder = folder_of(40)
    verdict = folder.delete(folder.places[:5])
    assert places_of(verdict.send) == folder.places[:5]
    assert not verdict.hold


def test_too_many_at_once_are_held_all_of_them(folder_of: Callable[..., Folder]) -> None:
    folder = folder_of(40)
    verdict = folder.delete(folder.places[:6])
    assert places_of(verdict.hold) == folder.places[:6]
    assert not verdict.send
    assert folder.carry_out() == 0


def test_images_that_the_collection_never_took_are_no_loss(
    folder_of: Callable[..., Folder],
) -> None:
    folder = folder_of(40)
    refused = [Place("photos", b"bad-%d.jpg" % number) for number in range(20)]
    folder.state.intents.apply([Add(place, folder.id_of(place), file()) for place in refused], NOW)
    for item in folder.state.intents.outstanding(100, NOW, ["photos"]):
        folder.state.intents.park(item.record.image_id, item.mark, "not a picture", NOW + 25)
    verdict = folder.delete([*refused, *folder.places[:3]])
    assert len(verdict.send) == 23
    assert folder.carry_out() == 23
    assert len(folder.delete(folder.places[3:5]).send) == 2, "three were lost before, and no more"
    assert len(folder.delete(folder.places[5:6]).hold) == 3


def test_a_share_of_a_large_folder_is_sent(folder_of: Callable[..., Folder]) -> None:
    folder = folder_of(100)
    assert len(folder.delete(folder.places[:10]).send) == 10
    assert len(folder.delete(folder.places[10:11]).hold) == 11


def test_deletions_that_trickle_in_over_ten_minutes_are_counted_together(
    folder_of: Callable[..., Folder],
) -> None:
    folder = folder_of(40)
    for number in range(5):
        now = NOW + number * WINDOW_SECONDS / 5
        assert folder.delete([folder.places[number]], now).send
        assert folder.carry_out(now) == 1
    verdict = folder.delete([folder.places[5]], NOW + WINDOW_SECONDS - 1)
    assert places_of(verdict.hold) == [folder.places[5]]


@pytest.mark.parametrize(("seconds", "counts"), [(600.0, True), (600.1, False)])
def test_what_was_sent_ten_minutes_ago_counts_and_nothing_before(
    folder_of: Callable[..., Folder], seconds: float, counts: bool
) -> None:
    folder = folder_of(40)
    folder.delete(folder.places[:5])
    assert folder.carry_out() == 5
    verdict = folder.delete([folder.places[5]], NOW + seconds)
    assert places_of(verdict.hold if counts else verdict.send) == [folder.places[5]]


def test_deletions_that_gather_in_an_outage_are_counted_together(
    folder_of: Callable[..., Folder],
) -> None:
    """They were let go one by one, and none was sent yet: then none of them is."""
    folder = folder_of(40)
    for place in folder.places[:5]:
        assert folder.delete([place]).send
    verdict = folder.delete([folder.places[5]], NOW + 10 * WINDOW_SECONDS)
    assert sorted(map(str, places_of(verdict.hold))) == sorted(map(str, folder.places[:6]))
    assert folder.carry_out() == 0


def test_a_file_that_came_back_in_an_outage_is_not_counted(
    folder_of: Callable[..., Folder],
) -> None:
    folder = folder_of(40)
    folder.delete(folder.places[:5])
    back = folder.places[0]
    folder.state.intents.apply([Update(back, folder.id_of(back), file(2))], NOW)
    verdict = folder.delete([folder.places[5]])
    assert places_of(verdict.send) == [folder.places[5]]
    assert not verdict.hold


def test_what_is_let_go_is_counted_once_however_often_it_is_planned(
    folder_of: Callable[..., Folder],
) -> None:
    folder = folder_of(40)
    for _ in range(3):
        assert len(folder.delete(folder.places[:5]).send) == 5


def test_a_folder_of_ten_is_not_emptied_unasked(folder_of: Callable[..., Folder]) -> None:
    policy = HoldPolicy(count=50, percent=10)
    assert folder_of(10, policy).delete(folder_of(10, policy).places).hold
    assert folder_of(9, policy).delete(folder_of(9, policy).places).send


def test_a_folder_of_ten_is_not_emptied_bit_by_bit(folder_of: Callable[..., Folder]) -> None:
    folder = folder_of(10, HoldPolicy(count=50, percent=10))
    assert len(folder.delete(folder.places[:9]).send) == 9
    folder.carry_out()
    assert places_of(folder.delete(folder.places[9:]).hold) == folder.places[9:]


def test_while_some_are_held_those_that_follow_are_held_too_also_after_a_restart(
    folder_of: Callable[..., Folder],
) -> None:
    folder = folder_of(40)
    folder.delete(folder.places[:6])
    folder.reopen()
    assert len(folder.state.deletions.held("photos")) == 6
    assert folder.delete([folder.places[6]], NOW + 10 * WINDOW_SECONDS).hold


def test_what_was_approved_goes_out_and_is_not_counted(folder_of: Callable[..., Folder]) -> None:
    folder = folder_of(40)
    folder.delete(folder.places[:20])
    folder.state.deletions.approve("photos")
    folder.reopen()
    verdict = folder.delete(folder.places[:20])
    assert len(verdict.send) == 20
    assert folder.carry_out() == 20
    assert len(folder.delete(folder.places[20:25]).send) == 5


def test_deletions_wait_while_more_files_are_going(folder_of: Callable[..., Folder]) -> None:
    """Whether they are too many is known when those are gone for long enough."""
    folder = folder_of(40)
    folder.vanishing = frozenset(folder.places[3:8])
    verdict = folder.delete(folder.places[:3])
    assert places_of(verdict.unsettled) == folder.places[:3]
    assert not verdict.send
    assert not verdict.hold
    folder.vanishing = frozenset()
    assert len(folder.delete(folder.places[:8]).hold) == 8


def test_deletions_do_not_wait_for_a_few_files_that_are_going(
    folder_of: Callable[..., Folder],
) -> None:
    folder = folder_of(40)
    folder.vanishing = frozenset(folder.places[:5])
    assert len(folder.delete(folder.places[:3]).send) == 3


def test_each_folder_is_judged_by_itself(folder_of: Callable[..., Folder]) -> None:
    folder = folder_of(40)
    other = Place("scans", b"a.jpg")
    folder.state.intents.apply([Add(other, folder.id_of(other), file())], NOW)
    verdict = folder.delete([*folder.places[:6], other])
    assert places_of(verdict.send) == [other]
    assert len(verdict.hold) == 6


def test_nothing_is_ever_held_if_the_policy_is_never(folder_of: Callable[..., Folder]) -> None:
    folder = folder_of(40, None)
    assert len(folder.delete(folder.places).send) == 40


@pytest.mark.parametrize("policy", [HoldPolicy(count=5, percent=10), None])
def test_what_needs_approval_is_held_however_few_until_it_is_approved(
    folder_of: Callable[..., Folder], policy: HoldPolicy | None, caplog: pytest.LogCaptureFixture
) -> None:
    folder = folder_of(40, policy)
    folder.state.deletions.require_approval(folder.places[:1])
    verdict = folder.delete(folder.places[:2])
    assert places_of(verdict.hold) == folder.places[:1]
    assert places_of(verdict.send) == folder.places[1:2]
    [message] = caplog.messages
    for part in ("photos", "1 files", "000.jpg", "approve photos"):
        assert part in message
    folder.state.deletions.hold([folder.id_of(folder.places[0])])
    assert folder.state.deletions.approve("photos") == 1
    assert places_of(folder.delete(folder.places[:1]).send) == folder.places[:1]


def test_an_image_that_no_record_knows_is_only_deleted_by_request(
    folder_of: Callable[..., Folder],
) -> None:
    folder = folder_of(40)
    orphans = [Delete(None, f"nas.orphan{number}") for number in range(50)]
    assert folder.guard.judge(orphans, lambda _: frozenset(), NOW).send == orphans


def test_the_log_names_count_percent_and_some_paths(
    folder_of: Callable[..., Folder], caplog: pytest.LogCaptureFixture
) -> None:
    folder = folder_of(40)
    with caplog.at_level(logging.WARNING, "snoopsync.deletions"):
        folder.delete(folder.places[:10])
    [message] = caplog.messages
    for part in ("photos", "10 deletions", "25 %", "000.jpg", "002.jpg, ...", "approve"):
        assert part in message
    assert "003.jpg" not in message


def test_a_state_file_that_was_closed_keeps_what_is_held(folder_of: Callable[..., Folder]) -> None:
    folder = folder_of(40)
    folder.delete(folder.places[:6])
    with closing(Database(folder.path, readonly=True)) as database:
        assert len(State(database).deletions.held("photos")) == 6
