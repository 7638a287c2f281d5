"""When the service runs a full resync."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from snoopsync.core.backoff import Backoff
from snoopsync.service.reconciler import Reconciler
from snoopsync.sync.resync import ResyncProgress, Show
from tests.support.faults import answers
from tests.support.world import Live, World, fake_picture


class Service:
    """The loop of the engine's thread, reduced to its resyncs."""

    def __init__(self, live: Live, *, is_done: bool = False) -> None:
        self.engine = live.components.engine
        self.shown: list[ResyncProgress] = []
        self.begun = 0
        at_once = Backoff(base_seconds=0.0, cap_seconds=0.0)
        self.reconciler = Reconciler(self.engine, self._showing, at_once, is_done=is_done)

    @contextmanager
    def _showing(self) -> Iterator[Show]:
        self.begun += 1
        yield self.shown.append

    def turn(self) -> None:
        if not self.engine.is_resyncing:
            self.reconciler.begin_if_due()
        self.engine.step()
        self.reconciler.follow()
        self.engine.wait()

    def rest(self) -> None:
        """Turn until no resync runs or is due."""
        for _ in range(400):
            self.turn()
            if not self.engine.is_resyncing and self.engine.is_idle:
                return
        raise AssertionError("the resync does not end")


def test_one_resync_runs_at_the_start(world: World) -> None:
    world.disk.write("a.jpg", fake_picture(1))
    with world.running(reconcile=False) as live:
        service = Service(live)
        for _ in range(3):
            service.rest()
        assert (service.begun, service.reconciler.is_done) == (1, True)
        assert service.shown
    world.check_mirrored()


def test_the_end_of_a_resync_says_how_many_folders_the_service_watches(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.disk.write("a.jpg", fake_picture(1))
    with world.running(reconcile=False) as live, caplog.at_level(logging.INFO):
        Service(live).rest()
    [line] = [each for each in caplog.messages if each.startswith("sync complete")]
    assert line == "sync complete: 1 scanned, 1 added; watching 1 folder for changes"


def test_no_resync_runs_if_everything_was_compared_before(world: World) -> None:
    with world.running(reconcile=False) as live:
        service = Service(live, is_done=True)
        service.rest()
        assert service.begun == 0


def test_a_failed_resync_is_repeated_until_it_succeeds(world: World) -> None:
    with world.running(reconcile=False) as live:
        service = Service(live)
        world.remote.server.fault_for = lambda seen: (
            answers(400) if seen.path.startswith("/api/v1/images") else None
        )
        service.rest()
        assert not service.reconciler.is_done
        assert service.reconciler.trouble is not None
        world.remote.server.fault_for = lambda seen: None
        for _ in range(3):
            service.rest()
        assert service.reconciler.is_done
        assert service.reconciler.trouble is None


def test_the_return_of_a_missing_folder_is_a_reason_for_another(world: World) -> None:
    world.disk.write("a.jpg", fake_picture(1))
    world.resync()
    away = world.disk.root.with_name("away")
    world.disk.root.rename(away)
    with world.running(reconcile=False) as live:
        service = Service(live)
        service.rest()
        assert (service.begun, service.reconciler.is_done) == (1, True)
        away.rename(world.disk.root)
        for monitor in service.engine.monitors:
            monitor.scan()
        world.clock.advance(60.0)
        for _ in range(3):
            service.rest()
        assert service.begun == 2
