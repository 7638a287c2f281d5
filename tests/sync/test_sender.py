"""What is sent, and what happens meanwhile: edits, renames, refusals and lost answers."""

from __future__ import annotations

import pytest

from snoopsync.cli.exit_codes import of_resync
from snoopsync.core.planner import Verb
from snoopsync.runtime.workers import Workers
from tests.support.faults import answers, reset_after
from tests.support.world import InlineWorkers, World, fake_picture
from tests.sync.helpers import A, B, C, D, crash_while_sending, mirror


def test_an_edit_during_the_upload_is_sent_too(world: World) -> None:
    edits = [B]

    def edit(seen: object) -> None:
        if edits:
            world.disk.write("a.jpg", edits.pop())

    with world.running() as live:
        world.disk.write("a.jpg", A)
        world.remote.server.fault_for = lambda seen: edit(seen) if seen.length else None
        live.settle()
        live.settle()
    world.check_mirrored()


def test_a_rename_during_the_upload_keeps_the_id(world: World) -> None:
    with world.running() as live:
        world.disk.write("a.jpg", A)
        renames = ["b.jpg"]

        def rename(seen: object) -> None:
            if renames:
                world.disk.rename("a.jpg", renames.pop())

        world.remote.server.fault_for = lambda seen: rename(seen) if seen.length else None
        live.settle()
        live.settle()
    world.check_mirrored()


def test_a_file_that_comes_back_during_its_deletion_is_sent_again(world: World) -> None:
    ids = mirror(world, a=A, b=B)
    with world.running() as live:
        world.disk.remove("a.jpg")

        def bring_back(seen: object) -> None:
            world.disk.write("a.jpg", A)

        world.remote.server.fault_for = lambda seen: (
            bring_back(seen) if seen.method == "DELETE" else None
        )
        live.settle()
        live.settle()
    world.check_mirrored()
    assert world.id_of("a.jpg") == ids["a.jpg"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_lost_answer_makes_no_second_image(world: World, method: str) -> None:
    mirror(world, a=A, b=B, c=C)
    faults = [reset_after()]
    world.remote.server.fault_for = lambda seen: (
        faults.pop() if seen.method == method and faults else None
    )
    world.disk.write("a.jpg", D)
    world.disk.remove("b.jpg")
    world.disk.write("new.jpg", fake_picture(7))
    world.resync()
    assert faults == []
    world.check_mirrored()


def test_a_refused_image_is_retried_later_and_stops_no_other(world: World) -> None:
    world.disk.write("a.jpg", b"no picture")
    world.disk.write("b.jpg", B)
    report = world.resync()
    assert (report.summary.added, report.summary.failed, of_resync(report)) == (1, 1, 3)
    world.remote.forget_requests()
    with world.running(reconcile=False) as live:
        live.settle()
    assert world.remote.uploads() == []

    world.disk.write("a.jpg", A)
    assert of_resync(world.resync()) == 0
    world.check_mirrored()


def test_a_refused_image_that_is_removed_from_the_disk_is_forgotten(world: World) -> None:
    world.disk.write("a.jpg", b"no picture")
    world.disk.write("b.jpg", B)
    with world.running() as live:
        world.disk.remove("a.jpg")
        live.settle()
    world.check_mirrored()


def test_an_empty_file_is_retried_later(world: World) -> None:
    world.disk.write("a.jpg", b"")
    world.disk.write("b.jpg", B)
    report = world.resync()
    assert (report.summary.added, report.summary.failed) == (1, 1)


def test_a_deletion_that_a_crash_cut_short_is_done_after_the_restart(world: World) -> None:
    mirror(world, a=A, b=B)
    with world.running_until_it_crashes() as live:
        live.reconcile()
        world.disk.remove("a.jpg")
        live.scan()
        live.until(lambda: len(world.remote.deletes()) == 1)
    with world.running() as live:
        live.rest()
    world.check_mirrored()


def test_an_upload_that_a_crash_cut_short_makes_no_second_image(world: World) -> None:
    mirror(world, b=B)
    crash_while_sending(world, "a.jpg", A)
    world.disk.rename("a.jpg", "z.jpg")
    world.resync()
    world.check_mirrored()


def test_an_unfinished_upload_of_an_image_that_is_missing_is_sent_once(world: World) -> None:
    """What is outstanding waits until the listing has said whether the collection has it."""
    ids = mirror(world, a=A, b=B)
    with world.running_until_it_crashes() as live:
        live.reconcile()
        world.disk.write("a.jpg", C)
        live.scan()
        world.remote.server.fault_for = lambda seen: answers(500) if seen.length else None
        live.until(lambda: len(world.remote.uploads()) > 0)
    world.remote.server.fault_for = lambda seen: None
    world.remote.remove(ids["a.jpg"])
    world.remote.forget_requests()
    plan = world.rehearse()
    assert [verb for verb, _, _ in plan.lines] == [Verb.ADD]
    assert world.resync().summary.added == 1
    assert [seen.method for seen in world.remote.uploads()] == ["POST"]
    world.check_mirrored()


class _QueuedWorkers(InlineWorkers):
    """``queued``: how many jobs seem to wait."""

    queued = 0

    @property
    def waiting(self) -> int:
        return self.queued


@pytest.mark.parametrize(("queued", "is_woken"), [(0, True), (1, True), (2, False)])
def test_results_gather_while_enough_images_wait_for_the_workers(
    world: World, queued: int, is_woken: bool
) -> None:
    made: list[_QueuedWorkers] = []

    def make(count: int, name: str) -> Workers:
        made.append(_QueuedWorkers(count, name))
        return made[-1]

    world.make_workers = make
    with world.running() as live:
        world.disk.write("a.jpg", A)
        for workers in made:
            workers.queued = queued
        calls: list[str] = []
        live.components.engine.sender.on_completed = lambda: calls.append("woken")
        live.scan()
        live.until(lambda: len(world.remote.ids()) == 1)
        assert bool(calls) == is_woken
        live.settle()
    world.check_mirrored()
