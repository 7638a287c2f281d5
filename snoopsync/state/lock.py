"""The lock of a state file. The kernel releases it when the process ends."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from snoopsync.core.errors import StateError, StateLocked, StateReplaced, UnsafeDirectory
from snoopsync.runtime.owned_directory import opened_directory, own_directory, require_own_files

#: The directory of the embedded collection, beside the state file.
COLLECTION_DIRECTORY = "collection"

#: The endings of snoopsync's files beside the state file. The empty ending is for the state file
#: itself.
_ENDINGS = ("", "-wal", "-shm", "-journal", ".lock", ".sock", ".checked", ".inflight")

_TRIES = 5
_TRY_AGAIN_SECONDS = 0.02


def lock_path(state: Path) -> Path:
    """The path of the lock file. The file is never removed: only the lock on it matters."""
    return state.with_name(state.name + ".lock")


@contextmanager
def locked(state: Path) -> Iterator[Callable[[], None]]:
    """Hold the state file's lock. Raises ``StateLocked`` if another process holds it, and
    ``UnsafeDirectory`` if another user can write to the directory or to snoopsync's files in it.

    Yields a function that raises ``StateReplaced`` if the lock file was removed, for example by a
    person who thought that it was a leftover. Another process would then create and lock a new
    file.
    """
    path = lock_path(state)
    try:
        own_directory(state.parent)
    except UnsafeDirectory:
        # A running service of the directory's owner can do the work instead.
        if (pid := holder(state)) is not None:
            raise _in_use(state, pid) from None
        raise
    # The directory may have other files in it.
    require_own_files(state.with_name(state.name + ending) for ending in _ENDINGS)
    require_own_files([state.parent / COLLECTION_DIRECTORY])
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        raise StateError(f"{path}: {error.strerror}") from None
    try:
        if not _take(descriptor):
            raise _in_use(state, holder(state))
        _write_pid(path, descriptor)
        yield lambda: _require_in_place(path, descriptor)
    finally:
        os.close(descriptor)


def _in_use(state: Path, pid: int | None) -> StateLocked:
    process = f" (process {pid})" if pid else ""
    return StateLocked(f"{state} is in use by another snoopsync{process}")


def _write_pid(path: Path, descriptor: int) -> None:
    text = b"%d\n" % os.getpid()
    try:
        # The file is overwritten before it is truncated, which needs no space on a full disk.
        os.pwrite(descriptor, text, 0)
        os.ftruncate(descriptor, len(text))
    except OSError as error:
        raise StateError(f"{path}: {error.strerror}") from None


def _require_in_place(path: Path, descriptor: int) -> None:
    try:
        is_same = os.path.samestat(path.stat(), os.fstat(descriptor))
    except OSError:
        is_same = False
    if not is_same:
        raise StateReplaced(f"{path} was deleted or replaced while it was in use")


def _take(descriptor: int) -> bool:
    # Several tries, because ``holder`` takes the lock for a moment.
    for _ in range(_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_TRY_AGAIN_SECONDS)
        else:
            return True
    return False


def holder(state: Path) -> int | None:
    """The ID of the process that holds the lock; ``None`` if no process does, or if its ID can't be
    read."""
    # The file is opened for reading only, because this process may not be able to write in the
    # directory. The directory may belong to another user, who can create a link or a FIFO in it, or
    # replace it with a link.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        with opened_directory(state.parent) as directory:
            descriptor = os.open(lock_path(state).name, flags, dir_fd=directory)
    except (OSError, UnsafeDirectory):
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(descriptor, 20, 0).strip()
        return int(text) if text.isdigit() else None
    finally:
        os.close(descriptor)
    return None
