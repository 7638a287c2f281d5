"""Stories: sequences of changes to the files on a disk."""

from __future__ import annotations

import hashlib
import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.support.crashing import Turn
from tests.support.world import DiskFolder, fake_picture

#: A file: its folder's name, and the path below it.
Spot = tuple[str, str]

#: What the collection's other users have there: one image has the bytes of one of ours.
FOREIGN = {"somebody.else": fake_picture(2, 42), "tester-too.1": fake_picture(1_000_000)}


@dataclass
class Story(ABC):
    """Pictures on the disk, and the changes to them, one event at a time.

    A picture is a number, that it keeps when it is renamed, edited or replaced. ``pictures`` says
    which is where; ``seen`` which one had this content at this place, at any time.
    """

    disks: dict[str, DiskFolder]
    pictures: dict[Spot, int] = field(default_factory=dict)
    seen: dict[tuple[str, str], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)
        self._contents = itertools.count(1)
        for spot in self.beginning:
            self._add(spot)
        self._note()
        self._events = self._tell()

    def go_on(self) -> Turn | None:
        """Play the next event. Returns ``None`` after the last one."""
        turn = next(self._events, None)
        self._note()
        return turn

    @property
    @abstractmethod
    def beginning(self) -> Sequence[Spot]:
        """The files before the first event."""

    @abstractmethod
    def _tell(self) -> Iterator[Turn]:
        """The events; each is over when it is yielded."""

    # Events.

    def _add(self, spot: Spot, steps: int | None = None) -> Turn:
        self.disks[spot[0]].write(spot[1], self._fresh())
        self.pictures[spot] = next(self._numbers)
        return Turn([spot], steps=steps)

    def _copy(self, spot: Spot, to: Spot, steps: int | None = None) -> Turn:
        self.disks[to[0]].write(to[1], self.disks[spot[0]].read(spot[1]))
        self.pictures[to] = next(self._numbers)
        return Turn([to], steps=steps)

    def _edit(self, spot: Spot, steps: int | None = None) -> Turn:
        self.disks[spot[0]].write(spot[1], self._fresh())
        return Turn([spot], steps=steps)

    def _replace(self, spot: Spot, steps: int | None = None) -> Turn:
        self.disks[spot[0]].replace(spot[1], self._fresh())
        return Turn([spot], steps=steps)

    def _touch(self, spot: Spot, steps: int | None = None) -> Turn:
        self.disks[spot[0]].touch(spot[1])
        return Turn([spot], steps=steps)

    def _rename(self, spot: Spot, to: Spot, steps: int | None = None) -> Turn:
        self.disks[spot[0]].rename(spot[1], to[1], self.disks[to[0]])
        self.pictures[to] = self.pictures.pop(spot)
        return Turn([spot, to], steps=steps)

    def _swap(self, spot: Spot, other: Spot, steps: int | None = None) -> Turn:
        self.disks[spot[0]].swap(spot[1], other[1])
        pictures = self.pictures
        pictures[spot], pictures[other] = pictures[other], pictures[spot]
        return Turn([spot, other], steps=steps)

    def _remove(self, spot: Spot, steps: int | None = None) -> Turn:
        self.disks[spot[0]].remove(spot[1])
        del self.pictures[spot]
        return Turn([spot], steps=steps)

    def _move_directory(self, path: str, to: str, steps: int | None = None) -> Turn:
        self.disks["photos"].rename(path, to)
        for spot in self._below(path):
            self.pictures["photos", to + spot[1][len(path) :]] = self.pictures.pop(spot)
        return Turn(trees=[("photos", path), ("photos", to)], steps=steps)

    def _remove_directory(self, path: str, steps: int | None = None) -> Turn:
        self.disks["photos"].remove(path)
        for spot in self._below(path):
            del self.pictures[spot]
        return Turn(trees=[("photos", path)], steps=steps)

    def _below(self, path: str) -> list[Spot]:
        return [spot for spot in self.pictures if spot[1].startswith(f"{path}/")]

    def _fresh(self) -> bytes:
        # Each has a size of its own: two writes within one tick of the kernel's clock differ.
        number = next(self._contents)
        return fake_picture(number, 40 + number)

    def _note(self) -> None:
        for (name, path), picture in self.pictures.items():
            digest = hashlib.sha256(self.disks[name].read(path)).hexdigest()
            self.seen[f"{name}/{path}", digest] = picture


class EverydayLife(Story):
    """A little of everything that people do to pictures."""

    beginning = (
        ("photos", "a.jpg"),
        ("photos", "album/c.jpg"),
        ("photos", "album/d.jpg"),
        ("photos", "b.jpg"),
        ("photos", "trip/e.jpg"),
        ("scans", "s.jpg"),
    )

    def _tell(self) -> Iterator[Turn]:
        photos = "photos"
        yield self._copy((photos, "a.jpg"), (photos, "copy.jpg"))
        yield self._edit((photos, "b.jpg"))
        yield self._add((photos, "new.jpg"), steps=1)
        yield self._replace((photos, "album/c.jpg"))
        yield self._rename((photos, "album/d.jpg"), (photos, "album/dd.jpg"), steps=1)
        yield self._add((photos, "album/d.jpg"))
        yield self._move_directory("album", "archive/album", steps=1)
        yield self._add((photos, "late.jpg"), steps=2)
        yield self._remove((photos, "trip/e.jpg"), steps=1)
        yield self._remove((photos, "copy.jpg"), steps=1)
        yield self._add((photos, "trip/f.jpg"))
        yield self._copy((photos, "b.jpg"), (photos, "twin.jpg"), steps=1)
        yield self._rename((photos, "twin.jpg"), (photos, "moved-twin.jpg"))
        yield self._swap((photos, "a.jpg"), (photos, "new.jpg"), steps=2)
        yield self._rename((photos, "archive/album/dd.jpg"), ("scans", "dd.jpg"))
        yield self._touch(("scans", "dd.jpg"), steps=1)
        yield self._replace(("scans", "s.jpg"), steps=1)
        yield self._remove_directory("archive")


class Loss(Story):
    """Pictures disappear one after the other, and a new one appears."""

    beginning = tuple(("photos", f"{number}.jpg") for number in range(8))

    def _tell(self) -> Iterator[Turn]:
        yield self._remove(("photos", "0.jpg"))
        yield self._remove(("photos", "1.jpg"), steps=2)
        yield self._remove(("photos", "2.jpg"))
        yield self._remove(("photos", "3.jpg"), steps=1)
        yield self._add(("photos", "new.jpg"), steps=1)
        yield self._remove(("photos", "4.jpg"), steps=3)
        yield self._remove(("photos", "5.jpg"))
