"""Lists the companions of pictures on disk, by their names.

Only regular files are companions: directories and symbolic links are ignored, whatever their names
are. Only the picture's own directory and sibling directories of another format are read. Where one
of them can't be read, or is too large, nothing is known about its files.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from snoopsync.config.settings import Config
from snoopsync.core.companions import (
    CompanionRole,
    are_format_folders,
    companion_keys,
    companion_role,
    may_own,
)
from snoopsync.core.model import RelPath
from snoopsync.folders.disk import Disk

#: The most entries of a directory that are read, and the most that are kept of all directories.
_MOST_ENTRIES, _MOST_KEPT = 200_000, 500_000


@dataclass(frozen=True, slots=True)
class Companion:
    """A file that belongs to a picture, and what it is for the picture."""

    rel_path: RelPath
    role: CompanionRole


@dataclass(slots=True)
class _Directory:
    """The names of the regular files, by key, and of the directories."""

    files: dict[bytes, list[bytes]] = field(default_factory=dict)
    directories: list[bytes] = field(default_factory=list)
    entries: int = 0


def companion_finder(config: Config) -> CompanionFinder:
    """A finder for the configured folders. With ``duplicates.companions: false`` it finds
    nothing."""
    folders = config.folders if config.duplicates.companions else ()
    return CompanionFinder({each.name: os.fsencode(each.path) for each in folders})


class CompanionFinder:
    """Finds companions. It reads each directory once, so it lives as long as one command or one
    request. Used by one thread. ``roots``: the paths of the folders by name."""

    def __init__(self, roots: Mapping[str, bytes], disk: Disk | None = None) -> None:
        self._roots = roots
        self._disk = disk or Disk()
        self._read: dict[tuple[str, bytes], _Directory] = {}
        #: The entries of all directories in ``_read``.
        self._kept = 0

    def companions(self, path: RelPath) -> list[Companion]:
        """The files that belong to the picture at this path, in the order of their paths."""
        found = ((other, companion_role(path, other)) for other in self._near(path))
        return [Companion(other, role) for other, role in sorted(found) if role is not None]

    def owners(self, path: RelPath) -> list[RelPath]:
        """The files that the file at this path belongs to, in the order of their paths."""
        return sorted(
            other
            for other in self._near(path)
            if companion_role(other, path)
            or (other.directory == path.directory and may_own(other.name, path.name))
        )

    def note_moved(self, path: RelPath) -> None:
        """Note that the file at this path is not there any more."""
        known = self._read.get((path.folder, path.directory), _Directory())
        for key in companion_keys(path.name):
            names = known.files.get(key, [])
            if path.name in names:
                names.remove(path.name)

    def _near(self, path: RelPath) -> Iterator[RelPath]:
        """The files with a key of this path in its directory, and in sibling directories that hold
        another format."""
        keys = companion_keys(path.name)
        for directory in (path.directory, *self._format_siblings(path)):
            files = self._directory(path.folder, directory).files
            for name in {name for key in keys for name in files.get(key, ())}:
                yield RelPath(path.folder, directory + b"/" + name if directory else name)

    def _format_siblings(self, path: RelPath) -> list[bytes]:
        own = path.directory
        if not own:
            return []
        parent, slash, _ = own.rpartition(b"/")
        names = self._directory(path.folder, parent).directories
        siblings = (parent + slash + name for name in names)
        return [each for each in siblings if each != own and are_format_folders(own, each)]

    def _directory(self, folder: str, directory: bytes) -> _Directory:
        known = self._read.get((folder, directory))
        if known is None:
            try:
                known = self._list(folder, directory)
            except OSError:
                known = _Directory()
            if self._kept + known.entries > _MOST_KEPT:
                self._read.clear()
                self._kept = 0
            self._kept += known.entries
            self._read[folder, directory] = known
        return known

    def _list(self, folder: str, directory: bytes) -> _Directory:
        root = self._roots.get(folder)
        if root is None:
            return _Directory()
        listed = _Directory()
        with (
            self._disk.open_folder(root) as opened,
            self._disk.entries(opened, directory) as entries,
        ):
            for entry in entries:
                listed.entries += 1
                if listed.entries > _MOST_ENTRIES:
                    return _Directory()
                name = os.fsencode(entry.name)
                if entry.is_dir(follow_symlinks=False):
                    listed.directories.append(name)
                elif entry.is_file(follow_symlinks=False):
                    for key in companion_keys(name):
                        listed.files.setdefault(key, []).append(name)
        return listed
