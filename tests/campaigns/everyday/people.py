"""People, who never stop."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.campaigns.everyday.conditions import FOLDERS, Conditions, Story
from tests.campaigns.everyday.ledger import Ledger
from tests.support.world import fake_picture


def wanted(path: Path) -> bool:
    """Is this a file that snoopsync mirrors? No link, nothing but a regular file."""
    return path.suffix == ".jpg" and path.is_file() and not path.is_symlink()


def is_bad(data: bytes) -> bool:
    """Does the collection refuse it?"""
    return not data.startswith(b"picture")


class People:
    """Two folders, and what is done in them. Each operation says so, first in the ledger, then in
    the story. What has an end (a disk that is mounted, a directory that is out) waits in ``later``.
    """

    def __init__(
        self, home: Path, conditions: Conditions, dice: random.Random, ledger: Ledger, story: Story
    ) -> None:
        self.roots = {name: home / name for name in FOLDERS}
        self.later: list[tuple[str, Callable[[], None]]] = []
        self.operations: Counter[str] = Counter()
        self.last_unseen = 0.0
        self._outside = home / "outside"
        self._dice = dice
        self._ledger = ledger
        self._story = story
        self._conditions = conditions
        self._count = 0
        self._away: set[Path] = set()
        self._covered: set[Path] = set()
        self._links: list[Path] = []
        for root in (*self.roots.values(), self._outside):
            root.mkdir(exist_ok=True)

    @property
    def has_folder_away(self) -> bool:
        """Is a whole folder out of sight?"""
        return bool(self._away)

    @property
    def has_folder_replaced(self) -> bool:
        """Is another directory in the place of a folder that is out of sight?"""
        return any(root.exists() for root in self._away)

    @property
    def has_hidden(self) -> bool:
        """Is anything out of sight that was not deleted?"""
        return bool(self._away or self._covered)

    def do_something(self) -> None:
        """One operation, whatever it is."""
        chosen = list(_OPERATIONS)
        if not self._conditions.only_rescans_find:
            chosen.remove("write_through_link")
        if not self._conditions.with_bad_files:
            chosen.remove("put_something_odd")
        name = self._dice.choices(chosen, [_OPERATIONS[each] for each in chosen])[0]
        if len(self.files()) < 15 and name.startswith(("delete", "take")):
            name = "create"
        self.do(name)

    def do(self, name: str) -> None:
        """This operation. One that is not possible now is none."""
        self.operations[name] += 1
        try:
            getattr(self, name)()
        except OSError as error:
            self._story.tell(f"  {name} failed: {error.strerror}")

    def end_something(self) -> None:
        """End one of the temporary conditions."""
        if self.later:
            _, end = self.later.pop(self._dice.randrange(len(self.later)))
            end()

    def end_everything(self) -> None:
        """Everything that is hidden or moved out comes back."""
        while self.later:
            self.later.pop()[1]()

    # What there is.

    def files(self) -> list[Path]:
        """All pictures that are in sight, in order."""
        return [path for root in self._present() for path in self._walk(root) if wanted(path)]

    def digests(self) -> dict[Path, str]:
        """The SHA-256 of every picture, and of what looks like one."""
        return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in self.files()}

    def bad_files(self) -> set[Path]:
        """The files that the collection does not take."""
        return {path for path in self.files() if is_bad(path.read_bytes())}

    def _present(self) -> list[Path]:
        return [root for root in self.roots.values() if root not in self._away]

    def _walk(self, root: Path) -> Iterator[Path]:
        for path in sorted(root.rglob("*")):
            if not any(cover == path or cover in path.parents for cover in self._covered):
                yield path

    def _directories(self) -> list[Path]:
        """Those that can be moved: nothing is mounted in them."""
        return [
            path
            for root in self._present()
            for path in self._walk(root)
            if path.is_dir()
            and not path.is_symlink()
            and not any(path in cover.parents for cover in self._covered)
        ]

    def _file(self) -> Path:
        files = self.files()
        if not files:
            raise FileNotFoundError(2, "there is none")
        return self._dice.choice(files)

    def _directory(self) -> Path:
        directories = self._directories()
        if not directories:
            raise FileNotFoundError(2, "there is none")
        return self._dice.choice(directories)

    def _fresh(self) -> bytes:
        return fake_picture(self._next(), self._dice.choice((20, 400, 30_000, 200_000)))

    def _next(self) -> int:
        self._count += 1
        return self._count

    def _parent(self) -> Path:
        present = self._present()
        if not present:
            raise FileNotFoundError(2, "the folder does not exist")
        return self._dice.choice([*present, *self._directories()])

    def _new_path(self) -> Path:
        """A path that nothing ever had."""
        number = self._next()
        parent = self._parent()
        if self._dice.random() < 0.2:
            parent = parent / f"d{number}"
        if self._dice.random() < 0.1:
            return parent / os.fsdecode(self._dice.choice(_odd_names(number)))
        return parent / f"{number}.jpg"

    def _say(self, text: str, *paths: Path) -> None:
        home = self._outside.parent
        shown = " -> ".join(str(path.relative_to(home)) for path in paths)
        self._story.tell(f"{text} {shown}")

    # Files.

    def create(self) -> None:
        path = self._new_path()
        self._say("create", path)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(self._fresh())

    def create_in_pieces(self) -> None:
        path, data = self._new_path(), self._fresh()
        self._say("create in pieces", path)
        path.parent.mkdir(exist_ok=True)
        with path.open("wb") as file:
            for start in range(0, len(data), len(data) // 3):
                file.write(data[start : start + len(data) // 3])
                file.flush()
                time.sleep(self._dice.choice((0.0, 0.02, 0.1)))

    def create_twins_of_unicode(self) -> None:
        parent, number = self._parent(), self._next()
        for form in ("NFC", "NFD"):
            path = parent / f"{unicodedata.normalize(form, 'é')}{number}.jpg"
            self._say("create", path)
            path.write_bytes(self._fresh())

    def append(self) -> None:
        path = self._file()
        self._change("append to", path)
        with path.open("ab") as file:
            file.write(b" and more %d" % self._next())

    def truncate(self) -> None:
        path = self._file()
        self._change("truncate", path)
        with path.open("r+b") as file:
            file.truncate(self._dice.choice((19, 25, 60)))
            file.seek(8)
            file.write(b"%09d" % self._next())

    def rewrite(self) -> None:
        path = self._file()
        self._change("rewrite", path)
        path.write_bytes(self._fresh())

    def rewrite_keeping_size_and_time(self) -> None:
        path = self._file()
        self._change("rewrite with the old size and time", path)
        stat = path.stat()
        with path.open("r+b") as file:
            file.write(fake_picture(self._next(), 0)[: stat.st_size])
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    def replace_from_inside(self) -> None:
        path = self._file()
        self._change("replace from inside", path)
        aside = path.with_name(f".{self._next()}.tmp")
        aside.write_bytes(self._fresh())
        aside.replace(path)

    def replace_from_outside(self) -> None:
        path = self._file()
        self._change("replace from outside", path)
        aside = self._outside / "being-saved"
        aside.write_bytes(self._fresh())
        aside.replace(path)

    def rename(self) -> None:
        source, target = self._file(), self._new_path()
        self._ledger.move(source, target)
        self._say("rename", source, target)
        target.parent.mkdir(exist_ok=True)
        source.rename(target)

    def rename_and_make_anew(self) -> None:
        source, target = self._file(), self._new_path()
        self._ledger.move(source, target)
        self._say("rename, and create again", source, target)
        target.parent.mkdir(exist_ok=True)
        source.rename(target)
        source.write_bytes(self._fresh())

    def rename_over(self) -> None:
        source, target = self._file(), self._file()
        self._ledger.touch(source, target)
        self._say("rename over", source, target)
        source.rename(target)

    def rename_and_back(self) -> None:
        source, target = self._file(), self._new_path()
        self._ledger.touch(source)
        self._say("rename, and back", source, target)
        target.parent.mkdir(exist_ok=True)
        source.rename(target)
        time.sleep(self._dice.choice((0.0, 0.03, 0.2)))
        target.rename(source)

    def swap(self) -> None:
        one, other = self._file(), self._file()
        self._ledger.touch(one, other)
        self._say("swap", one, other)
        aside = self._outside / "being-swapped"
        one.rename(aside)
        if one != other:
            other.rename(one)
        aside.rename(other)

    def copy(self) -> None:
        source, target = self._file(), self._new_path()
        self._ledger.copy(source)
        self._say("copy", source, target)
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(source, target)

    def copy_over(self) -> None:
        source, target = self._file(), self._file()
        if source != target:
            self._ledger.copy(source)
            self._change("copy over", target)
            shutil.copyfile(source, target)

    def touch(self) -> None:
        path = self._file()
        self._say("touch", path)
        os.utime(path)

    def delete(self) -> None:
        path = self._file()
        self._change("delete", path)
        path.unlink()

    def delete_and_make_anew(self) -> None:
        path = self._file()
        self._change("delete, and create again", path)
        path.unlink()
        path.write_bytes(self._fresh())

    def write_through_link(self) -> None:
        """A hard link outside of the folders, through which a picture is written to later."""
        if self._links and self._dice.random() < 0.6:
            link = self._dice.choice(self._links)
            inode = link.stat().st_ino
            same = [path for path in self.files() if path.stat().st_ino == inode]
            if self.has_hidden:
                return
            self._change("write through a link to", *same)
            with link.open("r+b") as file:
                file.write(fake_picture(self._next(), 0)[: link.stat().st_size])
            self.last_unseen = time.monotonic()
        else:
            path, link = self._file(), self._outside / f"link{self._next()}"
            self._say("link", path, link)
            link.hardlink_to(path)
            self._links.append(link)

    def forbid_a_file(self) -> None:
        path = self._file()
        self._ledger.touch(path)
        self._forbid(path)

    def put_something_odd(self) -> None:
        """What is no picture: empty, of the wrong kind, or not even a file."""
        path = self._new_path()
        path.parent.mkdir(exist_ok=True)
        match self._dice.choice(("empty", "text", "link", "loop", "pipe", "unwanted", "directory")):
            case "empty":
                self._say("an empty file", path)
                path.touch()
            case "text":
                self._say("no picture", path)
                path.write_bytes(b"no picture %d" % self._next())
            case "link":
                self._say("a link", path)
                path.symlink_to("/etc/hostname")
            case "loop":
                self._say("a loop", path)
                path.symlink_to(".")
            case "pipe":
                self._say("a FIFO", path)
                os.mkfifo(path)
            case "unwanted":
                self._say("unwanted", path.with_suffix(".txt"))
                path.with_suffix(".txt").touch()
            case "directory":
                self._say("a directory", path)
                path.mkdir()

    # Directories.

    def create_tree(self) -> None:
        """Made where it is, or elsewhere and moved in when it is full."""
        target = self._parent() / f"d{self._next()}"
        made = self._dice.choice((target, self._outside / target.name, target.with_suffix(".new")))
        self._say("create a tree at", made, target)
        for depth in ("", "x", "x/y"):
            (made / depth).mkdir()
            for _ in range(self._dice.randrange(3)):
                (made / depth / f"{self._next()}.jpg").write_bytes(self._fresh())
        if made != target:
            made.rename(target)
            (target / "x" / f"{self._next()}.jpg").write_bytes(self._fresh())

    def copy_tree(self) -> None:
        source = self._directory()
        if len(list(source.rglob("*"))) > 30 or len(source.parts) > 40:
            return
        target = self._parent() / f"d{self._next()}"
        if source in (target.parent, *target.parent.parents):
            return
        self._ledger.copy(source)
        self._say("copy the tree", source, target)
        shutil.copytree(source, target, symlinks=True, ignore=_pipes)

    def move_directory(self) -> None:
        source, parent = self._directory(), self._parent()
        if source != parent and source not in parent.parents:
            target = parent / f"d{self._next()}"
            self._ledger.move(source, target)
            self._say("move the directory", source, target)
            source.rename(target)

    def move_directory_and_make_anew(self) -> None:
        source = self._directory()
        self.move_directory()
        if not source.exists():
            self._say("create the directory again", source)
            source.mkdir()
            (source / f"{self._next()}.jpg").write_bytes(self._fresh())

    def take_directory_out(self) -> None:
        """It may be written to outside, and comes back, to where it was or elsewhere."""
        source, aside = self._directory(), self._outside / f"out{self._next()}"
        self._ledger.touch(source)
        self._say("take out", source, aside)
        source.rename(aside)
        inside = sorted(path for path in aside.rglob("*.jpg") if wanted(path))
        if inside and self._dice.random() < 0.5:
            self._say("write to it outside", inside[0])
            inside[0].write_bytes(self._fresh())

        def come_back() -> None:
            target = source if self._dice.random() < 0.5 else self._parent() / f"d{self._next()}"
            if not target.exists() and target.parent.is_dir() and self._is_in_sight(target):
                self._say("come back", aside, target)
                aside.rename(target)

        if self._dice.random() < 0.7:
            self.later.append(("out", come_back))

    def delete_tree(self) -> None:
        path = self._directory()
        self._change("delete the tree", path)
        shutil.rmtree(path)

    def forbid_a_directory(self) -> None:
        path = self._directory()
        self._ledger.hide()
        self._forbid(path)

    # Folders.

    def take_folder_away(self) -> None:
        """The folder is away, or another directory is in its place. One at a time, so that people
        have something to do."""
        root = self._dice.choice(list(self.roots.values()))
        if self._away or any(root in cover.parents for cover in self._covered):
            return
        aside = self._outside / f"away-{root.name}"
        self._ledger.hide()
        self._away.add(root)
        replaced = self._dice.random() < 0.5
        self._say("replace the folder" if replaced else "take the folder away", root)
        root.rename(aside)
        if replaced:
            root.mkdir()

        def come_back() -> None:
            self._say("the folder comes back", root)
            if root.exists():
                root.rmdir()
            aside.rename(root)
            self._away.discard(root)

        self.later.append(("away", come_back))

    def mount_over(self) -> None:
        """Another file system is mounted over a directory, or over a folder."""
        where = self._parent()
        if os.geteuid() != 0:
            self._say("only root can mount over", where)
            return
        is_folder = where in self.roots.values()
        if (is_folder and self._away) or any(where in cover.parents for cover in self._covered):
            return
        self._ledger.hide()
        (self._away if is_folder else self._covered).add(where)
        self._say("mount over", where)
        _mount(where)

        def unmount() -> None:
            self._say("unmount", where)
            _unmount(where)
            (self._away if is_folder else self._covered).discard(where)

        self.later.append(("mount", unmount))

    # Helpers of these.

    def _change(self, text: str, *paths: Path) -> None:
        self._ledger.touch(*paths)
        self._say(text, *paths)

    def _forbid(self, path: Path) -> None:
        mode = path.stat().st_mode
        self._say("forbid", path)
        path.chmod(0)
        inode = path.stat().st_ino

        def allow() -> None:
            for root in (*self.roots.values(), self._outside):
                for each in root.rglob("*"):
                    if each.lstat().st_ino == inode:
                        self._say("allow", each)
                        each.chmod(mode)
                        return

        self.later.append(("forbid", allow))

    def _is_in_sight(self, path: Path) -> bool:
        hidden = (*self._away, *self._covered)
        return not any(each == path or each in path.parents for each in hidden)


#: The operations, and how often they are chosen.
_OPERATIONS: dict[str, int] = {
    "create": 20,
    "create_in_pieces": 4,
    "create_twins_of_unicode": 2,
    "append": 4,
    "truncate": 3,
    "rewrite": 4,
    "rewrite_keeping_size_and_time": 2,
    "replace_from_inside": 4,
    "replace_from_outside": 4,
    "rename": 12,
    "rename_and_make_anew": 4,
    "rename_over": 3,
    "rename_and_back": 3,
    "swap": 4,
    "copy": 6,
    "copy_over": 2,
    "touch": 4,
    "delete": 8,
    "delete_and_make_anew": 3,
    "write_through_link": 4,
    "forbid_a_file": 2,
    "put_something_odd": 3,
    "create_tree": 3,
    "copy_tree": 2,
    "move_directory": 7,
    "move_directory_and_make_anew": 3,
    "take_directory_out": 4,
    "delete_tree": 2,
    "forbid_a_directory": 2,
    "take_folder_away": 6,
    "mount_over": 4,
}


def _odd_names(number: int) -> list[bytes]:
    return [
        b"not utf-8 \xff %d.jpg" % number,
        b"new\nline %d.jpg" % number,
        (b"%d-" % number).ljust(251, b"n") + b".jpg",
        b"-rf %d.jpg" % number,
    ]


def _pipes(directory: str, names: list[str]) -> list[str]:
    return [name for name in names if (Path(directory) / name).is_fifo()]


def _mount(where: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", where], check=True)


def _unmount(where: Path) -> None:
    # Lazily where it is in use: it is hidden in any case.
    done = subprocess.run(["umount", where], check=False, capture_output=True)
    if done.returncode:
        subprocess.run(["umount", "-l", where], check=True)
