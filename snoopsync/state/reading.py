"""The state file for whoever only looks, and may change nothing, in it or beside it.

SQLite writes beside a file that it opens, also to read it. So a file that somebody uses is read
where it is, and of one that nobody uses there is a copy.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from snoopsync.errors import StateDamaged, StateError, StateTooNew
from snoopsync.state.database import MEMORY, Database
from snoopsync.state.file import beside, left_in_order
from snoopsync.state.lock import holder


def scratch(source: Path, *, proven: bool = False) -> Database:
    """A copy in memory, to plan and count on without changing anything; empty if there is no such
    file. The file may be in use. ``proven``: raise ``StateDamaged`` for what an ordinary look at it
    does not show."""
    copy = Database(Path(MEMORY))
    try:
        if _exists(source):
            copy.stand_for(source)
            if not _copy_at_rest(source, copy):
                with _opened(source) as original:
                    original.copy_to(copy)
            if proven and not left_in_order(source):
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
        stat = path.stat()
    except OSError:
        return None
    if beside(path, "-wal").exists():
        return None
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


@contextmanager
def _opened(source: Path) -> Iterator[Database]:
    """The file, opened to be read. SQLite writes beside it, so where it can't, and where nobody
    else uses the file, a copy in another directory is read; nobody writes to the original then."""
    with TemporaryDirectory() as directory:
        database = _opened_in_use(source)
        if database is None:
            copy = Path(directory) / source.name
            try:
                for ending in ("", "-wal"):
                    with suppress(FileNotFoundError):
                        shutil.copyfile(beside(source, ending), beside(copy, ending))
            except OSError:
                copy = source
            try:
                database = Database(copy, readonly=True)
            except StateError as error:
                # People know the original, and mend that.
                raise type(error)(str(error).replace(str(copy), str(source))) from None
            database.stand_for(source)
        with closing(database):
            yield database


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
