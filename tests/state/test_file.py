"""The state file on the disk: its check, and its way aside when it is damaged."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from snoopsync.core.errors import StateDamaged
from snoopsync.runtime.clock import Clock
from snoopsync.state.database import Database
from snoopsync.state.file import last_checked_at, move_aside, record_check
from tests.state.helpers import fill, forget_in_index


@pytest.mark.parametrize("reason", ["a day has passed", "the clock was set back", "a boot"])
def test_a_file_is_checked_again_after_a_day_a_step_back_of_the_clock_or_a_boot(
    path: Path, reason: str
) -> None:
    """Every page of it, although nothing has written to it."""
    clock = SetClock()
    with closing(Database(path, clock=clock)) as database:
        fill(database)
    forget_in_index(path, "image_held", "UPDATE image SET held = 1")
    record_check(path, clock.seconds, clock)  # as if the file had been closed like this
    Database(path, clock=clock).close()
    if reason == "a day has passed":
        clock.seconds += 25 * 3600.0
    elif reason == "the clock was set back":
        clock.seconds -= 60.0
    else:
        clock.boot = "another"
    with pytest.raises(StateDamaged):
        Database(path, clock=clock)


class SetClock(Clock):
    seconds = 1_000_000.0
    boot = "one"

    def now(self) -> float:
        return self.seconds

    def boot_id(self) -> str:
        return self.boot


def test_a_checked_file_is_trusted_only_while_no_byte_of_it_changes(path: Path) -> None:
    """Whatever its times are: disks lose bytes without an error."""
    with closing(Database(path)) as database:
        fill(database)
    stat = path.stat()
    data = bytearray(path.read_bytes())
    at = data.index(b"/srv/photos")
    Database(path).close()
    data[at] ^= 1
    path.write_bytes(data)
    forget_in_index(path, "image_held", "UPDATE image SET held = 1")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(StateDamaged):
        Database(path)


def test_a_file_with_a_journal_is_never_recorded_as_checked(path: Path) -> None:
    """A write to the journal does not change the file."""
    clock = SetClock()
    path.write_bytes(b"state")
    path.with_name("state.sqlite3-wal").write_bytes(b"journal")
    record_check(path, clock.seconds, clock)
    path.with_name("state.sqlite3-wal").unlink()
    assert last_checked_at(path, clock) is None
    record_check(path, clock.seconds, clock)
    assert last_checked_at(path, clock) == clock.seconds


def test_a_damaged_file_is_moved_aside_with_its_journal(path: Path) -> None:
    journal = path.with_name("state.sqlite3-wal")
    path.write_bytes(b"damaged")
    journal.write_bytes(b"journal")
    aside = move_aside(path, "damaged-1")
    assert aside.read_bytes() == b"damaged"
    assert aside.with_name(aside.name + "-wal").read_bytes() == b"journal"
    assert not path.exists()
    assert not journal.exists()
    Database(path).close()
