"""What the tests of the watcher share: a follower of hints, and a source of changes.

``Follower`` does what the mirror does, reduced to the rule that makes it lossless: follow hints
only, cover a directory before listing it. If the watcher lost anything, it would end up knowing
another tree than the one on the disk.
"""

from __future__ import annotations

import os
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from stat import S_ISDIR

from snoopsync.watching.hint_source import HintSource
from snoopsync.watching.hints import Hints

DEADLINE_SECONDS = 20.0

Entry = tuple[int, ...]


class Follower:
    """Keeps track of the contents of a folder by its hints alone."""

    def __init__(self, watch: HintSource, root: Path) -> None:
        self.watch = watch
        self.root = os.fsencode(root)
        self.known: dict[bytes, dict[bytes, Entry]] = {}
        self.taken: list[Hints] = []
        self.scan_tree(b"")

    def step(self) -> None:
        """Process the pending hints."""
        hints = self.watch.take()
        if not hints:
            return
        self.taken.append(hints)
        if hints.everything:
            self.scan_tree(b"")
        for tree in hints.trees:
            parent, _, name = tree.rpartition(b"/")
            if parent in self.known:
                self.look(parent, [name])
            self.scan_tree(tree)
        for directory, names in hints.directories.items():
            if names is None or directory not in self.known:
                self.scan(directory)
            else:
                self.look(directory, names)

    def scan_tree(self, directory: bytes) -> None:
        for child in self.scan(directory):
            self.scan_tree(child)

    def scan(self, directory: bytes) -> list[bytes]:
        self.watch.cover(directory)
        try:
            names = os.listdir(self.root + b"/" + directory)  # noqa: PTH208 - as bytes
        except (FileNotFoundError, NotADirectoryError):
            self.vanished(directory)
            return []
        except PermissionError:
            self.drop(directory)
            return []
        before = self.known.get(directory, {})
        self.known[directory] = {}
        for name in {*names, *before}:
            self.look(directory, [name])
        return list(self.subdirectories(directory))

    def look(self, directory: bytes, names: Iterable[bytes]) -> None:
        for name in names:
            path = joined(directory, name)
            entry = entry_of(self.root + b"/" + path)
            if entry is None:
                self.known[directory].pop(name, None)
            else:
                self.known[directory][name] = entry
            if entry != () and path in self.known:
                self.vanished(path)

    def subdirectories(self, directory: bytes) -> Iterator[bytes]:
        for name, entry in self.known[directory].items():
            if entry == ():
                yield joined(directory, name)

    def vanished(self, directory: bytes) -> None:
        self.watch.forget(directory)
        self.drop(directory)

    def drop(self, directory: bytes) -> None:
        for path in list(self.known):
            if path == directory or path.startswith(directory + b"/"):
                del self.known[path]

    def is_right(self) -> bool:
        """Process the hints. Does the known tree now equal the disk?"""
        self.step()
        return self.known == tree_of(self.root)

    def saw(self, wanted: Callable[[Hints], bool]) -> bool:
        """Process the hints. Was there ever one like this?"""
        self.step()
        return any(wanted(hints) for hints in self.taken)


def joined(directory: bytes, name: bytes) -> bytes:
    return directory + b"/" + name if directory else name


def entry_of(path: bytes) -> Entry | None:
    try:
        stat = os.lstat(path)
    except OSError:
        return None
    if S_ISDIR(stat.st_mode):
        return ()
    return (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


def tree_of(root: bytes) -> dict[bytes, dict[bytes, Entry]]:
    tree = {}
    for path, directories, files in os.walk(root):
        entries = {name: entry_of(joined(path, name)) for name in directories + files}
        key = os.path.relpath(path, root)
        tree[b"" if key == b"." else key] = {
            name: entry for name, entry in entries.items() if entry is not None
        }
    return tree


class Alarm:
    """A ``wake`` that tests can wait on, hold up and break."""

    def __init__(self) -> None:
        self.rung = threading.Event()
        self.held = threading.Event()
        self.open = threading.Event()
        self.open.set()
        self.error: Exception | None = None

    def __call__(self) -> None:
        self.rung.set()
        if threading.current_thread() is threading.main_thread():
            return
        if not self.open.is_set():
            self.held.set()
            self.open.wait()
        if self.error is not None:
            error, self.error = self.error, None
            raise error

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until it is so, looking whenever we are woken (and now and then)."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, "the condition did not become true in time"
            self.rung.wait(0.05)
            self.rung.clear()


class Churn(threading.Thread):
    """Another user, who creates, writes, moves and removes files at random."""

    def __init__(self, root: Path, outside: Path, random: random.Random, operations: int) -> None:
        super().__init__()
        self.root = root
        self.outside = outside
        self.random = random
        self.operations = operations

    def run(self) -> None:
        for _ in range(self.operations):
            operation = self.random.choice(
                [self.make, self.make, self.write, self.write, self.move, self.remove]
            )
            try:
                operation()
            except OSError:
                continue  # two picks that don't go together

    def pick(self, *, directory: bool) -> Path:
        base = self.root if self.random.random() < 0.8 else self.outside
        found = [Path(path) for path, _, _ in os.walk(base)]
        parent = self.random.choice(found)
        if directory and parent != base:
            return parent
        return parent / self.random.choice("abcde")

    def make(self) -> None:
        self.pick(directory=False).mkdir()

    def write(self) -> None:
        self.pick(directory=False).with_suffix(".jpg").write_bytes(
            b"x" * self.random.randrange(100)
        )

    def move(self) -> None:
        source, target = self.pick(directory=True), self.pick(directory=False)
        source.rename(target)
        (target / "after.jpg").write_bytes(b"x" * self.random.randrange(100))

    def remove(self) -> None:
        path = self.pick(directory=True)
        if self.random.random() < 0.3:
            shutil.rmtree(path)
        else:
            path.rmdir()
