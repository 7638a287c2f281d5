"""The nouns that snoopsync thinks in: values without behaviour towards the outside.

Paths below a folder are ``bytes``, as the file system has them: a name need not be UTF-8.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

OWNER_PATTERN = re.compile(r"[a-z0-9-]{1,32}")

#: Bytes of SHA-256 in an image ID: 160 bits, so that no two places ever meet by chance.
_ID_HASH_BYTES = 20


class RelPath(NamedTuple):
    """Where a file is: the folder's name, and the path below it with ``/`` between its parts."""

    folder: str
    path: bytes

    @property
    def directory(self) -> bytes:
        """The directory's path below the folder, empty for the folder itself."""
        return self.path.rpartition(b"/")[0]

    @property
    def name(self) -> bytes:
        """The last part of the path."""
        return self.path.rpartition(b"/")[2]

    @property
    def text(self) -> str:
        """The path as Python has it in a ``str``: bytes that are not UTF-8 become surrogates, from
        which ``os.fsencode`` gets them back."""
        return os.fsdecode(self.path)

    @property
    def full_text(self) -> str:
        """The folder's name and, as ``text`` has it, the path below it."""
        return f"{self.folder}/{self.text}"

    def __str__(self) -> str:
        return f"{self.folder}/{printable(self.path)}"


def path_keys(rel_path: RelPath | None) -> dict[str, str | None]:
    """The place as JSON and the log's events have it; nulls for one that is not known."""
    if rel_path is None:
        return {"folder": None, "path": None}
    return {"folder": rel_path.folder, "path": rel_path.text}


def printable(path: bytes | str) -> str:
    """The path, or another text, for a person or a log: on one line, whatever is in it."""
    text = os.fsdecode(path)
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )


#: SQLite's integers are signed and of 64 bits. An inode may be larger (on some network file
#: systems), and so may a time after the year 2262.
_INT64_END = 1 << 63

#: A fingerprint's four numbers, as they are compared a hundred thousand at a time.
FingerprintKey = tuple[int, int, int, int]


class Fingerprint(NamedTuple):
    """What ``lstat`` says of a file: while all four stay, its bytes have stayed.

    ``ctime_ns`` catches a rewrite of the same size whose mtime was put back.
    """

    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, stat: os.stat_result) -> Fingerprint:
        """The fingerprint in an ``os.stat_result``."""
        return cls(*fingerprint_key(stat))

    def same_file(self, other: Fingerprint) -> bool:
        """Alike but for ctime, which a rename changes."""
        return self[:3] == other[:3]


def fingerprint_key(stat: os.stat_result) -> FingerprintKey:
    """The numbers of a fingerprint, each wrapped into 64 bits where it is larger."""
    key = inode, size, mtime_ns, ctime_ns = (
        stat.st_ino,
        stat.st_size,
        stat.st_mtime_ns,
        stat.st_ctime_ns,
    )
    if inode < _INT64_END and mtime_ns < _INT64_END and ctime_ns < _INT64_END:
        return key
    return int64(inode), size, int64(mtime_ns), int64(ctime_ns)


def int64(number: int) -> int:
    """The number, wrapped into 64 bits with a sign where it is larger."""
    return (number + _INT64_END) % (2 * _INT64_END) - _INT64_END


def image_ids(owner: str, rel_path: RelPath) -> Iterator[str]:
    """The IDs that a picture at this place may get, the first one first, without end.

    The first is the place's own; the next ones are for when it is still taken by a picture that
    was renamed away.
    """
    number = 0
    while True:
        digest = hashlib.sha256(
            b"\0".join((rel_path.folder.encode(), rel_path.path, b"%d" % number))
        )
        text = base64.urlsafe_b64encode(digest.digest()[:_ID_HASH_BYTES]).rstrip(b"=").decode()
        yield f"{owner}.{text}"
        number += 1


def owns(owner: str, image_id: str) -> bool:
    """Is this image ours to change?"""
    return image_id.startswith(f"{owner}.")


class ImageState(StrEnum):
    """How far one image is."""

    SYNCED = "synced"
    PENDING = "pending"
    FAILED = "failed"
    HELD = "held"


class FolderState(StrEnum):
    """How a folder is. Only in ``ok`` does the collection mirror it for sure."""

    OK = "ok"
    SCANNING = "scanning"
    MISSING = "missing"
    HELD = "held"
    UNWATCHED = "unwatched"


#: The ``submount`` of a file on another disk than its folder's that nobody has given a number.
UNNUMBERED = 1


@dataclass(frozen=True, slots=True)
class File:
    """A regular file is there. ``submount``: 0 on the mount that the folder itself is on, else the
    number of what is mounted there, as ``Submounts`` gives it."""

    fingerprint: Fingerprint
    submount: int = 0


@dataclass(frozen=True, slots=True)
class Gone:
    """There is no file: proven by directories that are what they were and can be listed."""


@dataclass(frozen=True, slots=True)
class Unclear:
    """Nothing may be concluded; ``reason`` says why, for people."""

    reason: str


Observation = File | Gone | Unclear


@dataclass(frozen=True, slots=True)
class Record:
    """What the state file knows of one image.

    ``seen`` is the file as it was when it was last planned for, whether or not it has been sent
    yet. ``sha256`` is of the bytes that the collection confirmed, ``None`` while it does not hold
    the image, and empty if it holds bytes that nobody here knows. ``dirty`` says that something was
    planned and has not been confirmed: until it is, nobody knows what the collection holds.
    ``submount``: which other mount than the folder's the file was on, as in ``File``.
    ``marked_for_deletion``: its deletion is held, needs approval, or was approved and is not done.
    """

    image_id: str
    rel_path: RelPath
    seen: Fingerprint
    submount: int = 0
    sha256: bytes | None = None
    dirty: bool = False
    marked_for_deletion: bool = False
