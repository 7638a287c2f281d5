"""Finds the file system that a path is on, and whether changes on it raise events here.

inotify only sees changes that go through this machine's kernel and the same mount. A change by
another machine on a network share raises no event, nor does a change in the layers of an overlay.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

#: The kernel's table of mounts, as this process sees it.
MOUNTINFO = Path("/proc/self/mountinfo")

#: Other machines can write to these file systems, and their writes raise no events here.
_SHARED_KINDS = frozenset(
    {
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "fuse",
        "gfs2",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "orangefs",
        "prl_fs",
        "smb3",
        "smbfs",
        "vboxsf",
        "virtiofs",
        "vmhgfs",
    }
)


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of ``mountinfo``. See proc_pid_mountinfo(5).

    ``point`` is the mount point, ``kind`` the type of the file system, and ``device`` its
    ``major:minor``. ``options`` are those of the mount and of the file system. ``root`` is the
    directory of the file system that is mounted: ``/`` except for bind mounts and subvolumes.
    """

    number: int
    parent: int
    device: str
    point: bytes
    kind: str
    options: tuple[bytes, ...]
    root: bytes

    def covers(self, path: bytes) -> bool:
        """Whether the path is the mount point or is below it."""
        return _is_at_or_below(path, self.point)


class Choice(NamedTuple):
    """How to watch a folder (``events`` or ``poll``), and the reason, for people."""

    mode: str
    reason: str


def choose_watch(wanted: str, path: bytes, mountinfo: Path = MOUNTINFO) -> Choice:
    """How to watch the folder at ``path``; ``wanted`` is ``auto``, ``events`` or ``poll``.

    ``auto`` polls if a change may raise no event.
    """
    if wanted != "auto":
        return Choice(wanted, "as configured")
    try:
        mounts = parse_mounts(mountinfo.read_bytes())
    except OSError:
        return Choice("events", "this system has no table of mounts")
    return _choose(os.path.realpath(path), mounts)


def mount_of(path: bytes, mountinfo: Path = MOUNTINFO) -> Mount:
    """The mount that ``path`` is on. The path must be absolute and without symbolic links.

    Raises ``OSError`` if the table can't be read, ``LookupError`` if no mount covers the path.
    """
    mount = find_mount(path, parse_mounts(mountinfo.read_bytes()))
    if mount is None:
        raise LookupError(f"no mount covers {os.fsdecode(path)}")
    return mount


class MountChanges:
    """Reports mounts and unmounts at a path, above it and below it. inotify raises no event for a
    mount, and reports an unmount only to watches in the unmounted file system.

    ``fileno`` is for ``poll``, which returns ``POLLPRI`` whenever the table of mounts has changed.
    Raises ``OSError`` where there is no such table.
    """

    def __init__(self, path: bytes, mountinfo: Path = MOUNTINFO) -> None:
        self._path = path
        self._table = mountinfo.open("rb")
        self._lines = self._read()

    def __enter__(self) -> MountChanges:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the table."""
        self._table.close()

    def fileno(self) -> int:
        """The table's descriptor."""
        return self._table.fileno()

    def take(self) -> set[bytes]:
        """Where something was mounted or unmounted since the last call: paths relative to the
        watched path, and ``b""`` for that path itself or any directory above it."""
        before, self._lines = self._lines, self._read()
        changed = parse_mounts(b"\n".join(before ^ self._lines))
        below = self._path.rstrip(b"/") + b"/"
        points = {mount.point[len(below) :] for mount in changed if mount.point.startswith(below)}
        if any(mount.covers(self._path) for mount in changed):
            points.add(b"")
        return points

    def _read(self) -> frozenset[bytes]:
        self._table.seek(0)
        return frozenset(self._table.read().splitlines())


def events_reach(kind: str) -> bool:
    """Whether every change on a file system of this type raises an event here.

    ``fuseblk`` is a local disk (NTFS, exFAT), and every write to it goes through the kernel. Any
    other FUSE file system may have remote storage behind it. Writes to an overlay itself raise
    events, and a container makes no other writes. ``choose_watch`` also checks the layers of
    overlays.
    """
    return kind not in _SHARED_KINDS and not kind.startswith("fuse.")


def parse_mounts(table: bytes) -> list[Mount]:
    """The mounts in the text of a ``mountinfo`` file."""
    return [_parse(line) for line in table.splitlines() if line]


def _parse(line: bytes) -> Mount:
    # Any number of tags may stand between the fields of the mount and those of the file system.
    own, _, rest = line.partition(b" - ")
    number, parent, device, root, point, options, *_tags = own.split(b" ")
    kind, _source, super_options = [*rest.split(b" "), b""][:3]
    return Mount(
        int(number),
        int(parent),
        device.decode(),
        _unescape(point),
        kind.decode(),
        tuple(_split_options(options) + _split_options(super_options)),
        _unescape(root),
    )


def _split_options(options: bytes) -> list[bytes]:
    return [_unescape(option) for option in options.split(b",")]


def _unescape(text: bytes) -> bytes:
    return re.sub(rb"\\([0-7]{3})", lambda octal: bytes([int(octal[1], 8)]), text)


def find_mount(path: bytes, mounts: list[Mount]) -> Mount | None:
    """The mount that the path is on, or ``None`` if the path is on none of these.

    This walks down the path as the kernel does: the mount with the longest matching mount point may
    be hidden by a later mount on a directory above.
    """
    covering = [mount for mount in mounts if mount.covers(path)]
    numbers = {mount.number for mount in covering}
    here = [mount for mount in covering if mount.parent not in numbers - {mount.number}]
    current = None
    while here:
        current = min(here, key=lambda mount: len(mount.point))
        number = current.number
        here = [mount for mount in covering if mount.parent == number != mount.number]
    return current


def _choose(path: bytes, mounts: list[Mount]) -> Choice:
    mount = find_mount(path, mounts)
    if mount is None:
        return Choice("events", "the file system is unknown")
    if not events_reach(mount.kind):
        return Choice("poll", f"{mount.kind}: changes made elsewhere raise no events here")
    if mount.kind == "overlay" and _has_writable_layer(mount, mounts):
        return Choice("poll", "overlay: changes in its lower layers raise no events here")
    for other in mounts:
        if any(_is_at_or_below(path, layer) for layer in _layers(other)):
            where = os.fsdecode(other.point)
            return Choice(
                "poll", f"a layer of the overlay at {where}: writes there raise no events"
            )
    return Choice("events", f"{mount.kind}: changes raise events")


def _layers(mount: Mount) -> Iterator[bytes]:
    """The directories that an overlay consists of, if they have absolute paths (Docker's do
    not)."""
    if mount.kind != "overlay":
        return
    for option in mount.options:
        key, _, value = option.partition(b"=")
        if key in (b"lowerdir", b"lowerdir+", b"upperdir"):
            # An escaped colon belongs to a name. A double colon gives an empty part.
            for layer in re.split(rb"(?<!\\):", value):
                if layer.startswith(b"/"):
                    yield layer.replace(b"\\:", b":")


def _has_writable_layer(overlay: Mount, mounts: list[Mount]) -> bool:
    """Whether a layer of the overlay can be written from here. In a container the layers are not
    reachable, and on a live system the lower layer is read-only."""
    for layer in _layers(overlay):
        mount = find_mount(layer, mounts)
        reachable = os.path.isdir(layer)  # noqa: PTH112 - bytes
        if reachable and mount is not None and b"ro" not in mount.options:
            return True
    return False


def _is_at_or_below(path: bytes, directory: bytes) -> bool:
    return path == directory or path.startswith(directory.rstrip(b"/") + b"/")
