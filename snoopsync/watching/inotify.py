"""Linux: an emitter on watchdog's observer API that turns inotify's events into hints.

Of watchdog we take the frame (``BaseObserver`` starts, holds and stops an ``EventEmitter``), not
its inotify emitter, which pairs moves, walks trees and computes paths, and loses events in each.
Here is nothing of the kind: a watch descriptor stands for a directory, and an event there is a
hint to look at that directory.

No event goes through watchdog's queue. Its dispatching thread would be one more that can die or
lag, and its queue one more that grows; a ``HintBox`` collapses on arrival. Each folder has an
observer and an inotify descriptor of its own, so that trouble in one is no other's.

Why nothing is lost, as long as the mirror covers a directory *before* it lists it: a change before
the watch is in the listing, one after it is in the queue. This also forgives a stale table: an
event read before ``cover`` has written its path down happened before the listing.

What is mounted on a directory raises no event: of that the system's table of mounts tells.

Only the mirror's thread adds and removes watches. If the reader did so too, it could remove a
watch that ``cover`` is just about to write down under its new path.
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

from snoopsync.watching.hints import HintBox, Trace
from snoopsync.watching.mounts import MountChanges
from snoopsync.watching.supervision import NO_PERMISSION, NOT_THERE
from snoopsync.watching.watchtable import WatchTable

_ENTERED = flags.CREATE | flags.MOVED_TO
_LEFT = flags.DELETE | flags.MOVED_FROM
_WRITTEN = flags.CLOSE_WRITE | flags.ATTRIB
_DIRECTORY_ENDED = flags.DELETE_SELF | flags.MOVE_SELF | flags.UNMOUNT | flags.IGNORED

# No OPEN, ACCESS or CLOSE_NOWRITE: our own scan would raise them. No MODIFY: a large file raises
# thousands, and is closed in the end. No EXCL_UNLINK: it would hide the close of a file that was
# opened without a name (O_TMPFILE) or under another one, was given its name, then written to.
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
    """Why inotify refused, for a person."""
    return _REASONS.get(error.errno or 0) or error.strerror or str(error)


class InotifyEngine:
    """Watches one folder. Raises ``OSError`` if the system gives no descriptor, watch or thread.

    ``cover``, ``forget``, ``prove`` and ``stop`` are for the mirror's thread. The reader's thread
    fills the box, calls ``wake`` when there is something in it, and ends at the first exception:
    that is left in ``failure`` for the supervision, which makes a new engine.
    """

    def __init__(self, root: bytes, box: HintBox, wake: Callable[[], None]) -> None:
        self._root = root
        self._box = box
        self._wake = wake
        self._lock = threading.Lock()  # the two dictionaries below, and who uses the descriptors
        self._table = WatchTable()
        self._unwatched: dict[bytes, str] = {}
        self._users = 2  # the mirror's thread and the reader's: the last one closes
        self.failure: Exception | None = None
        self._gathering = False  # is the reader at it? Then what it has read is nowhere else
        self.beats = 0  # rounds of the reader
        self.echoes = 0  # events of the canary
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
            return None  # there is no /proc: then only a scan finds what was mounted
        self._poller.register(mounts, select.POLLPRI)
        return mounts

    def _start(self) -> tuple[BaseObserver, EventEmitter]:
        emitter_class = functools.partial(_Emitter, engine=self)
        # watchdog only ever calls it, and its own way to pass arguments needs watchdog 7.1
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
        """Do its threads run?"""
        return self._emitter.is_alive() and self._observer.is_alive()

    @property
    def behind(self) -> bool:
        """Are there events that have not become hints yet?"""
        with self._lock:
            if self._users == 0:
                return False
            unread = array.array("i", [0])
            fcntl.ioctl(self._inotify, termios.FIONREAD, unread)
        # In this order: what is not to be read any more is being gathered by then.
        return unread[0] > 0 or self._gathering

    @property
    def unwatched(self) -> Mapping[bytes, str]:
        """The directories that can't be watched, each with the reason."""
        with self._lock:
            return dict(self._unwatched)

    def cover(self, directory: bytes) -> bool:
        """Watch this directory; to be called before it is listed, and as often as one likes.

        Returns whether it is watched. One that vanished is forgotten, any other that can't be
        watched is in ``unwatched`` until it can.
        """
        try:
            watch = self._inotify.add_watch(self._full(directory), _MASK)
        except OSError as error:
            has_vanished = error.errno in _VANISHED
            if directory and has_vanished:
                self.forget(directory)
            else:
                with self._lock:
                    self._unwatched[directory] = NOT_THERE if has_vanished else reason_of(error)
            return False
        with self._lock:
            self._unwatched.pop(directory, None)
            stale = self._table.put(watch, directory)
        if stale is not None:
            # Another directory stands here, and if it came by a mount there was no event.
            self._remove_watches(stale)
            self._box.tree(directory)
            self._wake()
        return True

    def forget(self, directory: bytes) -> None:
        """This directory vanished: drop the watches at and below its path.

        A directory that was only renamed keeps its watches if it is covered under its new path
        before the old one is forgotten.
        """
        with self._lock:
            stale = self._table.drop_tree(directory)
            for path in [path for path in self._unwatched if _at_or_below(path, directory)]:
                del self._unwatched[path]
        self._remove_watches(stale)

    def _remove_watches(self, watches: list[int]) -> None:
        for watch in watches:
            with contextlib.suppress(OSError):  # it ended with its directory
                self._inotify.rm_watch(watch)

    def _full(self, directory: bytes) -> bytes:
        return self._root + b"/" + directory if directory else self._root

    def prove(self) -> None:
        """Do what must make ``echoes`` grow, if kernel, descriptor and reader all work.

        It opens a private directory, which nothing else does and which writes nothing to a disk.
        Raises ``OSError`` if that can't be done.
        """
        if not Path(self._canary).is_dir():  # cleaners of /tmp remove what is old
            self._canary = tempfile.mkdtemp(prefix="snoopsync-")
        self._canary_watch = self._inotify.add_watch(self._canary, flags.OPEN)
        os.close(os.open(self._canary, os.O_RDONLY | os.O_DIRECTORY))

    def _remove_canary(self) -> None:
        with contextlib.suppress(OSError):  # gone already
            Path(self._canary).rmdir()

    def stop(self, patience: float) -> None:
        """End the threads, waiting ``patience`` seconds for each. One that hangs is abandoned."""
        self._emitter.stop()
        self._emitter.join(patience)
        if self._emitter.is_alive():
            # The observer's stop() waits for its emitter without limit.
            threading.Thread(target=self._observer.stop, daemon=True).start()
        else:
            self._observer.stop()
            self._observer.join(patience)
        self._remove_canary()
        self.release()

    def interrupt(self) -> None:
        """Let the reader return at once, now and from here on."""
        os.eventfd_write(self._stopping, 1)

    def release(self) -> None:
        """One of the two threads has no more use for the descriptors.

        Only the last one may close them: a number that is closed while another thread is about
        to use it may be another file by then.
        """
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._inotify.close()
                os.close(self._stopping)
                if self._mounts is not None:
                    self._mounts.close()

    def read(self, timeout: float) -> None:
        """One round of the reader: wait up to ``timeout`` seconds, take all events there are."""
        self.beats += 1
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
            self.echoes += 1
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
        """An event about a watched directory itself."""
        if mask & _DIRECTORY_ENDED:
            if directory:
                self._box.tree(directory)
            else:
                self._box.root_gone()
        elif mask & flags.ATTRIB:
            # Perhaps its permissions: what could not be read may be readable now.
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
            if not watched:  # a watched one tells by itself
                self._box.tree(path)


def _trace(mask: int) -> Trace:
    if mask & _ENTERED:
        return Trace.ENTERED
    return Trace.LEFT if mask & _LEFT else Trace.WRITTEN


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
