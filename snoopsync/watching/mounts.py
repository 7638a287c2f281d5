"""Finds out which file system a path is on, and whether its changes raise events here.

inotify sees only what goes through this machine's kernel and the same mount. A change that another
machine makes on a network share, or that is made in an overlay's layers, raises no event.
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

#: Other machines write to these file systems too, and their writes raise no events here.
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
    """One line of ``mountinfo``, see proc_pid_mountinfo(5).

    ``point`` is where it is mounted, ``kind`` the type of the file system, ``device`` its
    ``major:minor``, ``options`` both the mount's and the file system's, ``root`` the directory of
    the file system that is mounted: ``/`` but for bind mounts and subvolumes.
    """

    number: int
    parent: int
    device: str
    point: bytes
    kind: str
    options: tuple[bytes, ...]
    root: bytes

    def covers(self, path: bytes) -> bool:
        """Is the path at the mount point or below it?"""
        return _is_at_or_below(path, self.point)


class Choice(NamedTuple):
    """How to watch a folder, ``events`` or ``poll``, and the reason, for people."""

    mode: str
    reason: str


def choose_watch(wanted: str, path: bytes, mountinfo: Path = MOUNTINFO) -> Choice:
    """How to watch the folder at ``path``; ``wanted`` is ``auto``, ``events`` or ``poll``.

    ``auto`` polls where a change could raise no event.
    """
    if wanted != "auto":
        return Choice(wanted, "as configured")
    try:
        mounts = parse_mounts(mountinfo.read_bytes())
    except OSError:
        return Choice("events", "this system has no table of mounts")
    return _choose(os.path.realpath(path), mounts)


def mount_of(path: bytes, mountinfo: Path = MOUNTINFO) -> Mount:
    """The mount that ``path`` is on; it must be absolute and without symlinks.

    Raises ``OSError`` if the table can't be read, ``LookupError`` if no mount covers the path.
    """
    mount = find_mount(path, parse_mounts(mountinfo.read_bytes()))
    if mount is None:
        raise LookupError(f"no mount covers {os.fsdecode(path)}")
    return mount


class MountChanges:
    """What is mounted and unmounted on a path, above it and below it. inotify raises no event for a
    mount, and for an unmount only on watches in the mounted file system.

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
        """Where something was mounted or unmounted since the last call: the paths below the path,
        and ``b""`` for the path itself or anything above it."""
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
    """Does every change on a file system of this type raise an event here?

    ``fuseblk`` is a local disk (NTFS, exFAT), and everything that is written to it passes the
    kernel. Any other FUSE file system may have anything behind it. An overlay's own writes raise
    events; in a container there are no others. ``choose_watch`` looks at an overlay's layers.
    """
    return kind not in _SHARED_KINDS and not kind.startswith("fuse.")


def parse_mounts(table: bytes) -> list[Mount]:
    """The mounts in the text of a ``mountinfo`` file."""
    return [_parse(line) for line in table.splitlines() if line]


def _parse(line: bytes) -> Mount:
    # Between the mount's own fields and the file system's there may be any number of tags.
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
    """The mount that the path is on, ``None`` if it is on none of these.

    Walk down the path as the kernel does: the longest mount point may be hidden under a later
    mount that was made above it."""
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
        return Choice("events", "the file system is not known")
    if not events_reach(mount.kind):
        return Choice("poll", f"{mount.kind}: changes made elsewhere raise no events here")
    if mount.kind == "overlay" and _has_open_layer(mount, mounts):
        return Choice("poll", "overlay: changes on its lower side raise no events here")
    for other in mounts:
        if any(_is_at_or_below(path, layer) for layer in _layers(other)):
            where = os.fsdecode(other.point)
            return Choice(
                "poll", f"a layer of the overlay at {where}: writes there raise no events"
            )
    return Choice("events", f"{mount.kind}: changes raise events")


def _layers(mount: Mount) -> Iterator[bytes]:
    """The directories that an overlay is made of, as far as they are named by absolute paths
    (Docker's are not)."""
    if mount.kind != "overlay":
        return
    for option in mount.options:
        key, _, value = option.partition(b"=")
        if key in (b"lowerdir", b"lowerdir+", b"upperdir"):
            # An escaped colon belongs to a name, an empty part comes from a double colon.
            for layer in re.split(rb"(?<!\\):", value):
                if layer.startswith(b"/"):
                    yield layer.replace(b"\\:", b":")


def _has_open_layer(overlay: Mount, mounts: list[Mount]) -> bool:
    """Can the overlay's layers be written to from here? Not in a container, where its layers are
    not reachable, and not on a live system, whose lower layer is read-only."""
    for layer in _layers(overlay):
        mount = find_mount(layer, mounts)
        reachable = os.path.isdir(layer)  # noqa: PTH112 - bytes
        if reachable and mount is not None and b"ro" not in mount.options:
            return True
    return False


def _is_at_or_below(path: bytes, directory: bytes) -> bool:
    return path == directory or path.startswith(directory.rstrip(b"/") + b"/")
