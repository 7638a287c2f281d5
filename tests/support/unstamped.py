"""A disk without stamps: each scan lists every directory."""

from __future__ import annotations

from snoopsync.folders.directory_stamp import DirectoryStamp
from snoopsync.folders.disk import Disk
from snoopsync.folders.open_folder import OpenFolder


class UnstampedDisk(Disk):
    """As on a file system whose ctimes prove nothing. For disks whose listings fail: an unchanged
    directory on another disk need not be listed."""

    def stamp(self, root: OpenFolder, directory: bytes) -> DirectoryStamp | None:
        return None
