"""Finds directories that the folders contain twice because of bind mounts. (The configuration check
finds folders whose configured paths contain each other.)"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from snoopsync.checks.finding import Finding, warning
from snoopsync.core.errors import FolderMissing
from snoopsync.core.model import printable
from snoopsync.core.retiring import exclude_pattern
from snoopsync.folders.folder import Folder
from snoopsync.watching.mounts import MOUNTINFO, Mount, find_mount, parse_mounts


@dataclass(frozen=True, slots=True)
class _MountedDirectory:
    """The directory ``location`` of a file system, visible at ``below`` in the folder."""

    folder: Folder
    device: str
    location: bytes
    below: bytes


def overlap_findings(folders: Sequence[Folder], mountinfo: Path = MOUNTINFO) -> Iterator[Finding]:
    """A warning for each directory that the folders contain twice, unless it is excluded."""
    try:
        mounts = parse_mounts(mountinfo.read_bytes())
    except OSError:
        return
    parts = [part for folder in folders for part in _mounted_directories(folder, mounts)]
    by_location: dict[tuple[str, bytes], list[int]] = defaultdict(list)
    for number, part in enumerate(parts):
        by_location[part.device, part.location].append(number)
    for number, part in enumerate(parts):
        for above in _with_parents(part.location):
            for other in by_location.get((part.device, above), ()):
                # Report two equal directories once, at the second one.
                if above != part.location or other < number:
                    rest = part.location[len(above) :].lstrip(b"/")
                    yield from _findings(part, parts[other], rest)


def _mounted_directories(folder: Folder, mounts: list[Mount]) -> Iterator[_MountedDirectory]:
    path = os.path.realpath(folder.path)
    mount = find_mount(path, mounts)
    if mount is None:
        return
    location = _join(mount.root, path[len(mount.point) :])
    yield _MountedDirectory(folder, mount.device, location, b"")
    start = path.rstrip(b"/") + b"/"
    for each in mounts:
        below = each.point[len(start) :]
        if each.point.startswith(start) and folder.selection.enters(below):
            yield _MountedDirectory(folder, each.device, _join(each.root), below)


def _findings(part: _MountedDirectory, other: _MountedDirectory, rest: bytes) -> Iterator[Finding]:
    """According to the mount table, ``part`` is the directory ``rest`` of ``other``. Yields nothing
    if it is not accessible through ``other``."""
    here, there = part.below, _join(other.below, rest).lstrip(b"/")
    if (part.folder is other.folder and here == there) or not other.folder.selection.enters(there):
        return
    ours, theirs = part.folder.absolute(here), other.folder.absolute(there)
    try:
        with part.folder.session() as mine, other.folder.session() as others:
            if not os.path.samestat(mine.stat(here), others.stat(there)):
                return  # one of them is hidden by another mount
    except (OSError, FolderMissing):
        return
    shown = other if there else part
    excluded = there or here
    if excluded:
        pattern = exclude_pattern(excluded)
        fix = f"exclude one of them: in folder {shown.folder.name}, exclude: [{pattern}]"
    else:
        fix = "remove one of the two folders from the configuration"
    message = (
        f"{printable(ours)} is also {printable(theirs)} (folder {printable(other.folder.name)})"
        " because of a bind mount: each picture in it is mirrored twice"
    )
    yield warning(f"overlap of {printable(part.folder.name)}", message, fix)


def _join(*parts: bytes) -> bytes:
    return b"/".join(filter(None, (part.strip(b"/") for part in parts)))


def _with_parents(location: bytes) -> Iterator[bytes]:
    """The location and every directory above it, within its file system."""
    yield location
    while location:
        location = location.rpartition(b"/")[0]
        yield location
