"""Turns inotify's events into hints, on Linux, with an emitter on watchdog's observer API.

watchdog's ``BaseObserver`` and ``EventEmitter`` start and stop the threads. watchdog's own inotify
emitter is not used: it pairs moves, walks trees and computes paths, and loses events while doing
so. Here a watch descriptor stands for a directory, and an event is a hint to look at that
directory.

No event goes through watchdog's queue, which could grow, and whose thread could die or lag. A
``HintBox`` merges hints on arrival. Each folder has its own observer and inotify descriptor, so
that a problem in one folder does not affect another.

No change is lost if a directory is covered *before* it is read: a change before the watch is in the
listing, and a change after the watch is in the queue. An event can be read before ``cover`` has
entered its path into the table. It is dropped without harm, because it happened before the listing.

Mounting over a directory raises no event, so the system's mount table is watched too.

Only the engine's thread adds and removes watches. Otherwise the reader could remove a watch that
``cover`` is about to enter under a new path.
"""

from __future__ import annotations

import array
import contextlib
import errno
import fcntl
import functools
import os
import select
import tempfile
import termios
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

from inotify_simple import Event, INotify, flags
from watchdog.events import FileSystemEventHandler
from watchdog.observers.api import BaseObserver, EventEmitter, EventQueue, ObservedWatch

from snoopsync.watching.hints import HintBox, NameChange
from snoopsync.watching.mounts import MountChanges
from snoopsync.watching.supervision import NO_PERMISSION, NOT_FOUND
from snoopsync.watching.watchtable import WatchTable

_ENTERED = flags.CREATE | flags.MOVED_TO
_LEFT = flags.DELETE | flags.MOVED_FROM
_WRITTEN = flags.CLOSE_WRITE | flags.ATTRIB
_DIRECTORY_ENDED = flags.DELETE_SELF | flags.MOVE_SELF | flags.UNMOUNT | flags.IGNORED

# No OPEN, ACCESS or CLOSE_NOWRITE, because our scans raise them. No MODIFY, because a large file
# raises thousands of them before it is closed. No EXCL_UNLINK, because it hides the close of a file
# that was opened without a name (O_TMPFILE) or under another name, and renamed before it was
# written.
_MASK = (
    _ENTERED
    | _LEFT
    | _WRITTEN
    | flags.DELETE_SELF
    | flags.MOVE_SELF
    | flags.ONLYDIR
    | flags.DONT_FOLLOW
)

_VANISHED = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})

_REASONS = {
    errno.ENOSPC: "the limit of inotify watches is reached: raise fs.inotify.max_user_watches",
    errno.EMFILE: "too many inotify users or open files: raise fs.inotify.max_user_instances",
    errno.EACCES: NO_PERMISSION,
    errno.ENAMETOOLONG: "the path is too long for inotify",
}


def reason_of(error: OSError) -> str:
    """The reason for an error of inotify, for people."""
    return _REASONS.get(error.errno or 0) or error.strerror or str(error)


class InotifyEngine:
    """Watches one folder. Raises ``OSError`` if the system gives no descriptor, watch or thread.

    The engine's thread calls ``cover``, ``forget``, ``prove`` and ``stop``. The reader's thread
    fills the box, calls ``wake`` when the box is not empty, and ends at the first exception, which
    it stores in ``failure``. ``EngineWatch`` then creates a new engine.
    """

    def __init__(self, root: bytes, box: HintBox, wake: Callable[[], None]) -> None:
        self._root = root
        self._box = box
        self._wake = wake
        self._lock = threading.Lock()  # guards the table, _unwatched and _users
        self._table = WatchTable()
        self._unwatched: dict[bytes, str] = {}
        self._users = 2  # the two threads; the last one closes the descriptors
        self.failure: Exception | None = None
        self._gathering = False  # events were read and are not in the box yet
        self.read_count = 0
        self.test_event_count = 0
        with contextlib.ExitStack() as undo:
            self._inotify = undo.enter_context(INotify(nonblocking=True))
            self._stopping = os.eventfd(0, os.EFD_CLOEXEC)
            undo.callback(os.close, self._stopping)
            self._canary = tempfile.mkdtemp(prefix="snoopsync-")
            undo.callback(self._remove_canary)
            self._canary_watch = self._inotify.add_watch(self._canary, flags.OPEN)
            self._poller = select.poll()
            self._poller.register(self._inotify, select.POLLIN)
            self._poller.register(self._stopping, select.POLLIN)
            self._mounts = self._watch_mounts()
            if self._mounts is not None:
                undo.callback(self._mounts.close)
            self._observer, self._emitter = self._start()
            undo.pop_all()

    def _watch_mounts(self) -> MountChanges | None:
        try:
            mounts = MountChanges(self._root)
        except OSError:
            return None  # without /proc, only a scan finds new mounts
        self._poller.register(mounts, select.POLLPRI)
        return mounts

    def _start(self) -> tuple[BaseObserver, EventEmitter]:
        emitter_class = functools.partial(_Emitter, engine=self)
        # watchdog only calls the class. Passing arguments in watchdog's own way needs 7.1.
        observer = BaseObserver(cast(type[EventEmitter], emitter_class))
        observer.schedule(FileSystemEventHandler(), os.fsdecode(self._root))
        (emitter,) = observer.emitters
        try:
            observer.start()
        except RuntimeError as error:
            emitter.stop()
            if emitter.is_alive():
                emitter.join()
            raise OSError(errno.EAGAIN, f"no thread can be started: {error}") from error
        return observer, emitter

    @property
    def alive(self) -> bool:
        """Whether both threads run."""
        return self._emitter.is_alive() and self._observer.is_alive()

    @property
    def behind(self) -> bool:
        """Whether there are events that have not become hints yet."""
        with self._lock:
            if self._users == 0:
                return False
            unread = array.array("i", [0])
            fcntl.ioctl(self._inotify, termios.FIONREAD, unread)
        # Read after the queue's size: an event that left the queue before is still being gathered.
        return unread[0] > 0 or self._gathering

    @property
    def unwatched(self) -> Mapping[bytes, str]:
        """The directories that can't be watched, each with the reason."""
        with self._lock:
            return dict(self._unwatched)

    def cover(self, directory: bytes) -> bool:
        """Watch this directory. Call this before the directory is read, each time.

        Returns whether the directory is watched. A directory that has vanished is forgotten. Any
        other directory that can't be watched stays in ``unwatched`` until it can be.
        """
        try:
            watch = self._inotify.add_watch(self._full(directory), _MASK)
        except OSError as error:
            has_vanished = error.errno in _VANISHED
            if directory and has_vanished:
                self.forget(directory)
            else:
                with self._lock:
                    self._unwatched[directory] = NOT_FOUND if has_vanished else reason_of(error)
            return False
        with self._lock:
            self._unwatched.pop(directory, None)
            stale = self._table.put(watch, directory)
        if stale is not None:
            # Another directory is at this path. If it was mounted, no event reported it.
            self._remove_watches(stale)
            self._box.tree(directory)
            self._wake()
        return True

    def forget(self, directory: bytes) -> None:
        """Drop the watches at and below the path of this directory, which has vanished.

        A directory that was renamed keeps its watches if it is covered under its new path before
        the old path is forgotten.
        """
        with self._lock:
            stale = self._table.drop_tree(directory)
            for path in [path for path in self._unwatched if _at_or_below(path, directory)]:
                del self._unwatched[path]
        self._remove_watches(stale)

    def _remove_watches(self, watches: list[int]) -> None:
        for watch in watches:
            with contextlib.suppress(OSError):  # the watch ended with its directory
                self._inotify.rm_watch(watch)

    def _full(self, directory: bytes) -> bytes:
        return self._root + b"/" + directory if directory else self._root

    def prove(self) -> None:
        """Raise a test event. ``test_event_count`` grows if kernel, descriptor and reader all work.

        Opening a private directory, which nothing else opens, raises the event and writes nothing
        to a disk. Raises ``OSError``.
        """
        if not Path(self._canary).is_dir():  # /tmp cleaners remove old directories
            self._canary = tempfile.mkdtemp(prefix="snoopsync-")
        self._canary_watch = self._inotify.add_watch(self._canary, flags.OPEN)
        os.close(os.open(self._canary, os.O_RDONLY | os.O_DIRECTORY))

    def _remove_canary(self) -> None:
        with contextlib.suppress(OSError):  # the directory is already gone
            Path(self._canary).rmdir()

    def stop(self, patience: float) -> None:
        """End the threads, waiting at most ``patience`` seconds for each. A thread that hangs is
        abandoned."""
        self._emitter.stop()
        self._emitter.join(patience)
        if self._emitter.is_alive():
            # The observer's stop() waits for its emitter without a time limit.
            threading.Thread(target=self._observer.stop, daemon=True).start()
        else:
            self._observer.stop()
            self._observer.join(patience)
        self._remove_canary()
        self.release()

    def interrupt(self) -> None:
        """From now on, make every call of ``read`` return at once."""
        os.eventfd_write(self._stopping, 1)

    def release(self) -> None:
        """Note that one of the two threads no longer needs the descriptors.

        The last thread closes them. If a descriptor were closed while the other thread is about to
        use it, its number could already belong to another file.
        """
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._inotify.close()
                os.close(self._stopping)
                if self._mounts is not None:
                    self._mounts.close()

    def read(self, timeout: float) -> None:
        """Wait up to ``timeout`` seconds for events, then turn all of them into hints."""
        self.read_count += 1
        ready = dict(self._poller.poll(timeout * 1000))
        if self._mounts is not None and self._mounts.fileno() in ready:
            self._gather_mounts(self._mounts)
        self._gathering = True
        for event in self._inotify.read(timeout=0):
            self._gather(event)
        self._gathering = False
        if self._box.waiting:
            self._wake()

    def _gather_mounts(self, mounts: MountChanges) -> None:
        for path in mounts.take():
            if path:
                self._box.tree(path)
            else:
                self._box.root_gone()

    def _gather(self, event: Event) -> None:
        if event.mask & flags.Q_OVERFLOW:
            self._box.overflow()
            return
        if event.wd == self._canary_watch:
            self.test_event_count += 1
            return
        with self._lock:
            directory = self._table.path(event.wd)
            if event.mask & flags.IGNORED:
                self._table.drop(event.wd)
        if directory is None:
            return
        name = os.fsencode(event.name)
        if not name:
            self._gather_own(directory, event.mask)
        elif event.mask & flags.ISDIR:
            self._gather_subdirectory(directory, name, event.mask)
        else:
            self._box.name(directory, name, _trace(event.mask))

    def _gather_own(self, directory: bytes, mask: int) -> None:
        """Handle an event about a watched directory itself."""
        if mask & _DIRECTORY_ENDED:
            if directory:
                self._box.tree(directory)
            else:
                self._box.root_gone()
        elif mask & flags.ATTRIB:
            # If the permissions changed, more may be readable now.
            self._box.directory(directory)
            for path in self.unwatched:
                if _at_or_below(path, directory):
                    self._box.tree(path)

    def _gather_subdirectory(self, directory: bytes, name: bytes, mask: int) -> None:
        path = directory + b"/" + name if directory else name
        if mask & (_ENTERED | _LEFT):
            self._box.tree(path)
        elif mask & flags.ATTRIB:
            with self._lock:
                watched = path in self._table
            if not watched:  # a watched directory raises its own event
                self._box.tree(path)


def _trace(mask: int) -> NameChange:
    if mask & _ENTERED:
        return NameChange.ENTERED
    return NameChange.LEFT if mask & _LEFT else NameChange.WRITTEN


class _Emitter(EventEmitter):
    """The reader's thread, as watchdog starts and stops it."""

    def __init__(
        self,
        event_queue: EventQueue,
        watch: ObservedWatch,
        *,
        engine: InotifyEngine,
        timeout: float,
        event_filter: None,
    ) -> None:
        super().__init__(event_queue, watch, timeout=timeout, event_filter=event_filter)
        self._engine = engine

    def queue_events(self, timeout: float) -> None:
        self._engine.read(timeout)

    def on_thread_stop(self) -> None:
        self._engine.interrupt()

    def run(self) -> None:
        try:
            super().run()
        except Exception as error:
            self._engine.failure = error
        finally:
            self._engine.release()


def _at_or_below(path: bytes, directory: bytes) -> bool:
    return not directory or path == directory or path.startswith(directory + b"/")
