"""How many events the system queues for an inotify instance. A test may have a shorter queue: no
other test runs meanwhile, in any process."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

LIMIT = Path("/proc/sys/fs/inotify/max_queued_events")

#: Any other file that all processes have. Tests pass it one by one before they lock the limit, so
#: that a test that waits for all others is not overtaken by those that begin later.
_GATE = Path("/proc/sys/fs/inotify/max_user_instances")

_held: list[IO[str]] = []


def queue_limit() -> int:
    """The current limit."""
    return int(LIMIT.read_text())


@contextmanager
def usual_queue() -> Iterator[None]:
    """The queue has its usual length, except inside a nested ``short_queue``."""
    with LIMIT.open() as limit:
        with _GATE.open() as gate:
            fcntl.flock(gate, fcntl.LOCK_SH)
            fcntl.flock(limit, fcntl.LOCK_SH)
            fcntl.flock(gate, fcntl.LOCK_UN)
        _held.append(limit)
        try:
            yield
        finally:
            _held.remove(limit)
            # Also for the processes that were forked with it.
            fcntl.flock(limit, fcntl.LOCK_UN)


@contextmanager
def short_queue(events: int) -> Iterator[None]:
    """An inotify instance that is opened meanwhile queues at most ``events`` events. It begins
    when all other running tests have ended."""
    try:
        with LIMIT.open("r+"):
            pass
    except PermissionError:
        pytest.skip("root of a user namespace may not do this to the system")
    (limit,) = _held
    fcntl.flock(limit, fcntl.LOCK_UN)  # another test may wait for it behind the gate
    with _GATE.open() as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        fcntl.flock(limit, fcntl.LOCK_EX)
        fcntl.flock(gate, fcntl.LOCK_UN)
    before = LIMIT.read_text()
    try:
        LIMIT.write_text(str(events))
        yield
    finally:
        LIMIT.write_text(before)
        fcntl.flock(limit, fcntl.LOCK_SH)
