"""The state file for whoever only looks, and may change nothing, in it or beside it.

SQLite writes beside a file that it opens, also to read it. So a file that somebody uses is read
where it is, and of one that nobody uses there is a copy. In a directory that is not this user's
alone, a copy is read in any case: SQLite would follow links there, and leave files that the
directory's owner could not open.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from snoopsync.core.errors import StateDamaged, StateError, StateTooNew
from snoopsync.runtime.owned_directory import is_own
from snoopsync.runtime.sqlite import MEMORY
from snoopsync.state.database import Database
from snoopsync.state.file import beside, left_in_order
from snoopsync.state.lock import holder

#: How often to copy a file that is written to meanwhile, and how long to wait before that.
_TRIES = 10
_TRY_AGAIN_SECONDS = 0.05

#: A change within this time of another one may leave the time of the last change as it was.
_CLOCK_TICK_NS = 20_000_000

#: No state file is larger: that of a million images has 400 MB.
_MOST_BYTES = 8 << 30


def scratch(source: Path, *, proven: bool = False) -> Database:
    """A copy in memory, to plan and count on without changing anything; empty if there is no such
    file. The file may be in use. ``proven``: raise ``StateDamaged`` for what an ordinary look at it
    does not show."""
    copy = Database(Path(MEMORY))
    try:
        if _exists(source):
            copy.stand_for(source)
            own = is_own(source.parent)
            if not (own and _copy_at_rest(source, copy)):
                with _opened(source) as original:
                    original.copy_to(copy)
            if proven and not (own and left_in_order(source)):
                copy.prove_whole()
    except BaseException:
        copy.close()
        raise
    return copy


@contextmanager
def readable(source: Path) -> Iterator[Database]:
    """The file, to be looked at without changing anything; empty if there is no such file.

    One that is in use is read where it is, and each question sees it as it is then; of one that
    nobody uses there is a copy in memory, since to open it would leave something beside it.
    Raises ``StateError``."""
    if holder(source) is None or not _exists(source):
        with closing(scratch(source)) as copy:
            yield copy
    else:
        with _opened(source) as database:
            yield database


def _copy_at_rest(source: Path, copy: Database) -> bool:
    """Copy a file that nobody has open. False if somebody has, or had meanwhile."""
    before = _stamp_at_rest(source)
    if before is None:
        return False
    try:
        with closing(Database(source, readonly=True, at_rest=True)) as original:
            original.copy_to(copy)
    except StateError:
        return False  # another look will tell whether that was the file itself
    return _stamp_at_rest(source) == before


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise StateError(f"{path}: {error.strerror}") from None


def _stamp_at_rest(path: Path) -> tuple[int, ...] | None:
    """What changes with the file's bytes; ``None`` while it has a journal, as whoever uses it
    makes."""
    try:
        status = path.stat()
    except OSError:
        return None
    if beside(path, "-wal").exists():
        return None
    return _change(status)


@contextmanager
def _opened(source: Path) -> Iterator[Database]:
    """The file, opened to be read. SQLite writes beside it, so where it can't, and where nobody
    else uses the file, a copy in another directory is read; nobody writes to the original then."""
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
                # People know the original, and mend that.
                raise type(error)(str(error).replace(str(copy), str(source))) from None
            database.stand_for(source)
        with closing(database):
            yield database


def _copy_files(source: Path, target: Path) -> None:
    """Copy the file and its journal as they are at one moment. Raises ``OSError``, and
    ``StateError`` for what is no ordinary file or is written to all the time.

    As long as the file itself stays the same, its journal only grows, and SQLite ignores what it
    finds half written at the end of that (sqlite.org/walformat.html)."""
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
    raise StateError(f"{source} is written to all the time: try again later")


def _change(status: os.stat_result) -> tuple[int, ...]:
    """What changes with the bytes of a file."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _copy_file(source: Path, target: Path) -> None:
    """Copy an ordinary file that may be another user's: no link is followed, and no FIFO waits."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(source, flags), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_BYTES:
            raise StateError(f"{source} is no state file")
        with target.open("xb") as copy:
            # Not to the end: that of a file that grows may never come.
            left = status.st_size
            while left and (piece := file.read(min(left, 1 << 20))):
                copy.write(piece)
                left -= len(piece)


def _opened_in_use(source: Path) -> Database | None:
    """The file itself, if somebody uses it, and SQLite can write beside it."""
    if holder(source) is None:
        return None
    try:
        return Database(source, readonly=True)
    except (StateDamaged, StateTooNew):
        raise
    except StateError:
        return None
