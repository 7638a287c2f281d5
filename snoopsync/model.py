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


class Place(NamedTuple):
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

    def __str__(self) -> str:
        return f"{self.folder}/{printable(self.path)}"


def printable(path: bytes) -> str:
    """The path for a person or a log: on one line, whatever bytes are in it."""
    text = os.fsdecode(path)
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )


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
        return cls(stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


def image_ids(owner: str, place: Place) -> Iterator[str]:
    """The IDs that a picture at this place may get, the first one first, without end.

    The first is the place's own; the next ones are for when it is still taken by a picture that
    was renamed away.
    """
    number = 0
    while True:
        digest = hashlib.sha256(b"\0".join((place.folder.encode(), place.path, b"%d" % number)))
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


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What the collection is known to hold for an image: the file that was sent."""

    fingerprint: Fingerprint
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Record:
    """What the state file knows of one image.

    ``confirmed`` is ``None`` from when the ID is given until the collection has answered.
    ``displaced`` says that the file at ``place`` is another picture by now: this one is gone.
    ``tried`` is the file that was refused, ``retry_at`` (seconds, Unix time) when to ask again.
    """

    image_id: str
    place: Place
    confirmed: Confirmed | None = None
    displaced: bool = False
    tried: Fingerprint | None = None
    retry_at: float | None = None
    approved: bool = False
