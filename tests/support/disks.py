"""Real disks for tests: file systems in image files, on loop devices, with and without FUSE.

    with Drives(tmp_path) as drives:
        card = drives.make("exfat", {"DCIM/a.jpg": picture})
        with card.mounted(folder):
            ...
        backup = card.clone()
        backup.mount(folder, slot=1)

A slot is a device number: whatever is mounted from slot 0 has the same one (where the kernel gives
out such numbers by itself: nearly always), whatever is mounted from slot 1 has another.

Nothing is left over. Mounts are in a namespace of the process, a FUSE program dies with it, and a
loop device is free when the last one closes it.
"""

from __future__ import annotations

import errno
import functools
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest

from snoopsync.folders.disk import Disk
from tests.support.loops import LoopDevice, use_private_mounts

#: For a drive that is mounted out of snoopsync's sight, whatever is in the other slots.
_UNSEEN_SLOT = -1

_SFTP_SERVER = Path("/usr/lib/openssh/sftp-server")

_MOUNT_SECONDS = 10.0
_UNMOUNT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file system.

    ``make``: the command that makes one in an image file. ``fuse``: the program that mounts it, in
    the foreground, if the kernel does not. ``size_bytes`` is 0 for one that has no image file: then
    the drive is a directory. ``has_id``: it has an ID of its own, which it keeps wherever it is
    mounted.
    """

    name: str
    size_bytes: int = 0
    make: tuple[str, ...] = ()
    fuse: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    has_id: bool = False
    read_only: bool = False

    def __str__(self) -> str:
        return self.name


_MIB = 1 << 20

KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("ext4", 16 * _MIB, ("mkfs.ext4", "-q", "-O", "^has_journal"), has_id=True),
        Kind("btrfs", 112 * _MIB, ("mkfs.btrfs", "-q"), has_id=True),
        Kind("xfs", 300 * _MIB, ("mkfs.xfs", "-q", "-f"), has_id=True),
        Kind("vfat", 8 * _MIB, ("mkfs.vfat",)),
        Kind(
            "exfat",
            8 * _MIB,
            ("mkfs.exfat",),
            ("mount.exfat-fuse", "-d", "-o", "noatime,nonempty"),
        ),
        Kind("ntfs", 8 * _MIB, ("mkntfs", "-q", "-Q", "-F"), ("ntfs-3g", "-o", "no_detach")),
        # Made from a directory, as large as needed; size_bytes only says that there is an image.
        Kind("squashfs", 1, tools=("mksquashfs",), read_only=True),
        Kind("overlay", has_id=True),
        Kind("bind", has_id=True),
        Kind("bindfs", fuse=("bindfs", "-f", "-o", "nonempty")),
        Kind("sshfs", fuse=("sshfs", "-f")),
    )
}


@functools.cache
def why_not(name: str) -> str | None:
    """Why no drive of this kind can be mounted here; ``None`` if one can. It is tried."""
    kind = KINDS[name]
    if os.geteuid() != 0:
        return "only root may mount a file system"
    tools = (*kind.make[:1], *kind.fuse[:1], *kind.tools)
    for tool in tools:
        if shutil.which(tool) is None:
            return f"there is no {tool}"
    if kind.fuse and not Path("/dev/fuse").exists():
        return "there is no /dev/fuse"
    if name == "sshfs" and not _SFTP_SERVER.exists():
        return "there is no sftp-server"
    with tempfile.TemporaryDirectory() as base:
        point = Path(base, "point")
        point.mkdir()
        try:
            with Drives(Path(base)) as drives, drives.make(name, {"a": b"a"}).mounted(point):
                return None
        except OSError as error:
            return f"{name} can't be mounted here: {error}"


def require(name: str) -> Kind:
    """The kind. Skips the test if it cannot be mounted here."""
    reason = why_not(name)
    if reason is not None:
        pytest.skip(reason)
    return KINDS[name]


class Drives:
    """The drives of one test, and the slots that they are plugged into. A context manager: in the
    end all of them are unmounted."""

    def __init__(self, base: Path) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="drives-", dir=base))
        self._stack = ExitStack()
        self._slots: dict[int, LoopDevice] = {}
        self._blanks: dict[str, Path] = {}
        self._count = 0
        use_private_mounts()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()
        for slot in self._slots.values():
            slot.release()
        shutil.rmtree(self.base, ignore_errors=True)

    def make(
        self,
        name: str,
        files: Mapping[str, bytes] | None = None,
        mtimes: Mapping[str, float] | None = None,
    ) -> Drive:
        """A new drive with these files, by their paths; ``mtimes`` are those that are not now, as
        Unix time. Raises ``OSError`` where it can't be made. Two drives of a kind have different
        IDs."""
        drive = self._add(KINDS[name])
        drive._format(files or {}, mtimes)
        return drive

    def _add(self, kind: Kind) -> Drive:
        self._count += 1
        drive = Drive(self, kind, self.base / f"{kind.name}-{self._count}")
        self._stack.callback(drive.unmount)
        return drive

    def _slot(self, number: int) -> LoopDevice:
        if number not in self._slots:
            self._slots[number] = LoopDevice(self.base)
        return self._slots[number]

    def _abandon(self, device: LoopDevice) -> None:
        """Use this device no more: somebody keeps it busy."""
        self._slots = {slot: each for slot, each in self._slots.items() if each is not device}
        self._stack.callback(device.release)

    def _place(self, name: str) -> Path:
        self._count += 1
        rel_path = self.base / f"{name}-{self._count}"
        rel_path.mkdir()
        return rel_path


class Drive:
    """One disk. ``point`` is where it is mounted. Made by ``Drives``."""

    def __init__(self, drives: Drives, kind: Kind, path: Path) -> None:
        self.kind = kind
        self.point: Path | None = None
        self._drives = drives
        self._path = path
        self._fuse: subprocess.Popen[bytes] | None = None
        self._slot: LoopDevice | None = None
        self._fillers: list[Path] = []

    def __repr__(self) -> str:
        return self._path.name

    # Making.

    def clone(self) -> Drive:
        """A copy of the drive, byte for byte, that has its ID too: a backup. Not of a mounted one:
        its last changes may not be written yet."""
        assert self.point is None, f"{self} is mounted"
        other = self._drives._add(self.kind)
        if self._path.is_dir():
            shutil.rmtree(other._path, ignore_errors=True)
            # With the extended attributes: an overlay keeps its ID in one.
            _run("cp", "-a", self._path, other._path)
        else:
            _run("cp", "--sparse=always", self._path, other._path)
        return other

    @contextmanager
    def opened(self) -> Iterator[Path]:
        """Mount the drive out of snoopsync's sight during the ``with``. Yields the mount point."""
        with self.mounted(self._drives._place("opened"), _UNSEEN_SLOT) as root:
            yield root

    def write(self, files: Mapping[str, bytes], mtimes: Mapping[str, float] | None = None) -> None:
        """Write these files while the drive is not mounted in a folder. A read-only drive is
        formatted again, and then contains only these files."""
        assert self.point is None, f"{self} is mounted"
        if self.kind.read_only:
            self._format(files, mtimes)
            return
        with self.opened() as root:
            write_files(root, files, mtimes)

    def _format(self, files: Mapping[str, bytes], mtimes: Mapping[str, float] | None) -> None:
        if self.kind.size_bytes == 0:
            for directory in ("files", "work"):
                (self._path / directory).mkdir(parents=True)
        elif self.kind.name == "squashfs":
            source = self._drives._place("source")
            write_files(source, files, mtimes)
            _run("mksquashfs", source, self._path, "-quiet", "-noappend", "-no-progress")
            return
        else:
            with self._path.open("wb") as image:
                image.truncate(self.kind.size_bytes)
            _run(*self.kind.make, self._path)
        if files:
            self.write(files, mtimes)

    # Mounting.

    @contextmanager
    def mounted(self, point: Path, slot: int = 0) -> Iterator[Path]:
        """Mounted as long as the ``with`` lasts, if the test does not unmount it; where."""
        self.mount(point, slot)
        try:
            yield point
        finally:
            self.unmount()

    def mount(self, point: Path, slot: int = 0) -> None:
        """Plug the drive in and mount it there. Raises ``OSError``."""
        assert self.point is None, f"{self} is mounted"
        self.point = point
        try:
            if self.kind.size_bytes:
                self._mount_image(point, slot)
            else:
                self._take_numbers(slot)
                self._mount_directory(point)
        except BaseException:
            self.unmount()
            raise

    def _mount_image(self, point: Path, slot: int) -> None:
        device = self._drives._slot(slot)
        if device.is_attached:
            raise OSError(errno.EBUSY, f"there is a drive in slot {slot}")
        self._slot = device
        if self.kind.name == "btrfs":
            self._take_numbers(slot)
        descriptor = device.attach(self._path, read_only=self.kind.read_only)
        try:
            if self.kind.fuse:
                self._start(*self.kind.fuse, device.path, point)
            else:
                _run("mount", "-t", self.kind.name, device.path, point)
        finally:
            os.close(descriptor)

    def _mount_directory(self, point: Path) -> None:
        files = self._path / "files"
        match self.kind.name:
            case "overlay":
                lower = self._drives._place("lower")
                options = f"lowerdir={lower},upperdir={files},workdir={self._path / 'work'}"
                _run("mount", "-t", "overlay", "-o", options, "overlay", point)
            case "bind":
                _run("mount", "--bind", files, point)
            case "sshfs":
                # Without a network: the program that sshfs takes for ssh is the server.
                ssh = self._drives.base / "ssh"
                ssh.write_text(f"#!/bin/sh\nexec {_SFTP_SERVER}\n")
                ssh.chmod(0o700)
                self._start(*self.kind.fuse, "-o", f"ssh_command={ssh}", f"test:{files}", point)
            case _:
                self._start(*self.kind.fuse, files, point)

    def _take_numbers(self, count: int) -> None:
        """Mount ``count`` other file systems first: the kernel gives a file system without a block
        device the lowest free number."""
        for _ in range(max(count, 0)):
            filler = self._drives._place("filler")
            _run("mount", "-t", "tmpfs", "-o", "size=64k", "none", filler)
            self._fillers.append(filler)

    def _start(self, *command: str | Path) -> None:
        """Start a FUSE program, and wait until it has mounted. It dies with this process."""
        assert self.point is not None
        before = self.point.stat().st_dev
        self._fuse = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _MOUNT_SECONDS
        while self.point.stat().st_dev == before:
            if self._fuse.poll() is not None or time.monotonic() > deadline:
                raise OSError(f"{command[0]} does not mount ({self._fuse.poll()})")
            time.sleep(0.001)

    def unmount(self) -> None:
        """Unmount the drive and unplug it, if it is mounted; lazily if somebody keeps it busy. Then
        the next drive in its slot gets another number."""
        if self.point is None:
            return
        point, self.point = self.point, None
        _unmount(point)
        if self._fuse is not None:
            with suppress(subprocess.TimeoutExpired):
                self._fuse.wait(_UNMOUNT_SECONDS)
            self._fuse.kill()
            self._fuse.wait()
            self._fuse = None
        for filler in self._fillers:
            _unmount(filler)
        self._fillers.clear()
        if self._slot is not None:
            device, self._slot = self._slot, None
            try:
                device.wait_until_free()
            except TimeoutError:
                self._drives._abandon(device)

    def break_down(self) -> None:
        """Kill the FUSE program of a mounted drive: every access is an error from now on."""
        assert self._fuse is not None, f"{self} has no program"
        self._fuse.kill()
        self._fuse.wait()


def write_files(
    root: Path, files: Mapping[str, bytes], mtimes: Mapping[str, float] | None = None
) -> None:
    """Write these files below a directory, by their paths."""
    for path, data in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        if mtimes is not None and path in mtimes:
            os.utime(target, (mtimes[path], mtimes[path]))


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise OSError(f"{command[0]}: {(done.stderr or done.stdout).strip()}")


def _unmount(point: Path) -> None:
    deadline = time.monotonic() + _UNMOUNT_SECONDS
    while subprocess.run(["umount", point], capture_output=True, check=False).returncode:
        if not os.path.ismount(point) or time.monotonic() > deadline:
            subprocess.run(["umount", "-l", point], capture_output=True, check=False)
            return
        time.sleep(0.01)


def number_of(path: Path) -> int:
    """The number of the file system that a directory is on, as snoopsync tells it."""
    disk = Disk()
    with disk.open_folder(bytes(path)) as root:
        return disk.file_system(root, b"")
