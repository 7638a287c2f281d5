"""The way of a path from its first sight of a change to the decision."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from snoopsync.core.model import File, Fingerprint, Gone, RelPath
from snoopsync.core.selection import Selection
from snoopsync.folders.folder import Folder
from snoopsync.folders.pending import Inbox, PendingPaths
from tests.support.world import JumpingClock

A, B, C = (RelPath("photos", name) for name in (b"a.jpg", b"b.jpg", b"c.jpg"))


class Scene:
    """A folder, and the paths in it that are pending."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        folder = Folder("photos", os.fsencode(root), Selection(None, ()))
        folder.identity = folder.identify()
        self.clock = JumpingClock()
        self.pending = PendingPaths({"photos": folder}, 1.0, 5.0, self.clock)

    def write(self, rel_path: RelPath, data: bytes = b"data") -> Fingerprint:
        """Write a file."""
        path = self.root / os.fsdecode(rel_path.path)
        path.write_bytes(data)
        return Fingerprint.of(path.lstat())

    def rest(self, *rel_paths: RelPath) -> None:
        """Files come to rest at these paths."""
        for rel_path in rel_paths:
            self.pending.see(rel_path, self.write(rel_path))
        self.clock.advance(1.0)
        self.pending.look_at_due()


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "photos")


def test_the_inbox_returns_the_oldest_paths_first() -> None:
    inbox = Inbox()
    inbox.put([A, B])
    inbox.put([C])
    assert (inbox.take(2), len(inbox)) == ([A, B], 1)
    assert (inbox.take(9), len(inbox)) == ([C], 0)


def test_settled_paths_are_queued_in_the_order_of_paths(scene: Scene) -> None:
    scene.rest(C, A, B)
    assert scene.pending.can_plan
    scene.pending.queue(postponed=False)
    assert list(scene.pending.next_batch(2)) == [A, B]
    assert list(scene.pending.next_batch(2)) == [C]
    assert not scene.pending.can_plan and len(scene.pending) == 0


def test_a_queued_path_is_examined_when_its_turn_comes(scene: Scene) -> None:
    scene.rest(A, B)
    scene.pending.queue(postponed=False)
    scene.pending.next_batch(1)
    assert len(scene.pending) == 1
    edited = scene.write(B, b"other data")
    assert scene.pending.next_batch(1) == {B: File(edited)}


def test_a_postponed_path_is_queued_only_if_it_is_wanted(scene: Scene) -> None:
    scene.rest(A)
    scene.pending.queue(postponed=False)
    scene.pending.postpone(scene.pending.next_batch(1))
    scene.pending.queue(postponed=False)
    assert not scene.pending.has_queue and scene.pending.has_undecided
    edited = scene.write(A, b"other data")
    scene.pending.queue(postponed=True)
    assert scene.pending.next_batch(1) == {A: File(edited)}


def test_a_postponed_path_is_examined_again_when_it_is_resumed(scene: Scene) -> None:
    scene.pending.postpone({A: Gone(), B: Gone()})
    file = scene.write(A)
    assert scene.pending.resume([A, B, C]) == {A: File(file), B: Gone()}
    assert len(scene.pending) == 0


def test_a_file_that_is_queued_is_still_arriving(scene: Scene) -> None:
    """A record whose file is gone from elsewhere may be this one."""
    scene.rest(A)
    scene.pending.queue(postponed=False)
    assert [rel_path for rel_path, _ in scene.pending.arriving().values()] == [A]


def test_a_gone_file_is_pending_until_it_has_a_plan(scene: Scene) -> None:
    """The deletion guard counts it with others, however long it waits."""
    scene.pending.see(A, None)
    assert scene.pending.vanishing("photos") == {A}
    scene.clock.advance(5.0)
    scene.pending.look_at_due()
    assert scene.pending.vanishing("photos") == {A}
    scene.pending.queue(postponed=False)
    assert scene.pending.vanishing("photos") == {A}
    scene.pending.postpone(scene.pending.next_batch(1))
    assert scene.pending.vanishing("photos") == {A}
    assert scene.pending.vanishing("scans") == frozenset()
    scene.pending.resume([A])
    assert scene.pending.vanishing("photos") == frozenset()


def test_a_file_is_arriving_until_its_turn_or_until_it_is_resumed(scene: Scene) -> None:
    scene.rest(A, B)
    scene.pending.queue(postponed=False)
    first = scene.pending.next_batch(1)
    assert [rel_path for rel_path, _ in scene.pending.arriving().values()] == [B]
    scene.pending.postpone(first)
    assert {rel_path for rel_path, _ in scene.pending.arriving().values()} == {A, B}
    scene.pending.resume([A])
    assert [rel_path for rel_path, _ in scene.pending.arriving().values()] == [B]
