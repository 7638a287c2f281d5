"""The observer of watchdog, for systems without inotify."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from watchdog.observers.polling import PollingObserver

from snoopsync.watching.generic import GenericEngine
from snoopsync.watching.watcher import Watcher
from tests.support.watching import Alarm, Follower

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")


@pytest.fixture
def stock(alarm: Alarm, root: Path) -> Iterator[Follower]:
    engine = partial(GenericEngine, make_observer=partial(PollingObserver, timeout=0.05))
    watcher = Watcher(alarm, make_engine=engine)
    yield Follower(watcher.watch("photos", os.fsencode(root)), root)
    watcher.stop()


def test_the_stock_observer_hints_at_files_and_trees(
    alarm: Alarm, stock: Follower, root: Path, outside: Path
) -> None:
    (root / "a.jpg").write_bytes(b"x")
    alarm.until(stock.is_right)
    (root / "album" / "sub").mkdir(parents=True)
    (root / "album" / "sub" / "b.jpg").write_bytes(b"x")
    alarm.until(stock.is_right)
    (root / "album").rename(root / "renamed")
    alarm.until(stock.is_right)
    (root / "renamed").rename(outside / "renamed")
    alarm.until(stock.is_right)


def test_the_stock_observer_is_proven_while_its_threads_live(alarm: Alarm, stock: Follower) -> None:
    watcher = Watcher(alarm, make_engine=GenericEngine)
    assert watcher.check(0.0) == []
    watch = watcher.watch("photos", stock.root)
    for now in range(20):
        assert watcher.check(float(now)) == []
    assert watch.last_proof == 1.0
    watcher.stop()


def test_a_dead_stock_observer_is_replaced(alarm: Alarm, root: Path, outside: Path) -> None:
    engine = partial(GenericEngine, make_observer=partial(PollingObserver, timeout=0.05))
    watcher = Watcher(alarm, make_engine=engine)
    follower = Follower(watcher.watch("photos", os.fsencode(root)), root)
    root.rename(outside / "photos")
    alarm.until(lambda: not follower.watch.alive)
    (outside / "photos").rename(root)
    (root / "a.jpg").write_bytes(b"x")
    assert len(watcher.check(0.0)) == 1
    alarm.until(follower.is_right)
    watcher.stop()
