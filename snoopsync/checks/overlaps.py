"""Directories that can be reached twice: by a folder that is mounted into another one, or within
one folder. Configured paths that are inside one another are an error of the configuration."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from snoopsync.checks.finding import Finding, warning
from snoopsync.core.errors import FolderMissing
from snoopsync.core.model import printable
from snoopsync.folders.folder import Folder
from snoopsync.watching.mounts import MOUNTINFO, Mount, find_mount, parse_mounts

#: What has a meaning in a gitignore pattern.
_SPECIAL = re.compile(r"([\\*?\[])")


@dataclass(frozen=True, slots=True)
class _Part:
    """What a folder shows of one file system: the directory ``location`` of it, at ``below`` (a
    path below the folder)."""

    folder: Folder
    device: str
    location: bytes
    below: bytes


def overlap_findings(folders: Sequence[Folder], mountinfo: Path = MOUNTINFO) -> Iterator[Finding]:
    """A warning for each directory that the folders show twice, as far as they enter it."""
    try:
        mounts = parse_mounts(mountinfo.read_bytes())
    except OSError:
        return
    parts = [part for folder in folders for part in _parts(folder, mounts)]
    by_location: dict[tuple[str, bytes], list[int]] = defaultdict(list)
    for number, part in enumerate(parts):
        by_location[part.device, part.location].append(number)
    for number, part in enumerate(parts):
        for above in _up_from(part.location):
            for other in by_location.get((part.device, above), ()):
                # Of two parts that are one directory, the second tells.
                if above != part.location or other < number:
                    rest = part.location[len(above) :].lstrip(b"/")
                    yield from _findings(part, parts[other], rest)


def _parts(folder: Folder, mounts: list[Mount]) -> Iterator[_Part]:
    path = os.path.realpath(folder.path)
    mount = find_mount(path, mounts)
    if mount is None:
        return
    yield _Part(folder, mount.device, _join(mount.root, path[len(mount.point) :]), b"")
    start = path.rstrip(b"/") + b"/"
    for each in mounts:
        below = each.point[len(start) :]
        if each.point.startswith(start) and folder.selection.enters(below):
            yield _Part(folder, each.device, _join(each.root), below)


def _findings(part: _Part, other: _Part, rest: bytes) -> Iterator[Finding]:
    """By the table of mounts, ``part`` is the directory ``rest`` of ``other``. Nothing if it cannot
    be reached there."""
    here, there = part.below, _join(other.below, rest).lstrip(b"/")
    if (part.folder is other.folder and here == there) or not other.folder.selection.enters(there):
        return
    ours, theirs = part.folder.absolute(here), other.folder.absolute(there)
    try:
        with part.folder.session() as mine, other.folder.session() as others:
            if not os.path.samestat(mine.stat(here), others.stat(there)):
                return  # something else is mounted over one of them
    except (OSError, FolderMissing):
        return
    shown = other if there else part
    excluded = there or here
    if excluded:
        pattern = _SPECIAL.sub(r"\\\1", printable(excluded))
        mend = f'leave one of them out: in folder {shown.folder.name}, exclude: ["/{pattern}/"]'
    else:
        mend = "remove one of the two folders from the configuration"
    yield warning(
        f"overlap of {printable(part.folder.name)}",
        f"{printable(ours)} is also {printable(theirs)} (folder {printable(other.folder.name)}), by"
        " a bind mount: each picture in it is mirrored twice",
        mend,
    )


def _join(*parts: bytes) -> bytes:
    return b"/".join(filter(None, (part.strip(b"/") for part in parts)))


def _up_from(location: bytes) -> Iterator[bytes]:
    """The location itself and every directory above it, in its file system."""
    yield location
    while location:
        location = location.rpartition(b"/")[0]
        yield location
