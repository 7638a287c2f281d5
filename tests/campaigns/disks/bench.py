"""The right disk, other disks, and what people do with them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.campaigns.disks.conditions import Conditions, Layout, Story
from tests.campaigns.disks.ledger import Ledger, Picture, numbers
from tests.support.disks import Drive, Drives, write_files

#: Slots 0 and 1 are for what is mounted first.
_COVER_SLOT = 2

Pictures = dict[str, Picture]


class Bench:
    """The disks of one sequence. ``folder`` is what is mirrored, ``point`` where the disk of the
    folder is mounted; ``inside`` the mounted one. ``pictures`` are those of the right disk, by
    their paths below it, ``own`` those that the folder has on the machine's own disk."""

    def __init__(
        self, base: Path, conditions: Conditions, drives: Drives, ledger: Ledger, story: Story
    ) -> None:
        self._conditions = conditions
        self._drives = drives
        self._ledger = ledger
        self._story = story
        self._count = 0
        layout = conditions.layout
        self.folder = base / "photos"
        self.point = self.folder
        if layout is Layout.SUB:
            self.point = base / "disk"
            self.folder = self.point / "pictures"
        elif layout is Layout.BELOW:
            self.point = self.folder / "card"
        self.point.mkdir(parents=True)
        self._prefix = "pictures/" if layout is Layout.SUB else ""
        self.own: Pictures = {}
        if layout is Layout.BELOW:
            self.own = {f"own/{each}.jpg": ledger.new_picture() for each in range(3)}
            _write(self.folder, self.own)
        self.pictures = {
            self._new_path(random.Random(each)): ledger.new_picture()
            for each in range(conditions.pictures)
        }
        self.right = self._make(conditions.kind, self.pictures)
        self.backups: list[tuple[Drive, frozenset[int]]] = []
        self.inside: Drive | None = None
        self._halves: list[Drive] = []
        # With more changes than these the right disk might look like another one.
        self._changes_left = conditions.pictures // 3

    def _make(self, kind: str, pictures: Mapping[str, Picture]) -> Drive:
        return self._drives.make(kind, _data(pictures), _mtimes(pictures))

    def _new_path(self, dice: random.Random) -> str:
        self._count += 1
        directory = dice.choice(("", "DCIM/", "DCIM/100/", "a b/"))
        return f"{self._prefix}{directory}{self._count:04}.jpg"

    @property
    def is_right(self) -> bool:
        """Is the right disk mounted?"""
        return self.inside is self.right

    @property
    def is_backup(self) -> bool:
        """Is an older copy of it mounted?"""
        return any(self.inside is drive for drive, _ in self.backups)

    @property
    def is_half(self) -> bool:
        """Is a disk mounted that has half of its pictures?"""
        return any(self.inside is drive for drive in self._halves)

    # Mounting.

    def unmount(self) -> None:
        """Unmount what is mounted, if anything is."""
        if self.inside is not None:
            self._story.tell(f"  unmount {self.inside}")
            drive, self.inside = self.inside, None
            drive.unmount()

    def mount(self, drive: Drive, slot: int) -> None:
        """Mount this instead of what is mounted."""
        self.unmount()
        self._story.tell(f"  mount {drive} from slot {slot}")
        for backup, has in self.backups:
            if drive is backup and drive.kind.has_id:
                # It has the right disk's ID: nothing but its age tells it from that.
                self._ledger.outdated |= {each.number for each in self.pictures.values()} - has
        drive.mount(self.point, slot)
        self.inside = drive

    def another(self, kind: str) -> Drive:
        """A disk with other pictures."""
        count = self._conditions.pictures
        paths = (self._new_path(random.Random(each)) for each in range(count))
        return self._make(kind, {path: self._foreign() for path in paths})

    def same_names(self) -> Drive:
        """A disk with other pictures that have the same names."""
        return self._make(self._conditions.kind, {path: self._foreign() for path in self.pictures})

    def empty(self, kind: str) -> Drive:
        """A disk without pictures; it has the directory that is the folder, if that is one."""
        return self._drives.make(kind, {f"{self._prefix}read me": b"nothing here"})

    def half(self) -> Drive | None:
        """A disk with copies of half the pictures, and a few others. After it there are no changes
        but additions; after changes there is none (``None``): a disk of which half is known, and
        then another half of the rest, could be any."""
        if self._changes_left < self._conditions.pictures // 3 and not self._halves:
            return None
        self._changes_left = 0
        kept = list(self.pictures.items())[::2]
        others = {self._new_path(random.Random(number)): self._foreign() for number in range(4)}
        self._ledger.mixed |= {picture.number for picture in others.values()}
        self._halves.append(self._make(self._conditions.kind, dict(kept) | others))
        return self._halves[-1]

    def make_backup(self) -> None:
        """Copy the right disk, which is not mounted then."""
        if self.is_right:
            self.unmount()
        has = frozenset(picture.number for picture in self.pictures.values())
        self.backups.append((self.right.clone(), has))
        self._story.tell(f"  {self.backups[-1][0]} is a copy of {self.right}")

    def _foreign(self) -> Picture:
        return self._ledger.new_picture(foreign=True)

    # Editing.

    def edit_here(self, dice: random.Random) -> list[str]:
        """A person adds, edits, renames and deletes pictures in the folder. Returns the paths below
        the folder that something happened to."""
        assert self.is_right
        changed = self._edit(dice, self.point)
        rel_path = self.point.relative_to(self.folder) if self._is_below else Path()
        return [str(rel_path / path.removeprefix(self._prefix)) for path in changed]

    @property
    def _is_below(self) -> bool:
        return self._conditions.layout is Layout.BELOW

    def edit_away(self, dice: random.Random) -> None:
        """The same, on another machine."""
        if self.is_right or self.is_backup:
            # Not while a copy is mounted: the kernel would not mount two disks with one ID.
            self.unmount()
        if self.right.kind.read_only:
            self._edit(dice, None)
            self.right.write(_data(self.pictures), _mtimes(self.pictures))
            return
        with self.right.opened() as root:
            self._edit(dice, root)

    def _edit(self, dice: random.Random, root: Path | None) -> list[str]:
        """Edit the pictures, and the files below ``root``, if there are any."""
        changed: list[str] = []
        for _ in range(dice.randint(1, 3)):
            what = dice.choice(("add", "add", "edit", "rename", "delete"))
            path = dice.choice(sorted(self.pictures))
            if what != "add":
                if not self._changes_left:
                    continue
                self._changes_left -= 1
            match what:
                case "add":
                    path = self._new_path(dice)
                    self._put(path, self._ledger.new_picture(), root)
                case "edit":
                    self._put(path, self._ledger.edit(self.pictures[path]), root)
                case "rename":
                    changed.append(self._rename(path, self._new_path(dice), root))
                case _:
                    self._ledger.deleted.add(self.pictures.pop(path).number)
                    if root is not None:
                        (root / path).unlink()
            self._story.tell(f"  {what} {path}")
            changed.append(path)
        return changed

    def _rename(self, path: str, target: str, root: Path | None) -> str:
        picture = self.pictures[target] = self.pictures.pop(path)
        self._ledger.renamed.add(picture.number)
        if root is not None:
            (root / target).parent.mkdir(parents=True, exist_ok=True)
            (root / path).rename(root / target)
        return target

    def _put(self, path: str, picture: Picture, root: Path | None) -> None:
        self.pictures[path] = picture
        if root is not None:
            _write(root, {path: picture})

    @contextmanager
    def replaced_root(self) -> Iterator[None]:
        """An empty directory is where the folder on the disk was."""
        aside = self.folder.with_name("aside")
        self.folder.rename(aside)
        self.folder.mkdir()
        self._story.tell("  an empty directory is where the folder was")
        yield
        self.folder.rmdir()
        aside.rename(self.folder)
        self._story.tell("  the folder is back")

    @contextmanager
    def covered(self, drive: Drive) -> Iterator[None]:
        """Another disk is mounted over what is mounted."""
        self._story.tell(f"  mount {drive} over it")
        with drive.mounted(self.point, _COVER_SLOT):
            yield
        self._story.tell(f"  unmount {drive}")

    # What is expected.

    def expected(self) -> dict[str, str]:
        """The SHA-256 of every picture, by its path below the folder, once the right disk is
        mounted."""
        rel_path = f"{self.point.relative_to(self.folder)}/" if self._is_below else ""
        on_disk = {
            rel_path + path.removeprefix(self._prefix): picture.sha256
            for path, picture in self.pictures.items()
        }
        return on_disk | {path: picture.sha256 for path, picture in self.own.items()}

    def __str__(self) -> str:
        return f"pictures {numbers(self.pictures.values())}; own {numbers(self.own.values())}"


def _data(pictures: Mapping[str, Picture]) -> dict[str, bytes]:
    return {path: picture.data for path, picture in pictures.items()}


def _mtimes(pictures: Mapping[str, Picture]) -> dict[str, float]:
    return {path: picture.mtime for path, picture in pictures.items()}


def _write(root: Path, pictures: Mapping[str, Picture]) -> None:
    write_files(root, _data(pictures), _mtimes(pictures))
