"""Hints say where something may have changed. What has changed, only a look at the disk tells.

An engine's thread reads events and puts hints into a ``HintBox``; the mirror takes them out as one
``Hints``. They collapse on the way: a thousand events for one file become one name, too many names
become their directory, and too many directories become everything. So the box stays small even if
nobody empties it, and a hint that is coarser than the event is never wrong.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

#: For more names than this in one directory, a listing is cheaper than a look at each.
MOST_NAMES = 64

#: For more directories than this, a scan of the whole folder is cheaper. Memory stays flat.
MOST_DIRECTORIES = 10_000


class Trace(Enum):
    """What happened to a name. For ``WRITTEN``, the event came through an open file: the name is
    the one that the file was opened under, and need not be in the directory any more."""

    ENTERED = "an entry of this name came"
    LEFT = "the entry went"
    WRITTEN = "the file was written to or changed"


@dataclass(frozen=True, slots=True)
class Hints:
    """What may have changed below one folder. Paths are below the folder; ``b""`` is the folder.

    ``directories``: look at these names in this directory; ``None`` means list the directory. A
    name that is not in the directory any more needs no listing.
    ``trees``: a directory came or went at this path: look at everything in it and below it. If
    nothing is at the path, nothing below it exists either.
    ``everything``: events were lost: look at the whole folder. Then the other two are empty.
    ``root_gone``: the folder was deleted, moved or unmounted: check whether it is the same one.
    """

    directories: Mapping[bytes, frozenset[bytes] | None] = field(default_factory=dict)
    trees: frozenset[bytes] = frozenset()
    everything: bool = False
    root_gone: bool = False

    def __bool__(self) -> bool:
        return bool(self.directories or self.trees or self.everything or self.root_gone)


class HintBox:
    """Holds the hints of one thread until another takes them. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: How many times events were lost because the kernel's queue was full.
        self.overflows = 0
        self._empty()

    def _empty(self) -> None:
        # The names in each directory with their last event; None stands for all names.
        self._directories: dict[bytes, dict[bytes, Trace] | None] = {}
        self._trees: set[bytes] = set()
        self._everything = False
        self._root_gone = False

    @property
    def waiting(self) -> bool:
        """Is there anything to take?"""
        return bool(self._directories or self._trees or self._everything or self._root_gone)

    def name(self, directory: bytes, name: bytes, trace: Trace) -> None:
        """Something happened to this name in this directory."""
        with self._lock:
            names = self._directories.setdefault(directory, {})
            if names is not None:
                before = names.get(name)
                if _is_elsewhere(before, trace):
                    self._directories[directory] = None
                elif trace is not Trace.WRITTEN or before is None:
                    names[name] = trace
                if len(names) > MOST_NAMES:
                    self._directories[directory] = None
            self._collapse()

    def directory(self, directory: bytes) -> None:
        """Anything in this directory may have changed."""
        with self._lock:
            self._directories[directory] = None
            self._collapse()

    def tree(self, directory: bytes) -> None:
        """Anything in this directory and below it may have changed."""
        with self._lock:
            self._trees.add(directory)
            self._collapse()

    def overflow(self) -> None:
        """The kernel's queue was full, and unknown events were lost."""
        self.overflows += 1
        self.everything()

    def everything(self) -> None:
        """Unknown events were lost."""
        with self._lock:
            self._everything = True
            self._collapse()

    def root_gone(self) -> None:
        """The folder itself was deleted, moved or unmounted."""
        with self._lock:
            self._root_gone = True

    def _collapse(self) -> None:
        if len(self._directories) + len(self._trees) > MOST_DIRECTORIES or b"" in self._trees:
            self._everything = True
        if self._everything:
            self._directories.clear()
            self._trees.clear()

    def take(self, is_gone: Callable[[bytes, bytes], bool]) -> Hints:
        """Empty the box.

        ``is_gone(directory, name)`` is called for each name that was only written to. If it is
        gone, the hint is for the whole directory, since the file has another name now. The function
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
            written = (name for name, trace in names.items() if trace is Trace.WRITTEN)
            if any(is_gone(directory, name) for name in written):
                return None
            return frozenset(names)

        return Hints(
            {path: names_in(path) for path in directories if not _inside(path, trees)},
            frozenset(path for path in trees if not _inside(_parent(path), trees)),
            everything,
            root_gone,
        )


def _is_elsewhere(before: Trace | None, now: Trace) -> bool:
    """Does the file that was written to have another name now, or none? It does if its entry left
    before, and it may if an entry came afterwards: that one may have replaced it."""
    if now is Trace.WRITTEN:
        return before is Trace.LEFT
    return now is Trace.ENTERED and before is Trace.WRITTEN


def _parent(path: bytes) -> bytes:
    return path.rpartition(b"/")[0]


def _upwards(path: bytes) -> Iterator[bytes]:
    """The path and every directory above it, but not the folder itself."""
    while path:
        yield path
        path = _parent(path)


def _inside(path: bytes, trees: Container[bytes]) -> bool:
    return any(above in trees for above in _upwards(path))
