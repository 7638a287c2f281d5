"""A format that the collection refuses is remembered, reported once, and tried with one file."""

from __future__ import annotations

import logging
from contextlib import closing

import pytest

from snoopsync.core.backoff import IMAGE_RETRY_SECONDS
from snoopsync.core.model import ImageState
from snoopsync.state.database import Database
from snoopsync.state.formats import FILES_OF_A_FORMAT
from snoopsync.state.images import ImageRow, State
from snoopsync.status.reading import read_status
from snoopsync.sync.components import open_state
from snoopsync.sync.resync import COLLECTION_FACT
from tests.support.collection_server import Seen
from tests.support.faults import Fault, answers
from tests.support.world import Live, World, fake_picture

COUNT = 40


@pytest.fixture
def refusing(world: World) -> World:
    """Many RAW files and a JPEG, and a collection that refuses RAW."""
    for number in range(COUNT):
        world.disk.write(f"{number}.CR3", raw_picture(number))
    world.disk.write("z.jpg", fake_picture(1))
    refuse(world, 415)
    return world


def raw_picture(number: int) -> bytes:
    return fake_picture(number, size=5_000)


RAW_BYTES = len(raw_picture(0))


def refuse(world: World, status: int | None) -> None:
    """The collection refuses RAW, which it recognises by its length; none if ``None``."""

    def fault(seen: Seen) -> Fault | None:
        is_raw = seen.method == "POST" and seen.length == RAW_BYTES and "/image" in seen.path
        return answers(status) if status is not None and is_raw else None

    world.remote.server.fault_for = fault


def raw_uploads(world: World) -> int:
    return sum(seen.length == RAW_BYTES for seen in world.remote.uploads())


def failed(world: World) -> list[ImageRow]:
    with closing(Database(world.state_path, readonly=True)) as database:
        return list(State(database).images(ImageState.FAILED))


def at_once(world: World) -> int:
    """The number of uploads that are given to the workers at the same time."""
    return 2 * world.sync.workers


def pass_time(world: World, live: Live, seconds: float) -> None:
    world.clock.advance(seconds)
    live.rest()


@pytest.mark.parametrize("status", [400, 415, 422])
def test_a_format_that_is_refused_is_not_sent_for_each_file(refusing: World, status: int) -> None:
    refuse(refusing, status)
    with refusing.running():
        pass
    assert raw_uploads(refusing) < FILES_OF_A_FORMAT + 2 * at_once(refusing)
    assert refusing.remote.holds(fake_picture(1))
    [error] = {row.error for row in failed(refusing)}
    assert error is not None and error.startswith(f"the collection refuses .cr3 files: {status} ")
    assert len(failed(refusing)) == COUNT


def test_one_file_is_tried_again_on_the_schedule(refusing: World) -> None:
    with refusing.running() as live:
        for seconds in IMAGE_RETRY_SECONDS:
            before = raw_uploads(refusing)
            pass_time(refusing, live, seconds / 2)
            assert raw_uploads(refusing) == before
            pass_time(refusing, live, seconds / 2 + 2)
            assert raw_uploads(refusing) == before + 1


def test_the_file_that_is_tried_is_another_one_each_time(refusing: World) -> None:
    """One of them may be damaged."""
    with refusing.running() as live:
        refusing.remote.forget_requests()
        for seconds in IMAGE_RETRY_SECONDS[:4]:
            pass_time(refusing, live, seconds + 2)
    tried = [seen.path for seen in refusing.remote.uploads() if seen.length == RAW_BYTES]
    assert len(set(tried)) == len(tried) == 4


def test_all_follow_at_once_when_one_is_accepted(
    refusing: World, caplog: pytest.LogCaptureFixture
) -> None:
    with refusing.running() as live:
        refuse(refusing, None)
        pass_time(refusing, live, IMAGE_RETRY_SECONDS[0] + 2)
    refusing.check_mirrored()
    assert caplog.text.count("the collection accepts .cr3 files again") == 1


def test_the_refusal_is_remembered_across_restarts(refusing: World) -> None:
    with refusing.running():
        pass
    refusing.remote.forget_requests()
    for number in range(3):
        refusing.disk.write(f"new{number}.cr3", raw_picture(100 + number))
        with refusing.running() as live:
            live.settle()
    assert raw_uploads(refusing) == 0
    assert len(failed(refusing)) == COUNT + 3
    with refusing.running() as live:
        pass_time(refusing, live, IMAGE_RETRY_SECONDS[0] + 2)
    assert raw_uploads(refusing) == 1


def test_a_requested_resync_tries_one_file_at_once(refusing: World) -> None:
    refusing.resync()
    refusing.remote.forget_requests()
    report = refusing.resync()
    assert raw_uploads(refusing) == 1
    assert report.summary.failed == COUNT
    refuse(refusing, None)
    assert refusing.resync().summary.added == COUNT


def test_another_collection_may_accept_what_the_former_one_refused(refusing: World) -> None:
    with refusing.running():
        pass
    refuse(refusing, None)
    with closing(open_state(refusing.state_path)) as database:
        State(database).set_fact(COLLECTION_FACT, "another")
    with refusing.running() as live:
        live.rest()
    refusing.check_mirrored()


def test_a_file_that_is_removed_while_its_format_is_refused_waits_no_longer(
    refusing: World,
) -> None:
    with refusing.running() as live:
        for number in range(COUNT):
            refusing.disk.remove(f"{number}.CR3")
        live.settle()
        pass_time(refusing, live, 3600.0)
        live.settle()
    assert failed(refusing) == []
    assert read_status(refusing.config).reasons() == []


def test_the_refusal_is_logged_once_and_is_one_reason(
    refusing: World, caplog: pytest.LogCaptureFixture
) -> None:
    with refusing.running() as live:
        for seconds in IMAGE_RETRY_SECONDS:
            pass_time(refusing, live, seconds + 2)
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert sum("refuses .cr3 files" in line for line in lines) == 1
    assert len(lines) <= FILES_OF_A_FORMAT + 1
    reasons = read_status(refusing.config).reasons()
    assert [reason for reason in reasons if "failed" in reason or "cr3" in reason] == [
        f"the collection refuses .cr3 files (415 Unsupported Media Type): {COUNT} images wait, and"
        " one of them is tried again from time to time"
    ]


def test_a_format_of_which_a_file_was_accepted_is_never_refused_as_a_whole(
    refusing: World,
) -> None:
    refuse(refusing, None)
    refusing.disk.write("0.heic", fake_picture(999))
    for number in range(COUNT):
        refusing.disk.remove(f"{number}.CR3")
    refusing.resync()
    for number in range(10):
        refusing.disk.write(f"{number}.heic", raw_picture(number))
    refuse(refusing, 415)
    refusing.resync()
    assert raw_uploads(refusing) == 10


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".png"])
def test_a_refused_jpeg_or_png_is_damaged(world: World, suffix: str) -> None:
    """Every collection accepts these formats, so a refusal concerns the file only."""
    for number in range(10):
        world.disk.write(f"{number}{suffix}", raw_picture(number))
    refuse(world, 415)
    world.resync()
    assert raw_uploads(world) == 10


def test_few_refused_files_do_not_make_a_format_refused(world: World) -> None:
    for number in range(FILES_OF_A_FORMAT - 1):
        world.disk.write(f"{number}.cr3", raw_picture(number))
    refuse(world, 415)
    world.resync()
    assert {row.error for row in failed(world)} == {"415 Unsupported Media Type"}


def test_a_file_that_was_tried_and_cannot_be_read_leaves_the_turn_to_another(
    refusing: World,
) -> None:
    with refusing.running() as live:
        refusing.remote.forget_requests()
        refuse(refusing, 413)  # too large: says nothing about the format
        pass_time(refusing, live, IMAGE_RETRY_SECONDS[0] + 2)
        assert raw_uploads(refusing) == COUNT
