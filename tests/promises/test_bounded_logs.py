"""A recurring problem is logged a few times, and then counted."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from snoopsync.config.settings import HoldPolicy
from snoopsync.core.events import Event, fields_of
from snoopsync.core.model import RelPath
from snoopsync.folders.open_folder import OpenFolder
from snoopsync.log.throttle import MOST_LOGGED
from snoopsync.state.sides import Side
from snoopsync.sync.duplicate_search import Alert, announce_to_file
from tests.support.faults import answers
from tests.support.pictures import encode, photo
from tests.support.process import Installation
from tests.support.unstamped import UnstampedDisk
from tests.support.world import Live, World, fake_picture

DAY_SECONDS = 86_400.0
REFUSED = Event.REFUSED


@pytest.fixture(autouse=True)
def all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "snoopsync")


def lines(caplog: pytest.LogCaptureFixture, least: int = logging.WARNING) -> list[str]:
    """The messages that were logged as warnings or errors."""
    return [record.getMessage() for record in caplog.records if record.levelno >= least]


def how_many(count: str) -> int:
    """The number in a line that counts suppressed ones."""
    found = re.search(r"\((\d+) more\)", count)
    assert found is not None
    return int(found[1])


def live_through(world: World, live: Live, seconds: float, steps: int = 60) -> None:
    """Let time pass, and do the work that becomes due."""
    for _ in range(steps):
        world.clock.advance(seconds / steps)
        live.rest()


# Files that are refused.


def refuse_all(world: World, status: int = 415) -> None:
    world.remote.server.fault_for = lambda seen: answers(status) if seen.length else None


@pytest.mark.integration
def test_five_thousand_refused_files_cause_a_few_lines(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(5000):
        (world.disk.root / f"{number}.jpg").write_bytes(b"")
    with world.running():
        pass
    said = lines(caplog)
    assert len(said) == MOST_LOGGED + 1
    assert said[-1] == f"the file is empty ({5000 - MOST_LOGGED} more)"
    first, *_, last = caplog.records
    path = said[0].removeprefix("photos/").removesuffix(": the file is empty")
    assert fields_of(first) == {
        "event": "refused",
        "folder": "photos",
        "path": path,
        "image_id": world.id_of(path),
        "reason": "the file is empty",
    }
    assert fields_of(last) == {"event": "refused", "count": 5000 - MOST_LOGGED}


def tiff_of_too_many_samples(seed: int) -> bytes:
    """A picture that makes Pillow log a warning about its samples per pixel."""
    data = bytearray(encode(photo(seed, (64, 48)), "TIFF"))
    entry = data.index(struct.pack("<HHI", 277, 3, 1))
    struct.pack_into("<HHII", data, entry, 277, 4, 1, 99_999)
    return bytes(data)


def test_messages_of_libraries_about_bad_pictures_are_not_logged(tmp_path: Path) -> None:
    """Pillow logs it for each picture, in its own format."""
    home = Installation(tmp_path)
    for number in range(30):
        (home.pictures / f"{number}.tif").write_bytes(tiff_of_too_many_samples(number))
    home.configure()
    done = home.run_process("--log-format", "json", "resync")
    assert done.code == 3
    said = [json.loads(line)["message"] for line in done.err.splitlines()]
    assert len(said) == MOST_LOGGED + 1
    assert how_many(said[-1]) == 30 - MOST_LOGGED


@pytest.mark.integration
def test_files_that_are_refused_repeatedly_cause_a_few_lines(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(200):
        world.disk.write(f"{number}.jpg", fake_picture(number))
    refuse_all(world)
    with world.running() as live:
        live_through(world, live, 1000.0, steps=10)
        assert len(world.remote.uploads()) == 4 * 200
    said = lines(caplog)
    assert len(said) == MOST_LOGGED + 1
    assert said[0] == "photos/0.jpg: 415 Unsupported Media Type"
    assert said[-1] == "415 Unsupported Media Type (180 more)"


def test_a_refusal_is_logged_once_until_its_reason_changes(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Also when it is refused again after a restart."""
    for number in range(3):
        world.disk.write(f"{number}.jpg", fake_picture(number))
    refuse_all(world)
    for _ in range(3):
        with world.running() as live:
            live_through(world, live, 3 * DAY_SECONDS)
    assert len(world.remote.uploads()) > 3 * 10
    assert len(lines(caplog)) == 3
    refuse_all(world, 422)
    with world.running() as live:
        live_through(world, live, 3 * DAY_SECONDS)
    assert len(lines(caplog)) == 6
    assert all(": 422 " in line for line in lines(caplog)[3:])


def test_a_file_that_has_changed_and_is_refused_again_is_logged_again(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    refuse_all(world)
    with world.running() as live:
        for number in range(3):
            world.disk.write("a.jpg", fake_picture(number))
            live.settle()
    assert len(lines(caplog)) == 3


# Deletions that are held.


def test_files_removed_one_by_one_while_deletions_are_held_cause_a_few_lines(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """They are logged again when their number has doubled, and finally with the total."""
    world.hold = HoldPolicy(count=3, percent=1)
    for number in range(60):
        world.disk.write(f"{number}.jpg", fake_picture(number))
    with world.running() as live:
        for number in range(40):
            world.disk.remove(f"{number}.jpg")
            live.settle()
    said = [int(re.findall(r"(\d+) deletions", line)[0]) for line in lines(caplog)]
    assert said == sorted(said)
    assert (said[0], said[-1]) == (1, 37)
    assert len(said) < 12
    assert world.held() == 37


def test_deletions_that_are_held_after_others_were_approved_are_logged(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.hold = HoldPolicy(count=3, percent=1)
    for number in range(40):
        world.disk.write(f"{number}.jpg", fake_picture(number))
    with world.running() as live:
        for begin in (0, 20):
            for number in range(begin, begin + 10):
                world.disk.remove(f"{number}.jpg")
            live.settle()
            assert live.components.state.deletions.approve("photos") == 10
            live.settle()
    assert len(lines(caplog)) == 2


# An outage.


def test_a_service_that_fails_and_recovers_all_day_causes_a_few_lines(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    asked = refused = 0

    def flap(seen: object) -> object:
        nonlocal asked, refused
        asked += 1
        refused += asked % 2
        return answers(503) if asked % 2 else None

    world.remote.server.fault_for = flap  # type: ignore[assignment]  # a fault, or none
    with world.running() as live:
        for number in range(100):
            world.disk.write(f"{number}.jpg", fake_picture(number))
            live.settle()
    assert asked > 200
    world.check_mirrored()
    assert 2 <= len(lines(caplog, logging.INFO)) - 100 - 2 < 20
    said = [line for line in lines(caplog) if "calls wait" in line]
    assert how_many(lines(caplog)[-1]) == refused - len(said)


def test_refused_keys_are_logged_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    with world.running() as live:
        world.remote.server.fault_for = lambda seen: answers(401)
        for number in range(50):
            world.disk.write(f"{number}.jpg", fake_picture(number))
        live.scan()
        for _ in range(100):
            world.clock.advance(600.0)
            live.step()
        assert len(lines(caplog)) == 1
        assert "nothing can be sent now: 401" in lines(caplog)[0]


# Folders.


def test_a_missing_folder_is_logged_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.disk.write("a.jpg", fake_picture(1))
    with world.running() as live:
        aside = world.disk.root.rename(world.base / "aside")
        live_through(world, live, 3600.0)
        assert len(lines(caplog)) == 1
        aside.rename(world.disk.root)
        live_through(world, live, 60.0)
    assert len(lines(caplog)) == 2


def test_a_folder_that_keeps_disappearing_is_logged_and_counted(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.disk.write("a.jpg", fake_picture(1))
    root, aside = world.disk.root, world.base / "aside"
    with world.running() as live:
        for _ in range(200):
            for source, target in ((root, aside), (aside, root)):
                source.rename(target)
                world.clock.advance(5.0)
                live.components.engine.step()
    said = [line for line in lines(caplog) if "disappearing" not in line]
    counts = [line for line in lines(caplog) if "disappearing" in line]
    assert len(said) + len(counts) < 20
    assert "folder photos: it keeps disappearing and coming back (" in counts[0]
    counted = [fields_of(each) for each in caplog.records if "disappearing" in each.getMessage()]
    assert {(each["event"], each["folder"]) for each in counted} <= {
        ("folder-missing", "photos"),
        ("folder-back", "photos"),
    }
    assert len(said) + sum(map(how_many, counts)) == 400, (
        "each one is logged or counted, up to the end"
    )


class UnreadableDisk(UnstampedDisk):
    """Directories whose names begin with ``bad`` can't be listed."""

    @contextmanager
    def entries(self, root: OpenFolder, path: bytes) -> Iterator[Iterator[os.DirEntry[str]]]:
        if root.absolute(path).rpartition(b"/")[2].startswith(b"bad"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        with super().entries(root, path) as entries:
            yield entries


def test_unreadable_directories_are_logged_once_until_they_are_readable(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(200):
        (world.disk.root / f"bad{number}").mkdir()
    world.disk.write("a.jpg", fake_picture(1))
    world.disk_edge = UnreadableDisk()
    with world.running() as live:
        for _ in range(30):
            live.settle()
            live_through(world, live, 1000.0, steps=5)
    said = lines(caplog)
    assert len(said) == 11
    assert said[-1] == "folder photos: directories can't be listed: Permission denied (190 more)"


# Alerts.


def test_an_unwritable_alert_log_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    announce = announce_to_file(tmp_path)
    for number in range(50):
        sides = (Side(f"{number}", RelPath("f", b"a")), Side("b", RelPath("f", b"b")))
        announce(Alert(*sides, rank=0))
    assert len(lines(caplog)) == 51
    assert len(lines(caplog, logging.ERROR)) == 1
