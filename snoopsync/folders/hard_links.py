"""Finds images whose files are hard links of one file. They are not duplicates, because a hard link
takes no space.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from snoopsync.core.model import RelPath
from snoopsync.folders.folder import Folder
from snoopsync.state.images import State


class HardLinks:
    """Compares the files of an image and its matches. Thread-safe."""

    def __init__(self, state: State, folders: Mapping[str, Folder]) -> None:
        self._state = state
        self._folders = folders

    def of(self, image_id: str, others: Collection[str]) -> set[str]:
        """The IDs in ``others`` whose file is now the same file as this image's, by device and
        inode. A file that can't be examined does not count as a hard link."""
        record = self._state.record(image_id)
        if record is None:
            return set()
        # The records have the inodes, so only likely files are examined on disk.
        likely = [
            other
            for other in self._state.records_with_inode(record.seen.inode)
            if other.image_id != image_id and other.image_id in others
        ]
        file = self._file(record.rel_path) if likely else None
        if file is None:
            return set()
        return {other.image_id for other in likely if self._file(other.rel_path) == file}

    def _file(self, rel_path: RelPath) -> tuple[int, int] | None:
        folder = self._folders.get(rel_path.folder)
        if folder is None:
            return None
        try:
            with folder.disk.open_folder(folder.path) as root:
                stat = folder.disk.lstat(root, rel_path.path)
        except OSError:
            return None
        return stat.st_dev, stat.st_ino
