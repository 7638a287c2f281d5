"""Maps inotify's watch descriptors to the paths of directories.

The kernel watches inodes and does not know paths. So each entry has the path under which the
directory was last covered.
"""

from __future__ import annotations


class WatchTable:
    """A one-to-one map of watch descriptors and paths."""

    def __init__(self) -> None:
        self._paths: dict[int, bytes] = {}
        self._watches: dict[bytes, int] = {}
        self._children: dict[bytes, set[bytes]] = {}

    def path(self, watch: int) -> bytes | None:
        """The directory of this watch, or ``None`` if the watch is unknown."""
        return self._paths.get(watch)

    def __contains__(self, path: bytes) -> bool:
        return path in self._watches

    def put(self, watch: int, path: bytes) -> list[int] | None:
        """Enter the path of this watch.

        Usually returns ``None``. If the path had another watch, a new directory has replaced the
        old one: then this drops and returns the old watches at and below the path.
        """
        before = self._paths.get(watch)
        if before == path:
            return None
        if before is not None:
            self._remove(before)
        stale = self.drop_tree(path) if path in self._watches else None
        self._paths[watch] = path
        self._watches[path] = watch
        self._attach(path)
        return stale

    def drop(self, watch: int) -> None:
        """Forget this watch, which has ended."""
        path = self._paths.get(watch)
        if path is not None:
            self._remove(path)

    def drop_tree(self, path: bytes) -> list[int]:
        """Forget the directory and everything below it. Returns their watches."""
        found = [path]
        for each in found:  # grows during the loop
            found.extend(self._children.get(each, ()))
        watches = [self._watches[each] for each in found if each in self._watches]
        for each in reversed(found):
            self._remove(each)
        return watches

    def _attach(self, path: bytes) -> None:
        while path:
            parent = path.rpartition(b"/")[0]
            siblings = self._children.setdefault(parent, set())
            if path in siblings:
                return
            siblings.add(path)
            path = parent

    def _remove(self, path: bytes) -> None:
        watch = self._watches.pop(path, None)
        if watch is not None:
            del self._paths[watch]
        while path and path not in self._watches and path not in self._children:
            parent = path.rpartition(b"/")[0]
            siblings = self._children.get(parent, set())
            siblings.discard(path)
            if not siblings:
                self._children.pop(parent, None)
            path = parent
