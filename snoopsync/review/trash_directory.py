"""The trash of the file system that a directory is on, by the freedesktop.org trash
specification 1.0.

It is the trash in the user's home directory if that is on the same file system. Otherwise it is
``.Trash/UID`` in the top directory of the mount, if an administrator has made ``.Trash`` with the
sticky bit, or else ``.Trash-UID`` there. A file is never copied to another file system.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from stat import S_ISVTX
from urllib.parse import quote

from snoopsync.core.errors import PictureRefused, SnoopsyncError
from snoopsync.core.model import printable
from snoopsync.folders.directory_facts import mount_id_of
from snoopsync.runtime.owned_directory import own_directory

#: To look names up in, and never a link.
_LOOKUP = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

#: The bits of a mode by which the group and all others may write.
_OTHERS_MAY_WRITE = 0o022

#: Names have at most 255 bytes on most file systems.
_MOST_NAME_BYTES = 255 - len(b".trashinfo") - len(b" 1000")

#: How many names are tried for one file.
_MOST_NAMES = 1000

_INFO_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class TrashDirectory:
    """An open trash directory: descriptors of its ``files`` and its ``info``. ``top`` is the
    directory that paths in it are relative to; empty for absolute paths."""

    path: bytes
    top: bytes
    files: int
    info: int

    def reserve(self, path: bytes, deleted_at: float) -> bytes:
        """Write the information about the file at this absolute path, which is then in the trash
        under the returned name. ``deleted_at``: Unix time. Raises ``OSError``."""
        shown = path.removeprefix(self.top.rstrip(b"/") + b"/") if self.top else path
        moment = datetime.fromtimestamp(deleted_at).astimezone()
        text = (
            "[Trash Info]\n"
            f"Path={quote(shown)}\n"
            f"DeletionDate={moment.strftime('%Y-%m-%dT%H:%M:%S')}\n"
        )
        for name in _names(path.rpartition(b"/")[2]):
            try:
                descriptor = os.open(name + b".trashinfo", _INFO_FLAGS, 0o600, dir_fd=self.info)
            except FileExistsError:
                continue
            with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
                file.write(text.encode("ascii"))
                file.flush()
                os.fsync(descriptor)
            if not self.has(name):
                return name
            self.release(name)
        raise FileExistsError("the trash has too many files of this name")

    def release(self, name: bytes) -> None:
        """Remove the information about a file that is not in the trash."""
        with suppress(OSError):
            os.unlink(name + b".trashinfo", dir_fd=self.info)

    def has(self, name: bytes) -> bool:
        """Returns whether a file in the trash has this name. Raises ``OSError``."""
        try:
            os.stat(name, dir_fd=self.files, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True


def home_trash() -> Path | None:
    """The trash in the user's home directory; ``None`` if the user has none."""
    data = os.environ.get("XDG_DATA_HOME", "")
    if Path(data).is_absolute():
        return Path(data, "Trash")
    home = os.environ.get("HOME", "")
    return Path(home, ".local/share/Trash") if Path(home).is_absolute() else None


@contextmanager
def trash_for(directory: int, home: Path | None) -> Iterator[TrashDirectory]:
    """The trash for files of this open directory, to be used in a ``with``. It is created if it
    does not exist. ``home`` is the trash in the home directory. Raises ``PictureRefused`` if there
    is none that is safe on this file system."""
    with ExitStack() as stack:
        trash, top_path = _home_trash_for(directory, home), b""
        # Those who can write to the picture's directory can delete the picture anyway. On a file
        # system without permissions that is everybody.
        writers = os.fstat(directory).st_mode & _OTHERS_MAY_WRITE
        if trash is None:
            top = _top_of(directory)
            stack.callback(os.close, top)
            trash, top_path = _trash_of_top(top, writers), path_of(top)
        stack.callback(os.close, trash)
        yield stack.enter_context(_opened(trash, top_path, writers))


def _home_trash_for(directory: int, home: Path | None) -> int | None:
    """The trash in the home directory if it is on the same mount as this directory."""
    if home is None or _device_of(home) != os.fstat(directory).st_dev:
        return None
    try:
        trash = os.open(own_directory(home), _LOOKUP)
    except (OSError, SnoopsyncError) as error:
        raise PictureRefused(f"the trash cannot be used: {error}") from None
    if _mount_of(trash) == _mount_of(directory):
        return trash
    os.close(trash)
    return None


@contextmanager
def trash_at(path: bytes) -> Iterator[TrashDirectory]:
    """The trash at this path, to take a file out of it. Raises ``PictureRefused``."""
    try:
        trash = os.open(path, _LOOKUP)
    except OSError as error:
        raise PictureRefused(f"the trash cannot be opened: {error.strerror}") from None
    with _closing(trash), _opened(trash, b"", _OTHERS_MAY_WRITE) as opened:
        yield opened


@contextmanager
def _opened(trash: int, top: bytes, writers: int) -> Iterator[TrashDirectory]:
    try:
        _require_own(trash, writers)
        files = _own_in(trash, b"files", writers)
        with _closing(files):
            info = _own_in(trash, b"info", writers)
            with _closing(info):
                yield TrashDirectory(path_of(trash), top, files, info)
    except OSError as error:
        raise PictureRefused(f"the trash cannot be used: {error.strerror or error}") from None


def _trash_of_top(top: int, writers: int) -> int:
    """The trash in the top directory of a mount. Raises ``PictureRefused``."""
    uid = b"%d" % os.geteuid()
    with suppress(OSError, PictureRefused):
        shared = os.open(b".Trash", _LOOKUP, dir_fd=top)
        with _closing(shared):
            if os.fstat(shared).st_mode & S_ISVTX:
                return _own_in(shared, uid, writers)
    try:
        return _own_in(top, b".Trash-" + uid, writers)
    except OSError as error:
        raise PictureRefused(
            f"there is no trash on this file system, and {printable(path_of(top))}/.Trash-"
            f"{uid.decode()} cannot be created: {error.strerror}"
        ) from None


def _own_in(parent: int, name: bytes, writers: int) -> int:
    """This directory of the user's own, created if it does not exist. ``writers`` are the bits of a
    mode by which others may write to it. Raises ``OSError`` and ``PictureRefused``."""
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=parent)
    directory = os.open(name, _LOOKUP, dir_fd=parent)
    try:
        _require_own(directory, writers)
    except BaseException:
        os.close(directory)
        raise
    return directory


def _require_own(directory: int, writers: int) -> None:
    status = os.fstat(directory)
    if status.st_uid != os.geteuid() or status.st_mode & _OTHERS_MAY_WRITE & ~writers:
        raise PictureRefused(
            f"the trash cannot be used: others can write to {printable(path_of(directory))}"
        )


def _top_of(directory: int) -> int:
    """A descriptor of the topmost directory of the mount that this directory is on."""
    here = os.open(b".", _LOOKUP, dir_fd=directory)
    mount = _mount_of(here)
    while True:
        above = os.open(b"..", _LOOKUP, dir_fd=here)
        if _mount_of(above) != mount or os.path.sameopenfile(above, here):
            os.close(above)
            return here
        os.close(here)
        here = above


def _mount_of(directory: int) -> tuple[int, int]:
    return os.fstat(directory).st_dev, mount_id_of(directory)


def path_of(directory: int) -> bytes:
    """The absolute path of this open directory now, without links."""
    return os.readlink(b"/proc/self/fd/%d" % directory)  # noqa: PTH115 - as bytes


def _device_of(path: Path) -> int | None:
    """The device of this directory or, if it does not exist, of the first above it that does."""
    for each in (path, *path.parents):
        try:
            return each.stat().st_dev
        except FileNotFoundError:
            continue
        except OSError:
            return None
    return None


def _names(name: bytes) -> Iterator[bytes]:
    """The name, and then the name with numbers before its suffix."""
    stem, dot, suffix = name.rpartition(b".")
    if not stem or len(suffix) > 10:
        stem, dot, suffix = name, b"", b""
    stem = stem[: _MOST_NAME_BYTES - len(dot + suffix)]
    yield stem + dot + suffix
    for number in range(2, _MOST_NAMES + 1):
        yield stem + b" %d" % number + dot + suffix


@contextmanager
def _closing(descriptor: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(descriptor)
