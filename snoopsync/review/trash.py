"""Moves a marked picture to the trash, after a fresh proof that the one to keep exists.

The proof and the move use one open directory: a directory that somebody swaps for a symbolic link
in between redirects neither. What was moved is compared with what was proven, and moved back if it
is something else.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from snoopsync.core.errors import PictureRefused
from snoopsync.core.identity import Identity
from snoopsync.core.model import Fingerprint, printable
from snoopsync.folders.open_folder import OpenFolder, parent_and_name
from snoopsync.review import moving
from snoopsync.review.pictures import KnownPicture, open_file, open_folder
from snoopsync.review.trash_directory import TrashDirectory, path_of, trash_at, trash_for

_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Trashed:
    """A picture that was moved to the trash directory at the path ``trash``, as ``name`` in its
    ``files``."""

    picture: KnownPicture
    trash: bytes
    name: bytes


def move_to_trash(
    marked: KnownPicture,
    keep: KnownPicture,
    home: Path | None,
    now: float,
    record: Callable[[Trashed], None] = lambda _trashed: None,
) -> Trashed:
    """Move the marked picture to the trash of its file system. ``home`` is the trash in the home
    directory (``home_trash``), ``now`` Unix time. ``record`` is called right before the move, and
    stores what ``put_back`` needs. If it raises, nothing is moved.

    Raises ``PictureRefused``, and moves nothing, unless all of this is true now: both files have
    the bytes that were compared, they are two files and not two names of one, and the one to keep
    is still at its path after the move.
    """
    with ExitStack() as stack:
        kept = stack.enter_context(_proven(keep, "the one to keep"))
        proven = stack.enter_context(_proven(marked, "the marked file"))
        if proven.is_file_of(kept):
            raise PictureRefused("it is the file to keep, under another name")
        trash = stack.enter_context(trash_for(proven.directory, home))
        kept.require_unchanged()
        proven.require_unchanged()
        name = _reserve(proven, trash, now)
        try:
            trashed = Trashed(marked, trash.path, name)
            record(trashed)
            _move(proven, trash, name)
        except BaseException:
            trash.release(name)
            raise
        try:
            proven.require_moved(trash, name)
            # The two paths may lead to one file, which only a missing file shows everywhere.
            kept.require_unchanged()
        except PictureRefused as refusal:
            if _move_back(trash, name, proven):
                raise
            where = f"it stays in the trash ({printable(trash.path)})"
            raise PictureRefused(f"{refusal}, and another file is in its place: {where}") from None
    return trashed


def dump(trashed: Trashed) -> str:
    """The trashed picture as text, to be stored."""
    picture = trashed.picture
    values = {
        "image_id": picture.image_id,
        "root": os.fsdecode(picture.root),
        "identity": picture.identity,
        "path": os.fsdecode(picture.path),
        "fingerprint": picture.fingerprint,
        "sha256": (picture.sha256 or b"").hex(),
        "trash": os.fsdecode(trashed.trash),
        "name": os.fsdecode(trashed.name),
    }
    return json.dumps(values)


def load(text: str) -> Trashed:
    """The trashed picture that ``dump`` stored. Raises ``ValueError`` or ``KeyError``."""
    values = json.loads(text)
    picture = KnownPicture(
        values["image_id"],
        os.fsencode(values["root"]),
        None if values["identity"] is None else Identity(*values["identity"]),
        os.fsencode(values["path"]),
        Fingerprint(*values["fingerprint"]),
        bytes.fromhex(values["sha256"]),
    )
    return Trashed(picture, os.fsencode(values["trash"]), os.fsencode(values["name"]))


def put_back(trashed: Trashed) -> None:
    """Move a picture from the trash back to its path. Never overwrites a file. A picture that is
    still at its path, because it was recorded and never moved, stays there.

    Raises ``PictureRefused``, and moves nothing, if the trash does not have its bytes any more, or
    if its directory is gone or has a file of that name.
    """
    picture = trashed.picture
    where = f"it stays in the trash ({printable(trashed.trash)})"
    with trash_at(trashed.trash) as trash, open_folder(picture) as root:
        parent, name = parent_and_name(picture.path)
        try:
            directory = root.directory(parent)
            if not trash.has(trashed.name) and _is_at_path(root, picture):
                trash.release(trashed.name)
                return
            _require_bytes_in_trash(trash, trashed)
            moving.move_out(trash.files, trashed.name, directory, name)
        except FileExistsError:
            raise PictureRefused(f"there is another file in its place: {where}") from None
        except OSError as error:
            raise PictureRefused(f"it cannot be moved back: {error.strerror}: {where}") from None
        trash.release(trashed.name)


@dataclass(slots=True)
class _Proven:
    """An open file whose bytes are those that were compared. ``directory`` is the open directory
    that it is in, and ``path`` its absolute path. ``what`` names it in reasons."""

    what: str
    path: bytes
    directory: int
    name: bytes
    file: BinaryIO
    fingerprint: Fingerprint

    def is_file_of(self, other: _Proven) -> bool:
        """Whether the two are names of one file, by device and inode. A file that is reached
        through another mount may have other numbers, but has the same times to the nanosecond."""
        if os.path.sameopenfile(self.file.fileno(), other.file.fileno()):
            return True
        one, another = os.fstat(self.file.fileno()), os.fstat(other.file.fileno())
        return one.st_dev != another.st_dev and self.fingerprint[1:] == other.fingerprint[1:]

    def require_unchanged(self) -> None:
        """Raises ``PictureRefused`` unless the file at this name is still the one that was read."""
        try:
            here = os.stat(self.name, dir_fd=self.directory, follow_symlinks=False)
        except OSError as error:
            raise PictureRefused(f"{self.what} is gone: {error.strerror}") from None
        is_same = os.path.samestat(here, os.fstat(self.file.fileno()))
        if not is_same or Fingerprint.of(here) != self.fingerprint:
            raise PictureRefused(f"{self.what} changed meanwhile")

    def require_moved(self, trash: TrashDirectory, name: bytes) -> None:
        """Raises ``PictureRefused`` unless the file that was read is in the trash, unchanged."""
        try:
            there = os.stat(name, dir_fd=trash.files, follow_symlinks=False)
        except OSError as error:
            raise PictureRefused(f"{self.what} is not in the trash: {error.strerror}") from None
        is_same = os.path.samestat(there, os.fstat(self.file.fileno()))
        # The move itself changes the ctime.
        if not is_same or not Fingerprint.of(there).same_file(self.fingerprint):
            raise PictureRefused(f"{self.what} changed meanwhile")


@contextmanager
def _proven(picture: KnownPicture, what: str) -> Iterator[_Proven]:
    """The file, whose bytes were read now and are those that were compared."""
    if not picture.sha256:
        raise PictureRefused(f"{what} was never compared")
    with ExitStack() as stack:
        try:
            root = stack.enter_context(open_folder(picture))
            file = stack.enter_context(open_file(root, picture.path))
        except PictureRefused as refusal:
            raise PictureRefused(f"{what}: {refusal}") from None
        parent, name = parent_and_name(picture.path)
        directory = os.dup(root.directory(parent))
        stack.callback(os.close, directory)
        proven = _Proven(
            what,
            path_of(directory).rstrip(b"/") + b"/" + name,
            directory,
            name,
            file,
            Fingerprint.of(os.fstat(file.fileno())),
        )
        if not _has_bytes_of(picture, file, what):
            raise PictureRefused(f"{what} has changed since it was compared")
        proven.require_unchanged()
        yield proven


def _has_bytes_of(picture: KnownPicture, file: BinaryIO, what: str) -> bool:
    """Returns whether this open file has the bytes that were compared. Raises ``PictureRefused``.
    A file of another size is not read, and no more than that size: it may be endless, or grow."""
    left = picture.fingerprint.size
    if os.fstat(file.fileno()).st_size != left:
        return False
    digest = hashlib.sha256()
    try:
        while left and (block := file.read(min(left, _BLOCK_BYTES))):
            digest.update(block)
            left -= len(block)
    except OSError as error:
        raise PictureRefused(f"{what} cannot be read: {error.strerror}") from None
    return digest.digest() == picture.sha256


def _reserve(proven: _Proven, trash: TrashDirectory, now: float) -> bytes:
    """The name that the file gets in the trash."""
    try:
        return trash.reserve(proven.path, now)
    except OSError as error:
        raise _immovable(error) from None


def _move(proven: _Proven, trash: TrashDirectory, name: bytes) -> None:
    """Move the file into the trash."""
    try:
        moving.move_in(proven.directory, proven.name, trash.files, name)
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise PictureRefused("there is no trash on its file system") from None
        raise _immovable(error) from None


def _immovable(error: OSError) -> PictureRefused:
    return PictureRefused(f"it cannot be moved to the trash: {error.strerror or error}")


def _move_back(trash: TrashDirectory, name: bytes, proven: _Proven) -> bool:
    """Undo a move. Returns false if the file stays in the trash, because something else is in its
    place by now. A person can restore it from there."""
    try:
        moving.move_out(trash.files, name, proven.directory, proven.name)
    except OSError:
        return not trash.has(name)
    trash.release(name)
    return True


def _is_at_path(root: OpenFolder, picture: KnownPicture) -> bool:
    """Returns whether the picture's path has its bytes. Raises ``PictureRefused``."""
    try:
        file = open_file(root, picture.path)
    except PictureRefused:
        return False
    with file:
        return _has_bytes_of(picture, file, "the file in its place")


def _require_bytes_in_trash(trash: TrashDirectory, trashed: Trashed) -> None:
    """Raises ``PictureRefused`` unless the trash has the bytes of this picture, and ``OSError``."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(trashed.name, flags, dir_fd=trash.files)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor
        if not _has_bytes_of(trashed.picture, file, "the file in the trash"):
            raise PictureRefused("the file in the trash is another one")
