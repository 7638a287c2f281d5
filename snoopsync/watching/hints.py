"""Hints say where something may have changed. Only a look at the disk shows what has changed.

An engine's thread reads events and puts hints into a ``HintBox``; the monitor takes them out as one
``Hints``. The box merges them: a thousand events for one file become one name, too many names
become their directory, and too many directories become the whole folder. So the box stays small
even if nobody empties it. A hint that is coarser than its event is never wrong.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

#: With more names than this in one directory, listing the directory is cheaper.
MAX_NAMES = 64

#: With more directories than this, scanning the whole folder is cheaper. This also limits memory.
MAX_DIRECTORIES = 10_000


class NameChange(Enum):
    """What happened to a name in a directory. ``WRITTEN`` comes through an open file and has the
    name under which the file was opened. The directory may no longer have that name."""

    ENTERED = "an entry with this name appeared"
    LEFT = "the entry disappeared"
    WRITTEN = "the file was written to or changed"


@dataclass(frozen=True, slots=True)
class Hints:
    """What may have changed below one folder. Paths are below the folder; ``b""`` is the folder.

    ``directories``: look at these names in each directory; ``None`` means that the directory must
    be listed.
    ``trees``: a directory appeared or disappeared at this path: look at it and at everything below.
    ``everything``: events were lost: look at the whole folder. Then the first two are empty.
    ``root_gone``: the folder was deleted, moved or unmounted: check the folder's identity.
    """

    directories: Mapping[bytes, frozenset[bytes] | None] = field(default_factory=dict)
    trees: frozenset[bytes] = frozenset()
    everything: bool = False
    root_gone: bool = False

    def __bool__(self) -> bool:
        return bool(self.directories or self.trees or self.everything or self.root_gone)


class HintBox:
    """Holds hints from one thread until another thread takes them. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: How many times events were lost because the kernel's queue was full.
        self.overflows = 0
        self._empty()

    def _empty(self) -> None:
        # The names in each directory with their last change. None stands for all names.
        self._directories: dict[bytes, dict[bytes, NameChange] | None] = {}
        self._trees: set[bytes] = set()
        self._everything = False
        self._root_gone = False

    @property
    def waiting(self) -> bool:
        """Whether there are hints to take."""
        return bool(self._directories or self._trees or self._everything or self._root_gone)

    def name(self, directory: bytes, name: bytes, trace: NameChange) -> None:
        """Add a hint that this name in this directory changed."""
        with self._lock:
            names = self._directories.setdefault(directory, {})
            if names is not None:
                before = names.get(name)
                if _may_be_renamed(before, trace):
                    self._directories[directory] = None
                elif trace is not NameChange.WRITTEN or before is None:
                    names[name] = trace
                if len(names) > MAX_NAMES:
                    self._directories[directory] = None
            self._collapse()

    def directory(self, directory: bytes) -> None:
        """Add a hint that anything in this directory may have changed."""
        with self._lock:
            self._directories[directory] = None
            self._collapse()

    def tree(self, directory: bytes) -> None:
        """Add a hint that anything in this directory and below it may have changed."""
        with self._lock:
            self._trees.add(directory)
            self._collapse()

    def overflow(self) -> None:
        """Add a hint that the kernel's queue was full, so unknown events were lost."""
        self.overflows += 1
        self.everything()

    def everything(self) -> None:
        """Add a hint that unknown events were lost."""
        with self._lock:
            self._everything = True
            self._collapse()

    def root_gone(self) -> None:
        """Add a hint that the folder itself was deleted, moved or unmounted."""
        with self._lock:
            self._root_gone = True

    def _collapse(self) -> None:
        if len(self._directories) + len(self._trees) > MAX_DIRECTORIES or b"" in self._trees:
            self._everything = True
        if self._everything:
            self._directories.clear()
            self._trees.clear()

    def take(self, is_gone: Callable[[bytes, bytes], bool]) -> Hints:
        """Return all hints and empty the box.

        ``is_gone(directory, name)`` is called for each name that was only written to. If the name
        is gone, the file has another name now, so the hint covers the whole directory. ``is_gone``
        must not raise.
        """
        with self._lock:
            directories, trees = self._directories, self._trees
            everything, root_gone = self._everything, self._root_gone
            self._empty()

        def names_in(directory: bytes) -> frozenset[bytes] | None:
            names = directories[directory]
            if names is None:
                return None
            written = (name for name, trace in names.items() if trace is NameChange.WRITTEN)
            if any(is_gone(directory, name) for name in written):
                return None
            return frozenset(names)

        return Hints(
            {path: names_in(path) for path in directories if not _inside(path, trees)},
            frozenset(path for path in trees if not _inside(_parent(path), trees)),
            everything,
            root_gone,
        )


def _may_be_renamed(before: NameChange | None, now: NameChange) -> bool:
    """Whether the written file may no longer have this name: its entry disappeared before the
    write, or another entry appeared after the write and may have replaced it."""
    if now is NameChange.WRITTEN:
        return before is NameChange.LEFT
    return now is NameChange.ENTERED and before is NameChange.WRITTEN


def _parent(path: bytes) -> bytes:
    return path.rpartition(b"/")[0]


def _upwards(path: bytes) -> Iterator[bytes]:
    """The path and every directory above it, but not the folder itself."""
    while path:
        yield path
        path = _parent(path)


def _inside(path: bytes, trees: Container[bytes]) -> bool:
    return any(above in trees for above in _upwards(path))
