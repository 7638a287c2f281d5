"""In situations where watchdog's own observer (the "stock observer") loses events, everything that
happens in a folder still reaches the collection, byte for byte.

Most situations are repeated with a snoopsync that uses the stock observer, and there an event must
be lost: a test that cannot fail proves nothing. They are not repeated
- where the stock observer reports the wrong file and the right directory, because snoopsync trusts
  only the directory: saves and copies from outside, files that had no name, and a directory that
  is written to after it was moved out, which is reported under its old path;
- in bursts, because only the last event of each directory matters, and chance decides whether that
  one is lost.
"""

from __future__ import annotations

import mmap
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.losing import (
    DEADLINE_SECONDS,
    OURS,
    QUEUE_WAS_FULL,
    STOCK,
    Playground,
    Story,
    check_story,
    complaints,
    is_lost_by_stock,
    needs_root,
)
from tests.support.process import until
from tests.support.queue_limit import queue_limit

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's"),
]

TREES = 100
SAVES = 2_000

#: For a test that waits until the others that are under way have ended.
_WITH_WAIT_SECONDS = 600

#: Lines about files that are refused, before they are only counted, and some for counting.
_FEW_LINES = 20 + 5


# Stories that the stock observer loses.


def a_directory_is_replaced_and_both_are_removed(playground: Playground) -> Iterator[None]:
    """The stock observer's reader thread ends with a KeyError."""
    playground.write("album/a.jpg")
    yield
    (playground.root / "album").rename(playground.outside / "album")
    playground.write("album/b.jpg")
    yield
    playground.disk.remove("album")
    shutil.rmtree(playground.outside / "album")
    yield
    playground.write("late.jpg")


def directories_are_renamed_while_they_grow(playground: Playground) -> Iterator[None]:
    """The stock observer keeps watching one tree in twenty by its old name."""
    yield
    for number in range(TREES):
        playground.write(f"growing/sub/{number}.jpg")
        playground.disk.rename("growing", f"{number}")
    yield
    for number in range(TREES):
        playground.write(f"{number}/sub/late.jpg")


def there_are_more_directories_than_a_quarter_of_the_queue(
    playground: Playground,
) -> Iterator[None]:
    """The stock observer sees itself looking: each overflow makes it open every directory, and that
    makes the next overflow. Our own scan raises no event."""
    if queue_limit() > 20_000:
        pytest.skip("it would take more than 6,000 directories")
    for number in range(queue_limit() * 3 // 10):
        (playground.root / f"{number // 100}" / f"{number}").mkdir(parents=True)
    playground.write("0/0/a.jpg")
    yield
    playground.write("0/0/late.jpg", "40/4000/late.jpg")


def the_queue_overflows_while_the_service_is_stopped(playground: Playground) -> Iterator[None]:
    """As by a debugger, or on a machine that is asleep."""
    if queue_limit() > 100_000:
        pytest.skip(f"it would take {queue_limit()} events")
    playground.write("a.jpg", "album/b.jpg", "album/c.jpg")
    yield
    assert playground.running is not None
    playground.running.send(signal.SIGSTOP)
    for number in range(queue_limit() // 2 + 10):
        (playground.root / f"{number % 2}.tmp").touch()
        (playground.root / f"{number % 2}.tmp").unlink()
    playground.write("late.jpg", "album/c.jpg", "new/late.jpg")
    playground.disk.remove("album/b.jpg")
    playground.running.send(signal.SIGCONT)


STORIES = (
    Story(a_directory_is_replaced_and_both_are_removed),
    Story(directories_are_renamed_while_they_grow),
    Story(there_are_more_directories_than_a_quarter_of_the_queue),
    Story(the_queue_overflows_while_the_service_is_stopped, says=(QUEUE_WAS_FULL,)),
)


@pytest.mark.parametrize("story", STORIES, ids=str)
def test_nothing_is_lost(playground: Playground, story: Story) -> None:
    check_story(playground, story)


@pytest.mark.parametrize("story", STORIES, ids=str)
def test_the_stock_observer_loses_each_of_these_events(
    playground: Playground, story: Story
) -> None:
    assert is_lost_by_stock(playground, story)


def seconds_behind_a_move_out(playground: Playground, program: str) -> float:
    """How long after a file was moved out a new one is in the collection. The shortest of some."""
    playground.write(*(f"{number}.jpg" for number in range(5)))
    waits = []
    with playground.service(program):
        for number in range(5):
            (playground.root / f"{number}.jpg").rename(playground.outside / f"{number}.jpg")
            new = playground.picture()
            playground.disk.write(f"new-{number}.jpg", new)
            began = time.monotonic()
            until(lambda new=new: playground.holds(new))  # type: ignore[misc]
            waits.append(time.monotonic() - began)
            assert playground.comes_right(DEADLINE_SECONDS)
    return min(waits)


def test_a_move_out_of_the_folder_does_not_delay_later_events(playground: Playground) -> None:
    """The stock observer waits half a second for where the file went."""
    assert seconds_behind_a_move_out(playground, OURS) < 0.4


def test_with_the_stock_observer_a_move_out_delays_later_events(playground: Playground) -> None:
    assert seconds_behind_a_move_out(playground, STOCK) > 0.5


# Bursts.


def files_are_saved_as_fast_as_can_be(playground: Playground) -> Iterator[None]:
    """Each save is a file that takes the place of another."""
    pictures = [playground.picture() for _ in range(50)]
    yield
    for album in range(20):
        (playground.root / f"{album}").mkdir()
        for number in range(SAVES // 20):
            new = playground.root / f"{album}" / "new.tmp"
            new.write_bytes(pictures[number % 50])
            new.rename(new.with_name(f"{number % 5}.jpg"))


def files_come_and_go(count: int) -> Callable[[Playground], Iterator[None]]:
    """That many. They are no pictures, so that there is something to say of each of them."""

    def tell(playground: Playground) -> Iterator[None]:
        playground.write(*(f"{album}/a.jpg" for album in range(10)))
        yield
        paths = [playground.root / f"{number % 10}" / f"b{number}.jpg" for number in range(count)]
        for path in paths:
            path.write_bytes(b"no picture")
        for path in paths:
            path.unlink()
        playground.write(*(f"{album}/late.jpg" for album in range(10)))

    return tell


def test_no_save_of_a_burst_is_lost(playground: Playground) -> None:
    check_story(playground, Story(files_are_saved_as_fast_as_can_be))


def test_no_save_of_a_burst_in_memory_is_lost(playground: Playground) -> None:
    """On tmpfs, where nothing slows the writer down."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        pytest.skip("there is no /dev/shm to write to")
    playground.move_to(Path(playground.undo.enter_context(tempfile.TemporaryDirectory(dir=memory))))
    check_story(playground, Story(files_are_saved_as_fast_as_can_be))


@needs_root
@pytest.mark.timeout(_WITH_WAIT_SECONDS)
def test_no_save_is_lost_when_the_queue_is_always_full(playground: Playground) -> None:
    story = Story(files_are_saved_as_fast_as_can_be, says=(QUEUE_WAS_FULL,), queue=64)
    check_story(playground, story)


@needs_root
@pytest.mark.timeout(_WITH_WAIT_SECONDS)
@pytest.mark.parametrize("count", [5_000, pytest.param(40_000, marks=pytest.mark.slow)])
def test_a_burst_of_files_that_vanish_again_causes_only_a_few_lines(
    playground: Playground, count: int
) -> None:
    with playground.played(Story(files_come_and_go(count), queue=64)) as service:
        playground.check()
        service.line_with(QUEUE_WAS_FULL)
        said = complaints(service)
    assert len(said) <= _FEW_LINES, said
    assert sum(QUEUE_WAS_FULL in line for line in said) == 1


# What the stock observer gets wrong in a way that does no harm here.


def test_files_that_come_from_outside_are_whole(playground: Playground) -> None:
    """By an atomic save, by a copied tree, by a file that had no name at first and is written to
    when it has one."""
    playground.write("a.jpg")
    tree = playground.outside / "tree"
    for number in range(100):
        album = tree / f"{number % 10}"
        album.mkdir(parents=True, exist_ok=True)
        (album / f"{number}.jpg").write_bytes(playground.picture())
    with playground.service() as service:
        new = playground.outside / "new.tmp"
        new.write_bytes(playground.picture())
        new.replace(playground.root / "a.jpg")
        subprocess.run(["cp", "-r", tree, playground.root / "copy"], check=True)
        playground.check()
        write_without_a_name(playground)
        playground.check()
        assert complaints(service) == []


def write_without_a_name(playground: Playground) -> None:
    try:
        descriptor = os.open(playground.root, os.O_TMPFILE | os.O_RDWR)
    except OSError:
        return  # not every file system has such files
    try:
        os.write(descriptor, playground.picture())
        # Not os.link, which can't follow the link in /proc before Python 3.13.
        source = f"/proc/self/fd/{descriptor}"
        command = ["ln", "-L", source, str(playground.root / "late.jpg")]
        subprocess.run(command, check=True, pass_fds=[descriptor])
        assert playground.comes_right(DEADLINE_SECONDS)
        later = playground.picture()
        os.pwrite(descriptor, later, 0)
        os.truncate(descriptor, len(later))
    finally:
        os.close(descriptor)


def test_a_directory_that_was_moved_out_is_no_longer_mirrored(playground: Playground) -> None:
    """Whatever is written in it, and even if another directory gets its name."""
    playground.write("album/sub/a.jpg")
    with playground.service() as service:
        (playground.root / "album").rename(playground.outside / "album")
        playground.write("album/sub/b.jpg")
        playground.check()
        for path in ("album/c.jpg", "album/sub/a.jpg", "album/sub/b.jpg"):
            (playground.outside / path).write_bytes(playground.picture())
        playground.write("late.jpg")
        playground.check()
        assert complaints(service) == []


# Changes without events.

#: snoopsync with a safety scan every second, which no configuration may ask for.
_SCANNING = """
from snoopsync.folders.monitor import Pace
Pace.next_scan = lambda self, now, *how: now + 1.0
from snoopsync.cli import main; main()
"""


def write_secretly(playground: Playground) -> None:
    """Through a hard link outside of the folder, by cutting off the end of a file that isn't open,
    and through a mapping, which holds its file open, so that not even a close is an event."""
    os.link(playground.root / "linked.jpg", playground.outside / "a.jpg")
    (playground.outside / "a.jpg").write_bytes(playground.picture())
    os.truncate(playground.root / "cut.jpg", 1990)
    with (playground.root / "mapped.jpg").open("r+b") as file:
        mapping = mmap.mmap(file.fileno(), 0)
    playground.undo.callback(mapping.close)
    new = playground.picture()
    mapping[: len(new)] = new
    mapping.flush()


def begin_secrets(playground: Playground) -> None:
    for name in ("linked.jpg", "cut.jpg", "mapped.jpg"):
        playground.disk.write(name, playground.picture().ljust(2000, b"\0"))


def test_the_safety_scan_finds_changes_without_events(playground: Playground) -> None:
    begin_secrets(playground)
    with playground.service(_SCANNING) as service:
        write_secretly(playground)
        assert playground.comes_right(DEADLINE_SECONDS)
        assert complaints(service) == []


def test_the_change_raises_no_event(playground: Playground) -> None:
    """If one day it does, the watcher should make use of it."""
    begin_secrets(playground)
    before = playground.on_disk()
    with playground.service():
        write_secretly(playground)
        playground.write("late.jpg")
        until(lambda: "late.jpg" in playground.in_collection())
        there = playground.in_collection()
    assert {name: there[name] for name in before} == before
    assert not playground.on_disk().items() & before.items()
