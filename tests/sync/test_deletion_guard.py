"""Deletions in bulk wait, however they come: at once, bit by bit, or gathered in an outage."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from snoopsync.config.settings import HoldPolicy
from snoopsync.core.bulk_guard import WINDOW_SECONDS
from snoopsync.core.model import File, Fingerprint, RelPath
from snoopsync.core.planner import Add, Cause, Delete, Refresh, Update
from snoopsync.state.database import Database
from snoopsync.state.folders import FolderRow
from snoopsync.state.images import State
from snoopsync.state.intents import Sent
from snoopsync.sync.deletion_guard import Cleared, DeletionGuard, FolderView, Verdict

POLICY = HoldPolicy(count=5, percent=10)
NOW = 10_000.0

#: The bytes of every file, as the collection confirmed them.
SHA256 = b"1" * 32


class Folder:
    """A folder in a state file, whose files go one after the other."""

    def __init__(self, path: Path, images: int, policy: HoldPolicy | None = POLICY) -> None:
        self.path = path
        self.policy = policy
        self.vanishing: frozenset[RelPath] = frozenset()
        self.cleared: dict[str, Cleared] = {}
        self.rel_paths = [RelPath("photos", b"%03d.jpg" % number) for number in range(images)]
        self.open()
        self.state.intents.apply(
            [Add(rel_path, self.id_of(rel_path), file()) for rel_path in self.rel_paths], NOW
        )
        self.confirm_all()
        self.notice_nothing()

    def confirm_all(self) -> None:
        """All that was planned arrives."""
        for item in self.state.intents.outstanding(1000, NOW, ["photos"]):
            self.state.intents.confirm(Sent(item.record.image_id, item.mark, SHA256, None), NOW)

    def add(self, names: Iterable[str]) -> None:
        """New files appear, and are mirrored."""
        rel_paths = [RelPath("photos", name.encode()) for name in names]
        self.state.intents.apply(
            [Add(rel_path, self.id_of(rel_path), file()) for rel_path in rel_paths], NOW
        )
        self.confirm_all()

    def notice_nothing(self) -> None:
        """The folder is seen to be whole: all its images are known."""
        self.newest = self.state.deletions.newest()

    def open(self) -> None:
        self.database = Database(self.path)
        self.state = State(self.database)
        self.guard = DeletionGuard(self.policy, self.state)

    def close(self) -> None:
        self.database.close()

    def reopen(self) -> None:
        self.close()
        self.open()

    def id_of(self, rel_path: RelPath) -> str:
        return "nas." + rel_path.text

    def delete(self, rel_paths: Iterable[RelPath], now: float = NOW) -> Verdict:
        """Plan to delete them, and write down what may be sent and what is held."""
        deletes = [Delete(rel_path, self.id_of(rel_path)) for rel_path in rel_paths]
        view = FolderView(self.vanishing, self.newest)
        verdict = self.guard.judge(deletes, lambda _: view, now, now)
        self.state.intents.apply([cleared.delete for cleared in verdict.send], now)
        self.state.deletions.hold(delete.image_id for delete in verdict.hold)
        self.cleared |= {cleared.delete.image_id: cleared for cleared in verdict.send}
        return verdict

    def move_to_trash(self, count: int, sha256: bytes = SHA256) -> list[RelPath]:
        """A person moves that many files with these bytes to the trash. Returns them."""
        moved = self.rel_paths[:count]
        self.state.deletions.approve_moved([(self.id_of(each), sha256) for each in moved])
        return moved

    def bring_back(self, rel_paths: Iterable[RelPath]) -> None:
        """The same files are found again."""
        found = [Refresh(each, self.id_of(each), file()) for each in rel_paths]
        self.state.intents.apply(found, NOW)

    def tell(self, now: float = NOW, *, is_last: bool = False) -> None:
        """Log what is held."""
        self.guard.report(lambda _: bool(self.vanishing), now, is_last=is_last)

    def carry_out(self, now: float = NOW) -> int:
        """Remove all that may be, and count it."""
        items = self.state.intents.outstanding(1000, now, ["photos"])
        for item in items:
            self.state.intents.confirm_deleted(item.record.image_id, item.mark)
            if not item.approved:
                newest = self.cleared[item.record.image_id].newest
                self.state.deletions.note_sent("photos", now, newest)
        return len(items)


def file(version: int = 1) -> File:
    return File(Fingerprint(version, 1, version, version))


def rel_paths_of(deletes: Iterable[Delete | Cleared]) -> list[RelPath | None]:
    return [
        each.delete.rel_path if isinstance(each, Cleared) else each.rel_path for each in deletes
    ]


FolderOf = Callable[..., Folder]


@pytest.fixture
def folder_of(tmp_path: Path) -> Iterator[FolderOf]:
    folders: list[Folder] = []

    def make(images: int, policy: HoldPolicy | None = POLICY) -> Folder:
        folders.append(Folder(tmp_path / f"{len(folders)}.sqlite3", images, policy))
        return folders[-1]

    yield make
    for folder in folders:
        folder.close()


def test_a_few_deletions_are_sent(folder_of: FolderOf) -> None:
    folder = folder_of(40)
    verdict = folder.delete(folder.rel_paths[:5])
    assert rel_paths_of(verdict.send) == folder.rel_paths[:5]
    assert not verdict.hold


def test_too_many_deletions_are_all_held(folder_of: FolderOf) -> None:
    folder = folder_of(40)
    verdict = folder.delete(folder.rel_paths[:6])
    assert rel_paths_of(verdict.hold) == folder.rel_paths[:6]
    assert not verdict.send
    assert folder.carry_out() == 0


def test_images_that_the_collection_never_took_are_not_a_loss(folder_of: FolderOf) -> None:
    folder = folder_of(40)
    refused = [RelPath("photos", b"bad-%d.jpg" % number) for number in range(20)]
    folder.state.intents.apply(
        [Add(rel_path, folder.id_of(rel_path), file()) for rel_path in refused], NOW
    )
    for item in folder.state.intents.outstanding(100, NOW, ["photos"]):
        folder.state.intents.defer(item.record.image_id, item.mark, "not a picture", NOW + 25)
    verdict = folder.delete([*refused, *folder.rel_paths[:3]])
    assert len(verdict.send) == 23
    assert folder.carry_out() == 23
    assert len(folder.delete(folder.rel_paths[3:5]).send) == 2, (
        "three were lost before, and no more"
    )
    assert len(folder.delete(folder.rel_paths[5:6]).hold) == 3


def test_a_share_of_a_large_folder_is_sent(folder_of: FolderOf) -> None:
    folder = folder_of(100)
    assert len(folder.delete(folder.rel_paths[:10]).send) == 10
    assert len(folder.delete(folder.rel_paths[10:11]).hold) == 11


def test_deletions_that_trickle_in_over_ten_minutes_are_counted_together(
    folder_of: FolderOf,
) -> None:
    folder = folder_of(40)
    for number in range(5):
        now = NOW + number * WINDOW_SECONDS / 5
        assert folder.delete([folder.rel_paths[number]], now).send
        assert folder.carry_out(now) == 1
    verdict = folder.delete([folder.rel_paths[5]], NOW + WINDOW_SECONDS - 1)
    assert rel_paths_of(verdict.hold) == [folder.rel_paths[5]]


@pytest.mark.parametrize(("seconds", "counts"), [(600.0, True), (600.1, False)])
def test_deletions_of_the_last_ten_minutes_count(
    folder_of: FolderOf, seconds: float, counts: bool
) -> None:
    folder = folder_of(40)
    folder.delete(folder.rel_paths[:5])
    assert folder.carry_out() == 5
    verdict = folder.delete([folder.rel_paths[5]], NOW + seconds)
    assert rel_paths_of(verdict.hold if counts else verdict.send) == [folder.rel_paths[5]]


def test_deletions_that_gather_in_an_outage_are_counted_together(folder_of: FolderOf) -> None:
    """They were let go one by one, and none was sent yet: then none of them is."""
    folder = folder_of(40)
    for rel_path in folder.rel_paths[:5]:
        assert folder.delete([rel_path]).send
    verdict = folder.delete([folder.rel_paths[5]], NOW + 10 * WINDOW_SECONDS)
    assert sorted(map(str, rel_paths_of(verdict.hold))) == sorted(map(str, folder.rel_paths[:6]))
    assert folder.carry_out() == 0


def test_a_file_that_came_back_in_an_outage_is_not_counted(folder_of: FolderOf) -> None:
    folder = folder_of(40)
    folder.delete(folder.rel_paths[:5])
    back = folder.rel_paths[0]
    folder.state.intents.apply([Update(back, folder.id_of(back), file(2))], NOW)
    verdict = folder.delete([folder.rel_paths[5]])
    assert rel_paths_of(verdict.send) == [folder.rel_paths[5]]
    assert not verdict.hold


def test_a_cleared_deletion_is_counted_once_however_often_it_is_planned(
    folder_of: FolderOf,
) -> None:
    folder = folder_of(40)
    for _ in range(3):
        assert len(folder.delete(folder.rel_paths[:5]).send) == 5


def test_a_folder_of_ten_is_not_emptied_without_approval(folder_of: FolderOf) -> None:
    policy = HoldPolicy(count=50, percent=10)
    assert folder_of(10, policy).delete(folder_of(10, policy).rel_paths).hold
    assert folder_of(9, policy).delete(folder_of(9, policy).rel_paths).send


def test_a_folder_of_ten_is_not_emptied_bit_by_bit(folder_of: FolderOf) -> None:
    folder = folder_of(10, HoldPolicy(count=50, percent=10))
    assert len(folder.delete(folder.rel_paths[:9]).send) == 9
    folder.carry_out()
    assert rel_paths_of(folder.delete(folder.rel_paths[9:]).hold) == folder.rel_paths[9:]


def test_while_some_are_held_those_that_follow_are_held_too_also_after_a_restart(
    folder_of: FolderOf,
) -> None:
    folder = folder_of(40)
    folder.delete(folder.rel_paths[:6])
    folder.reopen()
    assert len(folder.state.deletions.held("photos")) == 6
    assert folder.delete([folder.rel_paths[6]], NOW + 10 * WINDOW_SECONDS).hold


def test_approved_deletions_are_sent_and_not_counted(folder_of: FolderOf) -> None:
    folder = folder_of(40)
    folder.delete(folder.rel_paths[:20])
    folder.state.deletions.approve("photos")
    folder.reopen()
    verdict = folder.delete(folder.rel_paths[:20])
    assert len(verdict.send) == 20
    assert folder.carry_out() == 20
    assert len(folder.delete(folder.rel_paths[20:25]).send) == 5


def test_files_in_the_trash_are_neither_held_nor_counted(folder_of: FolderOf) -> None:
    folder = folder_of(100)
    moved, others = folder.move_to_trash(60), folder.rel_paths[60:64]
    verdict = folder.delete(moved)
    assert rel_paths_of(verdict.send) == moved
    assert not any(cleared.counts for cleared in verdict.send)
    assert not verdict.hold
    # Four of forty are no more than the policy lets go.
    assert len(folder.delete(others).send) == 4


def test_deletions_by_hand_are_judged_without_the_files_in_the_trash(
    folder_of: FolderOf,
) -> None:
    folder = folder_of(100)
    moved, others = folder.move_to_trash(60), folder.rel_paths[60:66]
    verdict = folder.delete([*moved, *others])
    assert rel_paths_of(verdict.send) == moved
    assert rel_paths_of(verdict.hold) == others


def test_files_that_move_to_the_trash_do_not_delay_other_deletions(
    folder_of: FolderOf,
) -> None:
    folder = folder_of(100)
    moved, other = folder.move_to_trash(60), folder.rel_paths[60]
    folder.vanishing = frozenset(moved)
    assert rel_paths_of(folder.delete([other]).send) == [other]


def test_files_in_the_trash_do_not_count_as_kept_by_the_folder(folder_of: FolderOf) -> None:
    folder = folder_of(20, HoldPolicy(count=50, percent=100))
    folder.move_to_trash(10)
    assert len(folder.delete(folder.rel_paths[10:]).hold) == 10


def test_an_approval_is_for_the_bytes_that_were_moved(folder_of: FolderOf) -> None:
    folder = folder_of(100)
    moved = folder.move_to_trash(60, b"2" * 32)
    assert rel_paths_of(folder.delete(moved).hold) == moved


def test_an_approval_ends_when_the_collection_has_other_bytes(folder_of: FolderOf) -> None:
    """An upload that was under way is confirmed after the file was moved."""
    folder = folder_of(100)
    moved = folder.move_to_trash(60)
    for rel_path in moved:
        folder.state.intents.confirm(Sent(folder.id_of(rel_path), 1, b"2" * 32, None), NOW)
    assert rel_paths_of(folder.delete(moved).hold) == moved


def test_an_approval_ends_when_the_collection_may_have_other_bytes(folder_of: FolderOf) -> None:
    folder = folder_of(100)
    for rel_path in folder.rel_paths:
        folder.state.intents.confirm(Sent(folder.id_of(rel_path), 1, SHA256, "a time"), NOW)
    moved = folder.move_to_trash(60)
    for rel_path in moved:
        assert folder.state.intents.mark_unconfirmed(folder.id_of(rel_path), "a time")
    assert rel_paths_of(folder.delete(moved).hold) == moved


def test_an_approval_survives_a_confirmation_of_the_same_bytes(folder_of: FolderOf) -> None:
    folder = folder_of(100)
    moved = folder.move_to_trash(60)
    for rel_path in moved:
        folder.state.intents.confirm(Sent(folder.id_of(rel_path), 1, SHA256, None), NOW)
    assert rel_paths_of(folder.delete(moved).send) == moved


def test_an_approval_is_withdrawn_when_the_file_is_put_back(folder_of: FolderOf) -> None:
    folder = folder_of(100)
    moved = folder.move_to_trash(60)
    folder.state.deletions.withdraw_moved([(folder.id_of(each), SHA256) for each in moved])
    assert rel_paths_of(folder.delete(moved).hold) == moved


def test_an_approval_ends_when_the_file_is_back(folder_of: FolderOf) -> None:
    folder = folder_of(100)
    moved = folder.move_to_trash(60)
    folder.state.intents.apply([Refresh(each, folder.id_of(each), file(2)) for each in moved], NOW)
    assert rel_paths_of(folder.delete(moved).hold) == moved


def test_held_deletions_of_files_in_the_trash_are_released(folder_of: FolderOf) -> None:
    """The guard was faster than the approval."""
    folder = folder_of(100)
    moved, others = folder.rel_paths[:60], folder.rel_paths[60:66]
    folder.delete([*moved, *others])
    folder.move_to_trash(60)
    assert rel_paths_of(folder.delete(moved).send) == moved
    assert folder.state.deletions.count_held("photos") == len(others)


def test_approvals_survive_a_restart(folder_of: FolderOf) -> None:
    folder = folder_of(100)
    moved = folder.move_to_trash(60)
    folder.reopen()
    assert rel_paths_of(folder.delete(moved).send) == moved


def test_deletions_wait_while_more_files_are_going(folder_of: FolderOf) -> None:
    """Whether they are too many is known when those are gone for long enough."""
    folder = folder_of(40)
    folder.vanishing = frozenset(folder.rel_paths[3:8])
    verdict = folder.delete(folder.rel_paths[:3])
    assert rel_paths_of(verdict.unsettled) == folder.rel_paths[:3]
    assert not verdict.send
    assert not verdict.hold
    folder.vanishing = frozenset()
    assert len(folder.delete(folder.rel_paths[:8]).hold) == 8


def test_deletions_do_not_wait_for_a_few_files_that_are_going(folder_of: FolderOf) -> None:
    folder = folder_of(40)
    folder.vanishing = frozenset(folder.rel_paths[:5])
    assert len(folder.delete(folder.rel_paths[:3]).send) == 3


def test_each_folder_is_judged_by_itself(folder_of: FolderOf) -> None:
    folder = folder_of(40)
    other = RelPath("scans", b"a.jpg")
    folder.state.intents.apply([Add(other, folder.id_of(other), file())], NOW)
    verdict = folder.delete([*folder.rel_paths[:6], other])
    assert rel_paths_of(verdict.send) == [other]
    assert len(verdict.hold) == 6


def test_nothing_is_ever_held_if_the_policy_is_never(folder_of: FolderOf) -> None:
    folder = folder_of(40, None)
    assert len(folder.delete(folder.rel_paths).send) == 40


@pytest.mark.parametrize("policy", [HoldPolicy(count=5, percent=10), None])
def test_deletions_that_need_approval_are_held_however_few(
    folder_of: FolderOf, policy: HoldPolicy | None, caplog: pytest.LogCaptureFixture
) -> None:
    folder = folder_of(40, policy)
    folder.state.deletions.require_approval(folder.rel_paths[:1])
    verdict = folder.delete(folder.rel_paths[:2])
    assert rel_paths_of(verdict.hold) == folder.rel_paths[:1]
    assert [cleared.delete.rel_path for cleared in verdict.send] == folder.rel_paths[1:2]
    folder.state.deletions.hold([folder.id_of(folder.rel_paths[0])])
    folder.guard.report(lambda _folder: False, 0.0)
    [message] = caplog.messages
    for part in ("photos", "1 of them since the disk was", "000.jpg", "approve photos"):
        assert part in message
    assert folder.state.deletions.approve("photos") == 1
    verdict = folder.delete(folder.rel_paths[:1])
    assert [cleared.delete.rel_path for cleared in verdict.send] == folder.rel_paths[:1]


def test_a_folder_keeps_one_of_its_known_images_whatever_new_files_it_has(
    folder_of: FolderOf,
) -> None:
    folder = folder_of(12, HoldPolicy(count=50, percent=10))
    folder.add(f"new-{number}.jpg" for number in range(100))
    assert len(folder.delete(folder.rel_paths).hold) == 12


def test_a_folder_keeps_one_of_its_known_images_though_they_go_one_by_one(
    folder_of: FolderOf,
) -> None:
    """What was known is what was known when the window began."""
    folder = folder_of(12, HoldPolicy(count=50, percent=10))
    for number in range(11):
        assert folder.delete([folder.rel_paths[number]], NOW + 10 * number).send
        folder.carry_out(NOW + 10 * number)
        folder.add([f"new-{number}.jpg"])
        folder.notice_nothing()
    folder.reopen()
    assert folder.delete([folder.rel_paths[11]], NOW + 120).hold


def test_new_images_do_not_count_as_lost_when_some_of_them_go(folder_of: FolderOf) -> None:
    folder = folder_of(0, HoldPolicy(count=50, percent=10))
    folder.add(f"{number}.jpg" for number in range(100))
    folder.notice_nothing()
    verdict = folder.delete([RelPath("photos", b"%d.jpg" % number) for number in range(12)])
    assert len(verdict.send) == 12


def test_new_files_do_not_lower_the_share_that_goes(folder_of: FolderOf) -> None:
    folder = folder_of(100)
    folder.add(f"new-{number}.jpg" for number in range(100))
    assert len(folder.delete(folder.rel_paths[:11]).hold) == 11


def test_images_that_no_record_knows_are_counted_against_all_of_the_owner(
    folder_of: FolderOf,
) -> None:
    folder = folder_of(100)
    unknown = [Delete(None, f"nas.{number}", Cause.UNKNOWN) for number in range(12)]
    assert not folder.guard.exceeds(unknown[:11], NOW)
    assert folder.guard.exceeds(unknown, NOW)


def test_prunes_of_one_window_are_counted_together(folder_of: FolderOf) -> None:
    folder = folder_of(40)
    unknown = [Delete(None, f"nas.{number}", Cause.UNKNOWN) for number in range(6)]
    for _ in folder.guard.clear_prune(unknown[:5], approved=False):
        folder.state.deletions.note_sent(None, NOW)
    assert folder.guard.exceeds(unknown[5:], NOW)
    assert not folder.guard.exceeds(unknown[5:], NOW + WINDOW_SECONDS + 1)


def test_a_prune_counts_with_the_deletions_of_its_folder(folder_of: FolderOf) -> None:
    folder = folder_of(40)
    folder.delete(folder.rel_paths[:3])
    folder.carry_out()
    left_out = [
        Delete(rel_path, folder.id_of(rel_path), Cause.LEFT_OUT)
        for rel_path in folder.rel_paths[3:6]
    ]
    assert not folder.guard.exceeds(left_out[:2], NOW)
    assert folder.guard.exceeds(left_out, NOW)
    assert not DeletionGuard(None, folder.state).exceeds(left_out, NOW), "nothing is ever held"


def test_the_log_names_count_percent_and_some_paths(
    folder_of: FolderOf, caplog: pytest.LogCaptureFixture
) -> None:
    folder = folder_of(40)
    with caplog.at_level(logging.WARNING, "snoopsync.deletions"):
        folder.delete(folder.rel_paths[:10])
        folder.tell()
    [message] = caplog.messages
    for part in ("photos", "10 deletions", "25 %", "000.jpg", "002.jpg, ...", "approve"):
        assert part in message
    assert "003.jpg" not in message


def test_held_deletions_survive_a_restart(folder_of: FolderOf) -> None:
    folder = folder_of(40)
    folder.delete(folder.rel_paths[:6])
    with closing(Database(folder.path, readonly=True)) as database:
        assert len(State(database).deletions.held("photos")) == 6


def test_the_log_says_that_no_deletions_are_held_when_the_files_are_back(
    folder_of: FolderOf, caplog: pytest.LogCaptureFixture
) -> None:
    folder = folder_of(40)
    folder.state.folders.save(FolderRow("photos", b"/photos", None, None))
    gone = folder.rel_paths[:6]
    folder.delete(gone)
    folder.tell()
    folder.reopen()
    caplog.set_level(logging.INFO, "snoopsync.deletions")
    caplog.clear()
    folder.bring_back(gone[:5])
    folder.tell()
    assert caplog.messages == []
    folder.bring_back(gone[5:])
    folder.tell()
    folder.tell()
    assert caplog.messages == ["folder photos: no deletions are held any more"]
    folder.delete(gone)
    folder.bring_back(gone)
    folder.tell()
    assert len(caplog.messages) == 1, "the log did not say that deletions are held"


def counted(caplog: pytest.LogCaptureFixture) -> list[int]:
    return [record.fields["count"] for record in caplog.records]  # type: ignore[attr-defined]


def test_the_log_waits_for_the_whole_number(
    folder_of: FolderOf, caplog: pytest.LogCaptureFixture
) -> None:
    """Of 120 files that are removed some are gone for long enough before the others."""
    folder = folder_of(200)
    folder.vanishing = frozenset(folder.rel_paths[61:120])
    folder.delete(folder.rel_paths[:61])
    folder.tell()
    assert counted(caplog) == []
    folder.vanishing = frozenset()
    folder.delete(folder.rel_paths[61:120])
    folder.tell()
    assert counted(caplog) == [120]


def test_the_last_message_about_held_deletions_has_the_right_number(
    folder_of: FolderOf, caplog: pytest.LogCaptureFixture
) -> None:
    folder = folder_of(200)
    folder.delete(folder.rel_paths[:61])
    folder.tell()
    folder.delete(folder.rel_paths[61:70])
    folder.tell(NOW + 1)
    assert counted(caplog) == [61], "not for each one that follows"
    folder.tell(NOW + 6)
    assert counted(caplog) == [61, 70]
    folder.delete(folder.rel_paths[70:71], NOW + 62)
    folder.tell(NOW + 62, is_last=True)
    assert counted(caplog) == [61, 70, 71]
    folder.tell(NOW + 10_000)
    assert counted(caplog) == [61, 70, 71]
