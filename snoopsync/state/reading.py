"""Read-only access to the state file, which changes nothing in it or beside it.

SQLite creates files beside a file that it opens, even for reading. For this reason, a file is read
in place only while a service uses it; otherwise a copy is read. In a directory that another user
owns or can write to, a copy is always read: SQLite would follow links in it, and would create files
that the directory's owner could not open.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from snoopsync.core.errors import StateDamaged, StateError, StateTooNew, StateTooOld
from snoopsync.runtime.clock import Clock
from snoopsync.runtime.owned_directory import is_own
from snoopsync.runtime.sqlite import MEMORY
from snoopsync.state.database import Database
from snoopsync.state.file import beside, last_checked_at
from snoopsync.state.lock import holder

#: How many times to copy a file that changes during the copy, and the pause between two tries.
_TRIES = 10
_TRY_AGAIN_SECONDS = 0.05

#: Two changes of a file within this time may have the same timestamp.
_CLOCK_TICK_NS = 20_000_000

#: No state file is larger. A state file with a million images has 400 MB.
_MOST_BYTES = 8 << 30


def scratch(source: Path, *, proven: bool = False) -> Database:
    """A copy of the state file in memory, for plans and counts without changing the file. The file
    may be in use. Empty if there is no file. ``proven``: check the whole file, and raise
    ``StateDamaged``."""
    copy = Database(Path(MEMORY))
    try:
        if _exists(source):
            copy.stand_in_for(source)
            own = is_own(source.parent)
            if not (own and _copy_at_rest(source, copy)):
                with _opened(source) as original:
                    original.copy_to(copy)
            if proven and not (own and last_checked_at(source, Clock())):
                copy.check_integrity()
    except BaseException:
        copy.close()
        raise
    return copy


@contextmanager
def readable(source: Path) -> Iterator[Database]:
    """The state file for reading, without changing anything. Empty if there is no file.

    A file that is in use is read in place, and each query returns the state at that moment. A file
    that is not in use is copied into memory, because opening it would create files beside it.
    Raises ``StateError``."""
    if holder(source) is None or not _exists(source):
        with closing(scratch(source)) as copy:
            yield copy
    else:
        with _opened(source) as database:
            yield database


def _copy_at_rest(source: Path, copy: Database) -> bool:
    """Copy a file that no process has open. Returns false if a process has it open, or opened it
    during the copy."""
    before = _stamp_at_rest(source)
    if before is None:
        return False
    try:
        with closing(Database(source, readonly=True, at_rest=True)) as original:
            original.copy_to(copy)
    except StateError:
        return False  # reading the file in another way shows whether it is damaged
    return _stamp_at_rest(source) == before


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise StateError(f"{path}: {error.strerror}") from None


def _stamp_at_rest(path: Path) -> tuple[int, ...] | None:
    """Numbers that change with the file's bytes; ``None`` if the file has a journal, since a
    process then uses it."""
    try:
        status = path.stat()
    except OSError:
        return None
    if beside(path, "-wal").exists():
        return None
    return _change(status)


@contextmanager
def _opened(source: Path) -> Iterator[Database]:
    """The file, opened for reading. If no process uses the file, or SQLite can't write beside it, a
    copy in another directory is read instead."""
    with TemporaryDirectory() as directory:
        own = is_own(source.parent)
        database = _opened_in_use(source) if own else None
        if database is None:
            copy = Path(directory) / source.name
            try:
                _copy_files(source, copy)
            except OSError as error:
                if not own:
                    raise StateError(f"{source}: {error.strerror}") from None
                copy = source
            try:
                database = Database(copy, readonly=True)
            except StateError as error:
                # The message must name the original file, which a person can fix.
                raise type(error)(str(error).replace(str(copy), str(source))) from None
            database.stand_in_for(source)
        with closing(database):
            yield database


def _copy_files(source: Path, target: Path) -> None:
    """Copy the file and its journal as they are at one moment. Raises ``OSError``, and
    ``StateError`` if the file is not a regular file or keeps changing.

    While the file itself is unchanged, its journal only grows, and SQLite ignores an incomplete end
    of the journal (sqlite.org/walformat.html)."""
    for _ in range(_TRIES):
        before = source.stat()
        changed_at = max(before.st_mtime_ns, before.st_ctime_ns)
        is_quiet = abs(time.time_ns() - changed_at) > _CLOCK_TICK_NS
        for ending in ("", "-wal"):
            beside(target, ending).unlink(missing_ok=True)
            with suppress(FileNotFoundError):
                _copy_file(beside(source, ending), beside(target, ending))
        if is_quiet and _change(source.stat()) == _change(before):
            return
        time.sleep(_TRY_AGAIN_SECONDS)
    raise StateError(f"{source} keeps changing: try again later")


def _change(status: os.stat_result) -> tuple[int, ...]:
    """Numbers that change with the bytes of a file."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _copy_file(source: Path, target: Path) -> None:
    """Copy a regular file that may belong to another user. This follows no link, and does not wait
    for a FIFO."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(source, flags), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_BYTES:
            raise StateError(f"{source} is not a state file")
        with target.open("xb") as copy:
            # Copy only the present size, because the file may keep growing.
            left = status.st_size
            while left and (piece := file.read(min(left, 1 << 20))):
                copy.write(piece)
                left -= len(piece)


def _opened_in_use(source: Path) -> Database | None:
    """The file itself, opened for reading; ``None`` if no process uses it, or if SQLite can't write
    beside it."""
    if holder(source) is None:
        return None
    try:
        return Database(source, readonly=True)
    except (StateDamaged, StateTooNew, StateTooOld):
        raise
    except StateError:
        return None
