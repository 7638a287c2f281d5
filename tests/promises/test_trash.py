"""Files that a person moves to the trash on the review page are approved deletions, and nothing
else is."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from snoopsync.config.settings import HoldPolicy
from snoopsync.core.exits import Exit
from snoopsync.review.source import Source
from snoopsync.review.trash import Trashed, move_to_trash, put_back
from snoopsync.runtime.workers import Workers
from snoopsync.sync.components import Dependencies, open_state
from snoopsync.watching.watcher import Watcher
from tests.support.process import until
from tests.support.serving import serving, the_service_says
from tests.support.world import JumpingClock, ServedWorld, World, fake_picture

pytestmark = pytest.mark.integration

#: Far fewer deletions than are moved to the trash.
HOLD = HoldPolicy(count=5, percent=10)

#: The picture to keep instead of every other one.
KEEP = 0

#: Pictures that are moved to the trash, of thirty.
MOVED = range(1, 21)

_PAUSE_SECONDS = 0.02


class PausedClock(JumpingClock):
    """Time that jumps, but not while a test does what takes a person no time."""

    def __init__(self) -> None:
        super().__init__()
        self.is_paused = False

    @contextmanager
    def paused(self) -> Iterator[None]:
        """No time passes."""
        self.is_paused = True
        try:
            yield
        finally:
            self.is_paused = False

    def wait(self, event: threading.Event, seconds: float) -> None:
        if self.is_paused:
            event.wait(_PAUSE_SECONDS)
        else:
            super().wait(event, seconds)


@dataclass
class Page:
    """What the review page does for a person who looks at a folder."""

    world: World
    clock: PausedClock
    home: Path

    def fill(self, count: int) -> None:
        """The folder has so many pictures, and all are mirrored."""
        for number in range(count):
            self.world.disk.write(f"{number}.jpg", fake_picture(number))
        self.world.resync()
        self.world.remote.forget_requests()

    def trash(self, numbers: Iterable[int]) -> list[Trashed]:
        """Move these pictures to the trash; ``KEEP`` is the one to keep."""
        with closing(Source(self.world.config)) as source:
            return [self._trash(source, number) for number in numbers]

    def _trash(self, source: Source, number: int) -> Trashed:
        marked_id, keep_id = self.world.id_of(f"{number}.jpg"), self.world.id_of(f"{KEEP}.jpg")
        pictures = source.pictures([marked_id, keep_id])
        trashed = move_to_trash(pictures[marked_id], pictures[keep_id], self.home, time.time())
        source.ask({"command": "approve_moved", "members": [_member(trashed)]})
        return trashed

    def undo(self, moved: Iterable[Trashed]) -> None:
        """Put these pictures back."""
        with closing(Source(self.world.config)) as source:
            for trashed in moved:
                source.ask({"command": "withdraw_moved", "members": [_member(trashed)]})
                put_back(trashed)

    def remove(self, numbers: Iterable[int]) -> None:
        """Delete these pictures without the page."""
        for number in numbers:
            self.world.disk.remove(f"{number}.jpg")


def _member(trashed: Trashed) -> list[str]:
    assert trashed.picture.sha256 is not None
    return [trashed.picture.image_id, trashed.picture.sha256.hex()]


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    clock = PausedClock()
    with ServedWorld(tmp_path) as world:
        world.clock = clock
        world.hold = HOLD
        yield Page(world, clock, tmp_path / "home/Trash")


@pytest.fixture
def filled(page: Page) -> Page:
    page.fill(30)
    return page


@contextmanager
def running(page: Page, watcher: Watcher) -> Iterator[None]:
    """The service, in sync with the folder."""
    dependencies = Dependencies(page.clock, make_workers=Workers)
    with serving(page.world, watcher, dependencies=dependencies):
        until(lambda: the_service_says(page.world, Exit.OK))
        yield


def test_sixty_of_a_hundred_pictures_in_the_trash_are_deleted_and_nothing_is_held(
    page: Page, watcher: Watcher
) -> None:
    page.fill(100)
    with running(page, watcher):
        with page.clock.paused():
            page.trash(range(1, 61))
        until(lambda: len(page.world.remote.ids()) == 40)
        until(lambda: the_service_says(page.world, Exit.OK))
        assert page.world.held() == 0
        # One by hand is none too many, and six are.
        page.remove([61])
        until(lambda: len(page.world.remote.ids()) == 39)
        page.remove(range(62, 68))
        until(lambda: page.world.held() == 6)
    assert len(page.world.remote.ids()) == 39


def test_deletions_by_hand_are_held_beside_those_of_the_page(
    filled: Page, watcher: Watcher
) -> None:
    with running(filled, watcher):
        with filled.clock.paused():
            filled.remove(range(21, 27))
            filled.trash(MOVED)
        until(lambda: filled.world.held() == 6)
        until(lambda: len(filled.world.remote.ids()) == 10)


def test_without_a_service_the_next_resync_deletes_the_images_of_trashed_files(
    filled: Page,
) -> None:
    filled.trash(MOVED)
    filled.remove([21])
    check(filled, deleted=21, held=0)
    filled.world.check_mirrored()


def test_a_dry_run_reports_the_same_deletions_as_the_resync(filled: Page) -> None:
    filled.trash(MOVED)
    filled.remove(range(21, 27))
    rehearsed = filled.world.rehearse().report.summary
    assert (rehearsed.deleted, rehearsed.held) == (20, 6)
    check(filled, deleted=20, held=6)


def test_a_move_without_an_approval_is_a_deletion_as_any_other(filled: Page) -> None:
    """The page was killed between the two."""
    with closing(Source(filled.world.config)) as source:
        members = [_member(each) for each in filled.trash(MOVED)]
        source.ask({"command": "withdraw_moved", "members": members})
    check(filled, deleted=0, held=20)


def test_what_is_put_back_keeps_its_image(filled: Page, watcher: Watcher) -> None:
    before = filled.world.ids()
    with running(filled, watcher):
        with filled.clock.paused():
            filled.undo(filled.trash(MOVED))
        filled.clock.advance(60.0)
        until(lambda: the_service_says(filled.world, Exit.OK))
    check(filled, deleted=0, held=0)
    assert filled.world.ids() == before
    assert filled.world.remote.deletes() == []
    filled.remove(MOVED)
    check(filled, deleted=0, held=20)


def test_what_another_program_puts_back_is_not_approved_any_more(filled: Page) -> None:
    """Even where the file system does not record that it was moved."""
    for trashed in filled.trash(MOVED):
        put_back(trashed)
        forget_the_move(filled.world, trashed)
    check(filled, deleted=0, held=0)
    filled.remove(MOVED)
    check(filled, deleted=0, held=20)


def test_an_approval_is_used_once(filled: Page) -> None:
    """A later file of that name is another picture."""
    filled.trash(MOVED)
    check(filled, deleted=20, held=0)
    for number in MOVED:
        filled.world.disk.write(f"{number}.jpg", fake_picture(number))
    filled.world.resync()
    filled.remove(MOVED)
    check(filled, deleted=0, held=20)


def test_files_in_a_trash_below_the_folder_are_not_mirrored(filled: Page) -> None:
    """A folder that is a disk of its own has its trash in it."""
    filled.home = filled.world.disk.root / ".Trash-1000"
    filled.trash(MOVED)
    check(filled, deleted=20, held=0)
    assert len(filled.world.remote.ids()) == 10


def check(page: Page, *, deleted: int, held: int) -> None:
    """The next resync deletes and holds so many images."""
    summary = page.world.resync().summary
    assert (summary.deleted, summary.held, summary.renamed) == (deleted, held, 0)


def forget_the_move(world: World, trashed: Trashed) -> None:
    """The record has the ctime that the move gave to the file."""
    path = world.disk.root / os.fsdecode(trashed.picture.path)
    with closing(open_state(world.state_path)) as database:
        database.change(
            "UPDATE image SET ctime_ns = ? WHERE image_id = ?",
            (path.stat().st_ctime_ns, trashed.picture.image_id),
        )
