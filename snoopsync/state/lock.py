"""One snoopsync a state file: a lock that the kernel takes back when its process ends."""

from __future__ import annotations

import fcntl
import glob
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from snoopsync.errors import StateError, StateLocked, StateReplaced

#: The embedded collection's, beside the state file.
COLLECTION_DIRECTORY = "collection"

_TRIES = 5
_TRY_AGAIN_SECONDS = 0.02


def lock_path(state: Path) -> Path:
    """Where the lock of this state file is. The file stays; only the lock on it counts."""
    return state.with_name(state.name + ".lock")


@contextmanager
def locked(state: Path) -> Iterator[Callable[[], None]]:
    """Hold the state file's lock. Raises ``StateLocked`` if another process does.

    Gives a function that raises ``StateReplaced`` once the lock's file was removed, by a person who
    took it for left over: the next one to ask would get a lock of its own.

    What root makes there meanwhile is the directory's owner's in the end: the service of a machine
    is another user, and could not open it.
    """
    path = lock_path(state)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateError(f"{path}: {error.strerror}") from None
    try:
        if not _take(descriptor):
            who = holder(state)
            raise StateLocked(
                f"{state} is in use by another snoopsync" + (f" (process {who})" if who else "")
            )
        _sign(path, descriptor)
        try:
            yield lambda: _require_in_place(path, descriptor)
        finally:
            if os.geteuid() == 0:
                _hand_over(state)
    finally:
        os.close(descriptor)


def _hand_over(state: Path) -> None:
    owner = state.parent.stat()
    # Only what is ours: the directory may have other files in it.
    collection = state.parent / COLLECTION_DIRECTORY
    files = state.parent.glob(f"{glob.escape(state.name)}*")
    for path in (*files, collection, *collection.glob("*")):
        with suppress(OSError):
            if path.lstat().st_uid == 0:
                os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


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
    try:
        # Not for writing: where nothing may be written, it can be held all the same.
        descriptor = os.open(lock_path(state), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(descriptor, 20, 0).strip()
        return int(text) if text.isdigit() else None
    finally:
        os.close(descriptor)
    return None
