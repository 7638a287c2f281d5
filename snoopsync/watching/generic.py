"""Watches a folder on systems without inotify, with watchdog's own recursive observer.

Only the directory of each event becomes a hint. The regular scans find what the observer misses.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping

from watchdog.events import (
    EVENT_TYPE_CLOSED_NO_WRITE,
    EVENT_TYPE_DELETED,
    EVENT_TYPE_MODIFIED,
    EVENT_TYPE_MOVED,
    EVENT_TYPE_OPENED,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from snoopsync.watching.hints import HintBox

#: The events that our own scans raise.
_READ_ONLY = frozenset({EVENT_TYPE_OPENED, EVENT_TYPE_CLOSED_NO_WRITE})


class GenericEngine:
    """Watches one folder. Raises ``OSError`` if the system does not allow that.

    The interface is that of ``InotifyEngine``. Directories need not be covered one by one. The only
    known sign of health is that the threads are alive.
    """

    failure: Exception | None = None

    def __init__(
        self,
        root: bytes,
        box: HintBox,
        wake: Callable[[], None],
        make_observer: Callable[[], BaseObserver] = Observer,
    ) -> None:
        self.test_event_count = 0
        self._looks = 0
        self._observer = make_observer()
        self._observer.schedule(_Handler(root, box, wake), os.fsdecode(root), recursive=True)
        try:
            self._observer.start()
        except RuntimeError as error:
            raise OSError(f"no thread can be started: {error}") from error

    @property
    def alive(self) -> bool:
        """Whether all threads run."""
        emitters = self._observer.emitters
        return self._observer.is_alive() and all(emitter.is_alive() for emitter in emitters)

    @property
    def read_count(self) -> int:
        """A new number each time, because watchdog's threads do not report progress."""
        self._looks += 1
        return self._looks

    @property
    def behind(self) -> bool:
        """Always false, because watchdog does not report this."""
        return False

    @property
    def unwatched(self) -> Mapping[bytes, str]:
        """Always empty, because watchdog does not report this."""
        return {}

    def cover(self, directory: bytes) -> bool:
        """Return ``True``: every directory is watched from the start."""
        return True

    def forget(self, directory: bytes) -> None:
        """Do nothing."""

    def prove(self) -> None:
        """Count a test event if the threads are alive. This proves less than a real event."""
        if self.alive:
            self.test_event_count += 1

    def stop(self, patience: float) -> None:
        """End the threads, waiting ``patience`` seconds for them."""
        # The observer's stop() waits for its emitters without a time limit.
        stopping = threading.Thread(target=self._observer.stop, daemon=True)
        stopping.start()
        stopping.join(patience)
        self._observer.join(patience)


class _Handler(FileSystemEventHandler):
    def __init__(self, root: bytes, box: HintBox, wake: Callable[[], None]) -> None:
        self._root = root
        self._box = box
        self._wake = wake

    def dispatch(self, event: FileSystemEvent) -> None:
        if event.event_type in _READ_ONLY:
            return
        for path in (event.src_path, event.dest_path):
            if path:
                self._hint(os.fsencode(path), event)
        if self._box.waiting:
            self._wake()

    def _hint(self, path: bytes, event: FileSystemEvent) -> None:
        if path == self._root:
            if event.event_type in (EVENT_TYPE_DELETED, EVENT_TYPE_MOVED):
                self._box.root_gone()
            else:
                self._box.directory(b"")
            return
        if not path.startswith(self._root + b"/"):
            return
        below = path[len(self._root) + 1 :]
        if event.is_directory and event.event_type == EVENT_TYPE_MODIFIED:
            self._box.directory(below)
            return
        self._box.directory(below.rpartition(b"/")[0])
        if event.is_directory:
            self._box.tree(below)
