"""What people did with their pictures, and which requests that justifies."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.campaigns.disks.conditions import Story
from tests.support.collection_server import CollectionServer, Seen
from tests.support.faults import Fault
from tests.support.world import fake_picture

#: The time of picture 0; each picture is a minute later than the one before, each edit an hour.
#: Real times differ too, and FAT could not tell files apart that a test makes in one second.
_FIRST_MTIME = 1_577_880_000.0


@dataclass(frozen=True, slots=True)
class Picture:
    """One version of one picture. All versions of it have one number."""

    number: int
    version: int = 0

    @property
    def data(self) -> bytes:
        return fake_picture(self.number, 40 + self.version)

    @property
    def mtime(self) -> float:
        return _FIRST_MTIME + 60.0 * self.number + 3600.0 * self.version

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


@dataclass
class Ledger:
    """Judges the collection's own record.

    Each of these is a set of the numbers of pictures. ``deleted``: a person deleted them from the
    right disk, or approved it. ``renamed`` and ``edited``: a person did that to them; to both, and
    nothing tells that the old and the new file are one picture. ``outdated``: an older copy of the
    disk does not have them, and may be taken for the disk itself: where a file system has an ID,
    its copy has the same. ``foreign``: they are on other disks; ``allows_foreign`` says that these
    may be sent. ``mixed``: they are on a disk that has half of the right one's pictures and may be
    taken for it, so they may be sent, and left over in the end until a person approves that they
    go.
    """

    story: Story
    allows_foreign: bool
    deleted: set[int] = field(default_factory=set)
    outdated: set[int] = field(default_factory=set)
    renamed: set[int] = field(default_factory=set)
    edited: set[int] = field(default_factory=set)
    mixed: set[int] = field(default_factory=set)
    foreign: set[int] = field(default_factory=set)
    requests: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    foreign_was_sent: bool = False
    _numbers: dict[str, int] = field(default_factory=dict)
    _count: int = 0

    def new_picture(self, *, foreign: bool = False) -> Picture:
        """A picture that was never there before."""
        self._count += 1
        if foreign:
            self.foreign.add(self._count)
        return self._known(Picture(self._count))

    def edit(self, picture: Picture) -> Picture:
        """A person edits a picture: the next version of it."""
        self.edited.add(picture.number)
        return self._known(Picture(picture.number, picture.version + 1))

    def _known(self, picture: Picture) -> Picture:
        self._numbers[picture.sha256] = picture.number
        return picture

    def number(self, sha256: str) -> int:
        """The number of the picture with these bytes."""
        return self._numbers[sha256]

    def may_be_deleted(self, sha256: str) -> bool:
        """Did a person delete the file that had these bytes?"""
        return self.number(sha256) in self.deleted | self.outdated | (self.renamed & self.edited)

    def may_be_left(self, sha256: str) -> bool:
        """May an image with these bytes and without a file wait for a person in the end?"""
        return self.may_be_deleted(sha256) or self.number(sha256) in self.mixed

    def may_be_stranded(self, sha256: str) -> bool:
        """May an image with these bytes stay in the collection for good, from a disk that was once
        mounted below the folder? An image of another disk may. So may an image whose file a person
        deleted, if another disk's pictures have meanwhile replaced all others: then there is no
        evidence of the disk that it was on."""
        if not self.allows_foreign:
            return False
        if self.number(sha256) in self.foreign:
            return True
        is_lost = self.may_be_left(sha256) or self.number(sha256) in self.renamed
        return self.foreign_was_sent and is_lost

    def watch(self, server: CollectionServer) -> None:
        """Judge every request that this collection gets."""

        def judge(seen: Seen) -> Fault | None:
            if seen.whole and seen.method != "GET" and "/image" in seen.path:
                self.requests[seen.method] += 1
                self._judge(seen, server.contents.get(seen.image_id or ""))
            return None

        server.fault_for = judge

    def _judge(self, seen: Seen, stored: str | None) -> None:
        if seen.method == "DELETE":
            if stored is None:
                return
            number = self.number(stored)
            self.story.tell(f"    DELETE of picture {number}")
            if not self.may_be_deleted(stored):
                self._violate(f"DELETE of picture {number}, which no person deleted")
        elif seen.sha256 in self._numbers:
            number = self.number(seen.sha256)
            self.story.tell(f"    {seen.method} of picture {number}")
            self.foreign_was_sent |= number in self.foreign
            if number in self.foreign and number not in self.mixed and not self.allows_foreign:
                self._violate(f"{seen.method} of picture {number}, which is on another disk")
        else:
            self._violate(f"{seen.method} of bytes that are no picture")

    def _violate(self, text: str) -> None:
        self.story.tell(f"    VIOLATION: {text}")
        self.violations.append(text)


def numbers(pictures: Iterable[Picture]) -> str:
    """The numbers of these pictures, to be read by people."""
    return ", ".join(str(picture.number) for picture in pictures) or "none"
