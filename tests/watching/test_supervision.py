"""A watcher that does not work is noticed and replaced, whatever is wrong with it."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from watchdog.observers.polling import PollingObserver

from snoopsync.runtime.counters import Counters
from snoopsync.watching.generic import GenericEngine
from snoopsync.watching.hints import HintBox
from snoopsync.watching.watcher import Watcher
from tests.support.watching import DEADLINE_SECONDS, Alarm, Follower

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")


def test_a_healthy_watch_is_proven_and_its_canary_is_not_a_hint(
    alarm: Alarm, watcher: Watcher, root: Path
) -> None:
    watch = watcher.watch("photos", os.fsencode(root))
    watch.cover(b"")
    assert watch.last_proof is None

    def proven() -> bool:
        assert watcher.check(1000.0) == []
        return watch.last_proof == 1000.0

    alarm.until(proven)
    assert watcher.check(1029.0) == []
    assert watch.last_proof == 1000.0

    def proven_again() -> bool:
        assert watcher.check(1031.0) == []
        return watch.last_proof == 1031.0

    alarm.until(proven_again)
    assert not watch.take()


def test_a_canary_that_was_cleaned_away_is_replaced(
    alarm: Alarm, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nest = tmp_path / "nest"
    nest.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(nest))
    watcher = Watcher(alarm)
    watch = watcher.watch("photos", os.fsencode(root))
    (canary,) = nest.iterdir()
    canary.rmdir()

    def proven() -> bool:
        assert watcher.check(0.0) == []
        return watch.last_proof is not None

    alarm.until(proven)
    watcher.stop()
    assert list(nest.iterdir()) == []


def test_a_dead_reader_is_replaced_and_everything_is_scanned(
    alarm: Alarm, watcher: Watcher, follower: Follower, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watch = follower.watch
    alarm.error = ZeroDivisionError("planted")
    (root / "a.jpg").write_bytes(b"x")
    alarm.until(lambda: not watch.alive)
    (root / "b.jpg").write_bytes(b"x")
    with caplog.at_level(logging.WARNING):
        (restart,) = watcher.check(0.0)
    assert (restart.folder, restart.count) == ("photos", 1)
    assert "planted" in restart.reason
    assert len(caplog.records) == 1
    assert watch.alive
    assert watcher.check(0.0) == []
    alarm.until(lambda: follower.saw(lambda hints: hints.everything))
    alarm.until(follower.is_right)
    (root / "c.jpg").write_bytes(b"x")
    alarm.until(follower.is_right)


def test_a_stuck_reader_is_replaced(
    alarm: Alarm, watcher: Watcher, follower: Follower, root: Path
) -> None:
    alarm.open.clear()
    (root / "a.jpg").write_bytes(b"x")
    assert alarm.held.wait(DEADLINE_SECONDS)
    restarts = [restart for now in range(20) for restart in watcher.check(float(now))]
    assert [restart.reason for restart in restarts[:1]] == ["its thread hangs"]
    alarm.open.set()
    (root / "b.jpg").write_bytes(b"x")
    alarm.until(follower.is_right)


def test_time_between_checks_does_not_count_as_silence(
    alarm: Alarm, watcher: Watcher, follower: Follower, root: Path
) -> None:
    """The machine slept, or a scan took minutes: the reader may not have had its turn."""
    alarm.open.clear()
    (root / "a.jpg").write_bytes(b"x")
    assert alarm.held.wait(DEADLINE_SECONDS)
    assert watcher.check(0.0) == []
    assert watcher.check(3600.0) == []


def test_a_reader_without_events_is_found_by_its_canary(alarm: Alarm, root: Path) -> None:
    """It lives, it goes round, and no event reaches it."""
    engine = partial(DeafEngine, make_observer=partial(PollingObserver, timeout=0.05))
    watcher = Watcher(alarm, make_engine=engine)
    watch = watcher.watch("photos", os.fsencode(root))
    restarts = [restart for now in range(14) for restart in watcher.check(float(now))]
    assert [restart.reason for restart in restarts] == ["a test event did not arrive"]
    assert watch.last_proof is None
    watcher.stop()


class DeafEngine(GenericEngine):
    """Its canary never comes back."""

    def prove(self) -> None:
        pass


def test_a_reader_that_keeps_failing_is_restarted_and_logged_less_often(
    alarm: Alarm, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tries = []

    def refuse(root: bytes, *_: object) -> GenericEngine:
        tries.append(root)
        raise OSError(24, "Too many open files")

    with caplog.at_level(logging.WARNING):
        watcher = Watcher(alarm, make_engine=refuse)
        watch = watcher.watch("photos", os.fsencode(root))
        assert not watch.alive
        assert not watch.cover(b"")
        assert watch.unwatched == {b"": "can't be watched: Too many open files"}
        for now in range(1200):
            watcher.check(float(now))
    assert 15 < len(tries) < 30
    assert len(caplog.records) == 5
    watcher.stop()


def test_a_changed_link_is_watched_at_its_new_target(
    alarm: Alarm, watcher: Watcher, root: Path, outside: Path
) -> None:
    """But not one that leads nowhere: that is for the guard of the folder."""
    link = root.with_name("link")
    link.symlink_to(root)
    follower = Follower(watcher.watch("photos", os.fsencode(link)), link)
    assert watcher.check(0.0) == []
    link.unlink()
    assert watcher.check(1.0) == []
    link.symlink_to(outside)
    (restart,) = watcher.check(2.0)
    assert restart.reason == "its path leads to another directory than before"
    assert watcher.check(60.0) == []
    alarm.until(follower.is_right)
    (outside / "a.jpg").write_bytes(b"x")
    alarm.until(follower.is_right)


class Box(GenericEngine):
    """An engine whose box the test fills."""

    box: HintBox

    def __init__(self, root: bytes, box: HintBox, wake: Callable[[], None]) -> None:
        Box.box = box
        super().__init__(root, box, wake, partial(PollingObserver, timeout=60.0))


def test_repeated_overflows_are_logged_once_and_counted(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    counters = Counters()
    watcher = Watcher(lambda: None, make_engine=Box, counters=counters)
    watch = watcher.watch("photos", os.fsencode(root))
    with caplog.at_level(logging.WARNING):
        for now in range(600):
            Box.box.overflow()
            assert watch.take().everything
            watcher.check(float(now))
        said = [record.getMessage() for record in caplog.records]
        assert said[0].startswith("folder photos: the system's queue of events was full and some")
        assert said[1] == "folder photos: the system's queue of events was full (59 more)"
        assert len(said) == 4
        watcher.stop()
    assert len(caplog.records) == 5
    assert counters.figures().overflows == {"photos": 600}


def test_a_problem_in_one_folder_affects_no_other(
    alarm: Alarm, watcher: Watcher, follower: Follower, root: Path, outside: Path
) -> None:
    other = Follower(watcher.watch("other", os.fsencode(outside)), outside)
    alarm.error = ZeroDivisionError("planted")
    (root / "a.jpg").write_bytes(b"x")
    alarm.until(lambda: not follower.watch.alive)
    (outside / "b.jpg").write_bytes(b"x")
    alarm.until(other.is_right)
    assert [restart.folder for restart in watcher.check(0.0)] == ["photos"]
    assert not other.saw(lambda hints: hints.everything)


def open_watches() -> set[str]:
    """The inotify and event descriptors that this process has open, by what the kernel says about
    them."""
    found = set()
    for descriptor in Path("/proc/self/fdinfo").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the one that lists them
            for line in descriptor.read_text().splitlines():
                if line.startswith("eventfd-id:"):
                    found.add(line)
                elif line.startswith("inotify "):
                    found.add(re.sub(r"wd:\S+ ", "", line))
    return found


def test_stopping_does_not_wait_for_a_stuck_reader_and_leaves_nothing_open(
    alarm: Alarm, root: Path
) -> None:
    before = open_watches()
    threads = set(threading.enumerate())
    watcher = Watcher(alarm)
    watch = watcher.watch("photos", os.fsencode(root))
    watch.cover(b"")
    opened = open_watches() - before
    assert {each.split()[0] for each in opened} == {"inotify", "eventfd-id:"}
    alarm.open.clear()
    (root / "a.jpg").write_bytes(b"x")
    assert alarm.held.wait(DEADLINE_SECONDS)
    started = time.monotonic()
    watcher.stop()
    assert time.monotonic() - started < 5.0
    assert not watch.alive
    alarm.open.set()
    alarm.until(lambda: set(threading.enumerate()) <= threads)
    assert not opened & open_watches()


def test_unwatching_ends_the_threads(watcher: Watcher, root: Path) -> None:
    others = set(threading.enumerate())  # some of which may be about to end
    watch = watcher.watch("photos", os.fsencode(root))
    started = set(threading.enumerate()) - others
    assert started
    watcher.unwatch("photos")
    watcher.unwatch("photos")
    assert not started & set(threading.enumerate())
    assert not watch.alive
    assert not watch.cover(b"")
    assert not watch.take()
