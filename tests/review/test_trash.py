"""Moving to the trash: what is proven before, what is checked after, and how it is undone."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

import pytest

from snoopsync.core.errors import PictureRefused
from snoopsync.review import moving, trash
from snoopsync.review.pictures import KnownPicture
from snoopsync.review.trash import Trashed, dump, load, move_to_trash, put_back
from snoopsync.review.trash_directory import TrashDirectory
from tests.review.known import known
from tests.support.disks import Drives, require
from tests.support.mounting import FRESH, mounted, needs_root

NOW = datetime(2026, 5, 1, 12, 30, 15).astimezone().timestamp()

MARKED, KEEP = b"a copy", b"the original"


@dataclass(frozen=True, slots=True)
class Pair:
    """A marked file and the one to keep, in a folder, and the trash of the home directory."""

    folder: Path
    home: Path
    marked: KnownPicture
    keep: KnownPicture

    @property
    def marked_path(self) -> Path:
        return self.folder / "trip/copy.jpg"

    @property
    def keep_path(self) -> Path:
        return self.folder / "original.jpg"

    def move(
        self, *, marked: KnownPicture | None = None, keep: KnownPicture | None = None
    ) -> Trashed:
        """Move the marked file to the trash, or another one; or keep another one."""
        return move_to_trash(marked or self.marked, keep or self.keep, self.home, NOW)

    def check_nothing_moved(self) -> None:
        assert MARKED in files_in(self.folder).values()
        assert not files_in(self.home)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home/.local/share/Trash"


@pytest.fixture
def pair(tmp_path: Path, home: Path) -> Pair:
    folder = tmp_path / "photos"
    (folder / "trip").mkdir(parents=True)
    (folder / "trip/copy.jpg").write_bytes(MARKED)
    (folder / "original.jpg").write_bytes(KEEP)
    marked = known(folder, "trip/copy.jpg", "nas.copy")
    return Pair(folder, home, marked, known(folder, "original.jpg", "nas.original"))


def files_in(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def test_a_marked_file_is_moved_to_the_trash_of_the_home_directory(pair: Pair) -> None:
    trashed = pair.move()
    assert files_in(pair.folder) == {"original.jpg": KEEP}
    assert files_in(pair.home) == {
        "files/copy.jpg": MARKED,
        "info/copy.jpg.trashinfo": (
            b"[Trash Info]\nPath=" + quote(str(pair.marked_path)).encode() + b"\n"
            b"DeletionDate=2026-05-01T12:30:15\n"
        ),
    }
    for directory in (pair.home, pair.home / "files", pair.home / "info"):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert trashed == Trashed(pair.marked, os.fsencode(pair.home), b"copy.jpg")


def test_files_of_one_name_have_different_names_in_the_trash(pair: Pair) -> None:
    for number in range(3):
        (pair.folder / "copy.jpg").write_bytes(b"%d" % number)
        pair.move(marked=known(pair.folder, "copy.jpg"))
    assert files_in(pair.home / "files") == {
        "copy.jpg": b"0",
        "copy 2.jpg": b"1",
        "copy 3.jpg": b"2",
    }


def test_a_file_without_information_in_the_trash_is_not_overwritten(pair: Pair) -> None:
    for name in ("files", "info"):
        (pair.home / name).mkdir(parents=True, mode=0o700)
    pair.home.chmod(0o700)
    (pair.home / "files/copy.jpg").write_bytes(b"of another program")
    assert pair.move().name == b"copy 2.jpg"
    assert files_in(pair.home)["files/copy.jpg"] == b"of another program"
    assert files_in(pair.home / "info").keys() == {"copy 2.jpg.trashinfo"}


@pytest.mark.parametrize(
    "name", [b"\xff\n \xc3\x28%41'\".jpg", b"-rf", b"x" * 251 + b".jpg", b"." + b"y" * 254, b"a\\b"]
)
def test_any_name_can_be_moved_and_put_back(pair: Pair, name: bytes) -> None:
    path = Path(os.fsdecode(os.fsencode(pair.folder) + b"/" + name))
    path.write_bytes(MARKED)
    trashed = pair.move(marked=known(pair.folder, name))
    (info,) = (pair.home / "info").iterdir()
    line = info.read_bytes().splitlines()[1]
    assert unquote_to_bytes(line.removeprefix(b"Path=")) == os.fsencode(path)
    put_back(load(dump(trashed)))
    assert path.read_bytes() == MARKED
    assert not files_in(pair.home)


# The proof.


def test_the_one_to_keep_must_exist(pair: Pair) -> None:
    pair.keep_path.unlink()
    with pytest.raises(PictureRefused, match="the one to keep: the file is gone"):
        pair.move()
    pair.check_nothing_moved()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("original.jpg", "the one to keep has changed"),
        ("trip/copy.jpg", "the marked file has changed"),
    ],
)
def test_both_files_must_have_the_bytes_that_were_compared(
    pair: Pair, name: str, reason: str
) -> None:
    """Also where size and times are as before."""
    path, before = pair.folder / name, (pair.folder / name).stat()
    path.write_bytes(path.read_bytes().swapcase())
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(PictureRefused, match=reason):
        pair.move()
    assert not files_in(pair.home)
    assert path.exists()


@pytest.mark.parametrize("name", ["trip/copy.jpg", "original.jpg"])
def test_a_file_of_another_size_is_not_read(pair: Pair, name: str) -> None:
    os.truncate(pair.folder / name, 1 << 42)  # takes no space, and hours to read
    with pytest.raises(PictureRefused, match="has changed since it was compared"):
        pair.move()
    assert not files_in(pair.home)


@pytest.mark.parametrize("sha256", [None, b""])
def test_what_was_never_compared_is_not_moved(pair: Pair, sha256: bytes | None) -> None:
    with pytest.raises(PictureRefused, match="was never compared"):
        pair.move(marked=replace(pair.marked, sha256=sha256))
    with pytest.raises(PictureRefused, match="was never compared"):
        pair.move(keep=replace(pair.keep, sha256=sha256))
    pair.check_nothing_moved()


def test_a_hard_link_is_not_a_copy(pair: Pair) -> None:
    os.link(pair.marked_path, pair.folder / "link.jpg")
    for name in ("link.jpg", "trip/copy.jpg"):
        with pytest.raises(PictureRefused, match="under another name"):
            pair.move(marked=known(pair.folder, "trip/copy.jpg"), keep=known(pair.folder, name))
    pair.check_nothing_moved()


@pytest.mark.integration
@needs_root
def test_a_file_behind_a_bind_mount_is_not_a_copy_of_itself(pair: Pair, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with mounted(other, "--bind", pair.folder):
        keep = known(other, "trip/copy.jpg")
        with pytest.raises(PictureRefused, match="under another name"):
            pair.move(keep=keep)
    pair.check_nothing_moved()


def test_links_are_not_followed(pair: Pair, tmp_path: Path) -> None:
    (pair.folder / "trip").rename(tmp_path / "elsewhere")
    (pair.folder / "trip").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PictureRefused, match="the marked file: "):
        pair.move()
    assert files_in(tmp_path / "elsewhere") == {"copy.jpg": MARKED}


# What happens between the proof and the move.


BeforeTheMove = Callable[[Callable[[], None]], None]


@pytest.fixture
def before_the_move(monkeypatch: pytest.MonkeyPatch) -> BeforeTheMove:
    """Takes what happens after the last look, and before the move."""

    def before_the_move(act: Callable[[], None]) -> None:
        move = moving.move_in

        def move_after(source: int, name: bytes, own: int, new_name: bytes) -> None:
            act()
            move(source, name, own, new_name)

        monkeypatch.setattr(moving, "move_in", move_after)

    return before_the_move


def test_a_directory_that_is_swapped_for_a_link_redirects_nothing(
    pair: Pair, tmp_path: Path, before_the_move: BeforeTheMove
) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "copy.jpg").write_bytes(b"of another user")

    def swap() -> None:
        (pair.folder / "trip").rename(pair.folder / "trip-before")
        (pair.folder / "trip").symlink_to(victim)

    before_the_move(swap)
    pair.move()
    assert files_in(victim) == {"copy.jpg": b"of another user"}
    assert files_in(pair.home)["files/copy.jpg"] == MARKED


@pytest.mark.parametrize("how", ["replaced", "written to"])
def test_a_marked_file_that_changes_before_the_move_is_moved_back(
    pair: Pair, before_the_move: BeforeTheMove, how: str
) -> None:
    path = pair.marked_path

    def change() -> None:
        if how == "replaced":
            (pair.folder / "new").write_bytes(b"a new picture")
            (pair.folder / "new").rename(path)
        else:
            path.write_bytes(b"a new picture")

    before_the_move(change)
    with pytest.raises(PictureRefused, match="the marked file changed meanwhile"):
        pair.move()
    assert path.read_bytes() == b"a new picture"
    assert not files_in(pair.home)


def test_a_marked_file_is_moved_back_if_the_one_to_keep_vanishes_before_the_move(
    pair: Pair, before_the_move: BeforeTheMove
) -> None:
    before_the_move(pair.keep_path.unlink)
    with pytest.raises(PictureRefused, match="the one to keep is gone"):
        pair.move()
    pair.check_nothing_moved()


def test_a_marked_file_that_vanishes_before_the_move_leaves_no_information(
    pair: Pair, before_the_move: BeforeTheMove
) -> None:
    before_the_move(pair.marked_path.unlink)
    with pytest.raises(PictureRefused, match="cannot be moved to the trash"):
        pair.move()
    assert not files_in(pair.home)


def test_the_move_back_overwrites_nothing(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file stays in the trash then, with its information, and the person learns that."""

    def require_moved(*_: object) -> None:
        pair.marked_path.write_bytes(b"a new picture")
        raise PictureRefused("refused")

    monkeypatch.setattr(trash._Proven, "require_moved", require_moved)
    with pytest.raises(PictureRefused, match=r"refused, .* it stays in the trash"):
        pair.move()
    assert pair.marked_path.read_bytes() == b"a new picture"
    assert files_in(pair.home)["files/copy.jpg"] == MARKED
    assert "info/copy.jpg.trashinfo" in files_in(pair.home)


# The undo.


def test_a_file_is_put_back(pair: Pair) -> None:
    before = files_in(pair.folder)
    put_back(load(dump(pair.move())))
    assert files_in(pair.folder) == before
    assert not files_in(pair.home)


def test_a_file_that_was_recorded_and_never_moved_stays_in_its_place(pair: Pair) -> None:
    recorded: list[Trashed] = []

    def record(trashed: Trashed) -> None:
        recorded.append(trashed)
        raise PictureRefused("the page stops here")

    before = files_in(pair.folder)
    with pytest.raises(PictureRefused, match="the page stops here"):
        move_to_trash(pair.marked, pair.keep, pair.home, NOW, record)
    pair.check_nothing_moved()
    put_back(recorded[0])
    assert files_in(pair.folder) == before
    pair.marked_path.write_bytes(b"another picture")
    with pytest.raises(PictureRefused, match="cannot be moved back"):
        put_back(recorded[0])


def test_putting_back_overwrites_nothing(pair: Pair) -> None:
    trashed = pair.move()
    pair.marked_path.write_bytes(b"a new picture")
    with pytest.raises(PictureRefused, match="another file in its place: it stays in the trash"):
        put_back(trashed)
    assert pair.marked_path.read_bytes() == b"a new picture"
    assert files_in(pair.home)["files/copy.jpg"] == MARKED


@pytest.mark.parametrize("what", ["gone", "another file", "a link"])
def test_only_the_bytes_that_were_moved_are_put_back(pair: Pair, tmp_path: Path, what: str) -> None:
    trashed = pair.move()
    trashed_path = pair.home / "files/copy.jpg"
    trashed_path.unlink()
    if what == "another file":
        trashed_path.write_bytes(b"another file")
    elif what == "a link":
        (tmp_path / "target").write_bytes(MARKED)
        trashed_path.symlink_to(tmp_path / "target")
    with pytest.raises(PictureRefused):
        put_back(trashed)
    assert not pair.marked_path.exists()


def test_a_file_whose_directory_is_gone_stays_in_the_trash(pair: Pair) -> None:
    trashed = pair.move()
    (pair.folder / "trip").rmdir()
    with pytest.raises(PictureRefused, match="it stays in the trash"):
        put_back(trashed)
    assert files_in(pair.home)["files/copy.jpg"] == MARKED


def test_no_file_is_put_back_into_a_directory_that_became_a_link(
    pair: Pair, tmp_path: Path
) -> None:
    trashed = pair.move()
    (pair.folder / "trip").rename(tmp_path / "elsewhere")
    (pair.folder / "trip").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PictureRefused, match="cannot be moved back"):
        put_back(trashed)
    assert not files_in(tmp_path / "elsewhere")


# Which trash.


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, with a folder on it."""
    point = tmp_path / "disk"
    point.mkdir()
    with mounted(point, *FRESH):
        point.chmod(0o755)
        (point / "photos/trip").mkdir(parents=True)
        (point / "photos/trip/copy.jpg").write_bytes(MARKED)
        (point / "photos/original.jpg").write_bytes(KEEP)
        yield point


def on(disk: Path) -> tuple[KnownPicture, KnownPicture]:
    return known(disk / "photos", "trip/copy.jpg"), known(disk / "photos", "original.jpg")


@pytest.mark.integration
@needs_root
def test_on_another_file_system_the_trash_is_in_its_top_directory(disk: Path, home: Path) -> None:
    trashed = move_to_trash(*on(disk), home, NOW)
    own = disk / f".Trash-{os.geteuid()}"
    assert files_in(own).keys() == {"files/copy.jpg", "info/copy.jpg.trashinfo"}
    assert b"Path=photos/trip/copy.jpg\n" in files_in(own)["info/copy.jpg.trashinfo"]
    assert stat.S_IMODE(own.stat().st_mode) == 0o700
    assert not home.exists()
    put_back(trashed)
    assert files_in(disk / "photos") == {"original.jpg": KEEP, "trip/copy.jpg": MARKED}


@pytest.mark.integration
@needs_root
def test_the_trash_that_an_administrator_made_is_used(disk: Path, home: Path) -> None:
    (disk / ".Trash").mkdir()
    (disk / ".Trash").chmod(0o1777)
    move_to_trash(*on(disk), home, NOW)
    assert "files/copy.jpg" in files_in(disk / ".Trash" / str(os.geteuid()))


@pytest.mark.integration
@needs_root
@pytest.mark.parametrize("what", ["not sticky", "a link", "a file", "of another user"])
def test_an_unsafe_shared_trash_is_not_used(
    disk: Path, home: Path, tmp_path: Path, what: str
) -> None:
    shared = disk / ".Trash"
    if what == "a file":
        shared.touch()
    elif what == "a link":
        (tmp_path / "target").mkdir()
        (tmp_path / "target").chmod(0o1777)
        shared.symlink_to(tmp_path / "target")
    else:
        shared.mkdir()
        shared.chmod(0o777 if what == "not sticky" else 0o1777)
        if what == "of another user":
            (shared / str(os.geteuid())).mkdir()
            os.chown(shared / str(os.geteuid()), 65534, 65534)
    move_to_trash(*on(disk), home, NOW)
    assert "files/copy.jpg" in files_in(disk / f".Trash-{os.geteuid()}")


@pytest.mark.integration
@needs_root
@pytest.mark.parametrize("what", ["a link", "a file", "of another user", "writable"])
def test_without_a_safe_trash_nothing_is_moved(
    disk: Path, home: Path, tmp_path: Path, what: str
) -> None:
    own = disk / f".Trash-{os.geteuid()}"
    if what == "a file":
        own.touch()
    elif what == "a link":
        (tmp_path / "target").mkdir()
        own.symlink_to(tmp_path / "target")
    else:
        own.mkdir()
        own.chmod(0o777 if what == "writable" else 0o700)
        if what == "of another user":
            os.chown(own, 65534, 65534)
    with pytest.raises(PictureRefused, match="trash"):
        move_to_trash(*on(disk), home, NOW)
    assert files_in(disk / "photos") == {"original.jpg": KEEP, "trip/copy.jpg": MARKED}
    assert not files_in(tmp_path / "home")


@pytest.mark.integration
@needs_root
def test_no_file_is_copied_to_another_file_system(pair: Pair, disk: Path) -> None:
    """The one to keep may be on another one."""
    trashed = pair.move(keep=on(disk)[1])
    assert trashed.trash == os.fsencode(pair.home)


@pytest.mark.integration
@needs_root
def test_a_bind_mount_has_a_trash_of_its_own(pair: Pair, tmp_path: Path) -> None:
    """No file can be renamed from one mount to another, although it is one file system."""
    point = tmp_path / "mounted"
    point.mkdir()
    with mounted(point, "--bind", pair.folder):
        pair.move(marked=known(point, "trip/copy.jpg"), keep=known(point, "original.jpg"))
    assert "files/copy.jpg" in files_in(pair.folder / f".Trash-{os.geteuid()}")
    assert not files_in(pair.home)


# Real file systems.


@pytest.mark.integration
@pytest.mark.parametrize(
    "kind", ["ext4", "btrfs", "xfs", "vfat", "exfat", "ntfs", "overlay", "bindfs", "sshfs"]
)
def test_on_every_file_system_a_file_is_moved_or_stays(
    tmp_path: Path, home: Path, kind: str
) -> None:
    require(kind)
    files = {"photos/trip/copy.jpg": MARKED, "photos/original.jpg": KEEP}
    point = tmp_path / "disk"
    point.mkdir()
    with Drives(tmp_path) as drives, drives.make(kind, files).mounted(point):
        pictures = on(point)
        trashed = move_to_trash(*pictures, home, NOW)
        assert files_in(point / "photos") == {"original.jpg": KEEP}
        # One with the same name, and one that is in the place of the first.
        (point / "photos/trip/copy.jpg").write_bytes(MARKED)
        move_to_trash(*on(point), home, NOW)
        (point / "photos/trip/copy.jpg").write_bytes(b"a new picture")
        with pytest.raises(PictureRefused, match="it stays in the trash"):
            put_back(trashed)
        (point / "photos/trip/copy.jpg").unlink()
        put_back(trashed)
        assert files_in(point / "photos") == {"original.jpg": KEEP, "trip/copy.jpg": MARKED}
        left = files_in(point / f".Trash-{os.geteuid()}")
        assert left.keys() == {"files/copy 2.jpg", "info/copy 2.jpg.trashinfo"}


@pytest.mark.integration
def test_on_a_read_only_file_system_nothing_is_moved(tmp_path: Path, home: Path) -> None:
    require("squashfs")
    files = {"photos/trip/copy.jpg": MARKED, "photos/original.jpg": KEEP}
    point = tmp_path / "disk"
    point.mkdir()
    with (
        Drives(tmp_path) as drives,
        drives.make("squashfs", files).mounted(point),
        pytest.raises(PictureRefused, match="Read-only file system"),
    ):
        move_to_trash(*on(point), home, NOW)


@pytest.mark.integration
def test_a_file_behind_a_second_file_system_is_not_a_copy_of_itself(
    pair: Pair, tmp_path: Path
) -> None:
    """Its device number is another one, and the kernel may remember it for a while."""
    require("bindfs")
    point = tmp_path / "passed on"
    point.mkdir()
    with passed_on(pair.folder, point):
        one, other = known(point, "trip/copy.jpg"), known(pair.folder, "trip/copy.jpg")
        for marked, keep in ((one, other), (other, one)):
            with pytest.raises(PictureRefused, match="under another name"):
                pair.move(marked=marked, keep=keep)
    pair.check_nothing_moved()


@contextmanager
def passed_on(directory: Path, point: Path) -> Iterator[None]:
    """The directory, through a file system in user space."""
    subprocess.run(["bindfs", directory, point], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", point], check=True)


# File systems without renameat2.


@pytest.fixture
def without_renameat2(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on NFS and sshfs, and with an old C library."""
    monkeypatch.setattr(moving, "_renameat2", lambda: None)


@pytest.fixture(params=["hard links", "no hard links"])
def links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """FAT and its like have no hard links."""
    if request.param == "no hard links":

        def link(*_: object, **__: object) -> None:
            raise PermissionError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", link)


@pytest.mark.usefixtures("without_renameat2", "links")
def test_without_renameat2_a_file_is_moved_and_put_back(pair: Pair) -> None:
    before = files_in(pair.folder)
    trashed = pair.move()
    assert files_in(pair.folder) == {"original.jpg": KEEP}
    put_back(trashed)
    assert files_in(pair.folder) == before
    assert not files_in(pair.home)


@pytest.mark.usefixtures("without_renameat2", "links")
def test_without_renameat2_nothing_is_overwritten(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    trashed = pair.move()
    pair.marked_path.write_bytes(MARKED)
    with pytest.raises(PictureRefused, match="another file in its place"):
        put_back(trashed)
    monkeypatch.setattr(TrashDirectory, "reserve", lambda *_: b"copy.jpg")
    with pytest.raises(PictureRefused, match="cannot be moved"):
        pair.move(marked=known(pair.folder, "trip/copy.jpg"))
    assert pair.marked_path.exists()


@pytest.mark.usefixtures("without_renameat2")
def test_without_renameat2_a_failed_move_leaves_no_empty_file(
    pair: Pair, before_the_move: BeforeTheMove
) -> None:
    before_the_move(pair.marked_path.unlink)
    with pytest.raises(PictureRefused, match="cannot be moved to the trash"):
        pair.move()
    assert not files_in(pair.home)
