"""The basic values: paths, fingerprints, image IDs, observations and records.

Paths below a folder are ``bytes``, as in the file system: a name need not be UTF-8.
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

#: Bytes of SHA-256 in an image ID: 160 bits, so that two paths never get the same ID by chance.
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
        """The path as a ``str``: bytes that are not UTF-8 become surrogates, which ``os.fsencode``
        turns back into bytes."""
        return os.fsdecode(self.path)

    @property
    def full_text(self) -> str:
        """The folder's name and the path below it as in ``text``."""
        return f"{self.folder}/{self.text}"

    def __str__(self) -> str:
        return f"{self.folder}/{printable(self.path)}"


def path_keys(rel_path: RelPath | None) -> dict[str, str | None]:
    """The path as keys of JSON and of events; ``None`` for both if there is no path."""
    if rel_path is None:
        return {"folder": None, "path": None}
    return {"folder": rel_path.folder, "path": rel_path.text}


def printable(path: bytes | str) -> str:
    """The path or text as one printable line, with all other characters escaped."""
    text = os.fsdecode(path)
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )


#: SQLite's integers have 64 bits and a sign. The inode number of some network file systems is
#: larger, and so is a time after the year 2262.
_INT64_END = 1 << 63

#: A fingerprint's four numbers as a plain tuple, which is faster to compare.
FingerprintKey = tuple[int, int, int, int]


class Fingerprint(NamedTuple):
    """Four numbers of ``lstat``. While they are unchanged, the file's bytes are unchanged.

    ``ctime_ns`` changes even if a file is rewritten with the same size and its mtime is restored.
    """

    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, stat: os.stat_result) -> Fingerprint:
        """The fingerprint of an ``os.stat_result``."""
        return cls(*fingerprint_key(stat))

    def same_file(self, other: Fingerprint) -> bool:
        """Returns whether all numbers but the ctime are equal: a rename changes the ctime."""
        return self[:3] == other[:3]


def fingerprint_key(stat: os.stat_result) -> FingerprintKey:
    """The numbers of a fingerprint, each wrapped to 64 bits."""
    return wrapped((stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))


def wrapped(key: FingerprintKey) -> FingerprintKey:
    """The numbers of a fingerprint, each wrapped to 64 bits."""
    inode, size, mtime_ns, ctime_ns = key
    if inode < _INT64_END and mtime_ns < _INT64_END and ctime_ns < _INT64_END:
        return key
    return int64(inode), size, int64(mtime_ns), int64(ctime_ns)


def int64(number: int) -> int:
    """The number, wrapped to a signed integer of 64 bits."""
    return (number + _INT64_END) % (2 * _INT64_END) - _INT64_END


def image_ids(owner: str, rel_path: RelPath) -> Iterator[str]:
    """An endless series of the IDs for pictures at this path.

    A new picture gets the first ID that is free: pictures that were renamed away from the path keep
    theirs.
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
    """Returns whether the image belongs to this owner, so that snoopsync may change it."""
    return image_id.startswith(f"{owner}.")


class ImageState(StrEnum):
    """The state of an image."""

    SYNCED = "synced"
    PENDING = "pending"
    FAILED = "failed"
    HELD = "held"


class FolderState(StrEnum):
    """The state of a folder. Only ``ok`` means that the folder is known to be mirrored."""

    OK = "ok"
    SCANNING = "scanning"
    MISSING = "missing"
    HELD = "held"
    UNWATCHED = "unwatched"


#: The ``submount`` of a file that is on another mount than its folder, if the mount has no number
#: yet.
UNNUMBERED = 1


@dataclass(frozen=True, slots=True)
class File:
    """A regular file exists. ``submount``: 0 if it is on the same mount as the folder, otherwise
    the number that ``Submounts`` gives to its mount."""

    fingerprint: Fingerprint
    submount: int = 0


@dataclass(frozen=True, slots=True)
class Gone:
    """The file does not exist. This is certain: its directories are unchanged and can be listed."""


@dataclass(frozen=True, slots=True)
class Unclear:
    """Whether the file exists is unknown. ``reason``: why, for people."""

    reason: str


Observation = File | Gone | Unclear


@dataclass(frozen=True, slots=True)
class Record:
    """What the state file stores about one image.

    ``seen``: the file's fingerprint at its last plan, whether or not the file was sent since.
    ``submount``: the mount that the file was on, as in ``File``. ``sha256``: the digest of the
    bytes that the collection confirmed; ``None`` while the collection does not have the image,
    empty if the bytes are unknown. ``dirty``: an action was planned and is not confirmed, so the
    collection's content is unknown. ``marked_for_deletion``: the deletion is held for approval, or
    is approved and not done.
    """

    image_id: str
    rel_path: RelPath
    seen: Fingerprint
    submount: int = 0
    sha256: bytes | None = None
    dirty: bool = False
    marked_for_deletion: bool = False
