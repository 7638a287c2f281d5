"""One snoopsync a state file: a lock that the kernel takes back when its process ends."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from snoopsync.core.errors import StateError, StateLocked, StateReplaced, UnsafeDirectory
from snoopsync.runtime.owned_directory import opened_directory, own_directory, require_own_files

#: The embedded collection's, beside the state file.
COLLECTION_DIRECTORY = "collection"

#: What the names of snoopsync's files beside the state file end in, and that of the file itself.
_ENDINGS = ("", "-wal", "-shm", "-journal", ".lock", ".sock", ".checked", ".inflight")

_TRIES = 5
_TRY_AGAIN_SECONDS = 0.02


def lock_path(state: Path) -> Path:
    """Where the lock of this state file is. The file stays; only the lock on it counts."""
    return state.with_name(state.name + ".lock")


@contextmanager
def locked(state: Path) -> Iterator[Callable[[], None]]:
    """Hold the state file's lock. Raises ``StateLocked`` if another process does, and
    ``UnsafeDirectory`` if the directory, or a file of snoopsync's in it, is not this user's alone.

    Gives a function that raises ``StateReplaced`` once the lock's file was removed, by a person who
    took it for left over: the next one to ask would get a lock of its own.
    """
    path = lock_path(state)
    try:
        own_directory(state.parent)
    except UnsafeDirectory:
        # A service of the directory's owner can be asked to do it.
        if (who := holder(state)) is not None:
            raise _in_use(state, who) from None
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
        _sign(path, descriptor)
        yield lambda: _require_in_place(path, descriptor)
    finally:
        os.close(descriptor)


def _in_use(state: Path, who: int | None) -> StateLocked:
    process = f" (process {who})" if who else ""
    return StateLocked(f"{state} is in use by another snoopsync{process}")


def _sign(path: Path, descriptor: int) -> None:
    text = b"%d\n" % os.getpid()
    try:
        # Over what is there, and not after emptying it: that needs no room on a disk that is full.
        os.pwrite(descriptor, text, 0)
        os.ftruncate(descriptor, len(text))
    except OSError as error:
        raise StateError(f"{path}: {error.strerror}") from None


def _require_in_place(path: Path, descriptor: int) -> None:
    try:
        is_ours = os.path.samestat(path.stat(), os.fstat(descriptor))
    except OSError:
        is_ours = False
    if not is_ours:
        raise StateReplaced(f"{path} was deleted or replaced while it was in use")


def _take(descriptor: int) -> bool:
    # More than once, since someone who only asks who the holder is has the lock for a moment.
    for _ in range(_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_TRY_AGAIN_SECONDS)
        else:
            return True
    return False


def holder(state: Path) -> int | None:
    """The process that holds the state file's lock, or ``None``."""
    # Not for writing: where nothing may be written, it can be held all the same. The directory may
    # be another user's, who can put a link or a FIFO there, and a link into its own place.
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
