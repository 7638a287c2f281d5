"""What is in a folder, and that nothing in it is called gone without proof."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path

import pytest

from snoopsync.core.errors import FolderMissing
from snoopsync.core.left_out import totals
from snoopsync.core.model import UNNUMBERED, File, Fingerprint, Gone, Unclear
from snoopsync.core.selection import Selection
from snoopsync.folders.directory_facts import DirectoryFacts
from snoopsync.folders.disk import Disk
from snoopsync.folders.folder import Folder
from snoopsync.folders.open_folder import OpenFolder
from tests.support.deep import deep_below, write_in
from tests.support.mounting import FRESH, mounted, needs_root
from tests.support.unstamped import UnstampedDisk

ERRORS = [errno.EACCES, errno.EIO, errno.ESTALE]


class FailingDisk(UnstampedDisk):
    """A disk on which one call fails: the ``nth`` from when it is armed."""

    def __init__(self, error: int = errno.EIO) -> None:
        self.error = error
        self.calls = 0
        self.nth = 0
        self.before_call: Callable[[int], None] = lambda call: None

    def arm(self, nth: int) -> None:
        self.calls, self.nth = 0, nth

    def _call(self, path: bytes) -> None:
        self.calls += 1
        self.before_call(self.calls)
        if self.calls == self.nth:
            raise OSError(self.error, os.strerror(self.error), path)

    def open_folder(self, path: bytes) -> OpenFolder:
        self._call(path)
        return super().open_folder(path)

    def lstat(self, root: OpenFolder, path: bytes) -> os.stat_result:
        self._call(root.absolute(path))
        return super().lstat(root, path)

    def stat(self, root: OpenFolder, path: bytes) -> os.stat_result:
        self._call(root.absolute(path))
        return super().stat(root, path)

    def file_system(self, root: OpenFolder, path: bytes) -> int:
        self._call(root.absolute(path))
        return super().file_system(root, path)

    def facts(self, root: OpenFolder, path: bytes) -> DirectoryFacts:
        self._call(root.absolute(path))
        return super().facts(root, path)

    def mount_id(self, root: OpenFolder, path: bytes) -> int:
        self._call(root.absolute(path))
        return super().mount_id(root, path)

    @contextmanager
    def entries(self, root: OpenFolder, path: bytes) -> Iterator[Iterator[os.DirEntry[str]]]:
        self._call(root.absolute(path))
        with super().entries(root, path) as entries:
            yield entries


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    (root / "2024" / "june").mkdir(parents=True)
    (root / "2024" / "june" / "a.jpg").write_bytes(b"picture")
    (root / "top.jpg").write_bytes(b"top")
    return root


def armed(root: Path, disk: Disk | None = None) -> Folder:
    folder = Folder("photos", os.fsencode(root), Selection(None, ()), disk)
    folder.identity = folder.identify()
    return folder


FILE = b"2024/june/a.jpg"


def test_a_directory_is_listed_with_its_wanted_files_and_the_directories_to_enter(
    root: Path,
) -> None:
    (root / "notes.txt").touch()
    (root / "link.jpg").symlink_to(root / "top.jpg")
    (root / "links").symlink_to(root / "2024")
    os.mkfifo(root / "fifo.jpg")
    (root / "directory.jpg").mkdir()
    listing = armed(root).list_directory(b"")
    assert listing.files == {b"top.jpg": tuple(Fingerprint.of((root / "top.jpg").lstat()))}
    assert sorted(listing.directories) == [b"2024", b"directory.jpg"]
    assert totals(listing.left_out) == {"symlink": 2, "other-type": 1, "special": 1}


@pytest.mark.parametrize("name", [b"\xff\xfe.jpg", b"a\nb.jpg", b"x" * 251 + b".jpg"])
def test_odd_names_are_listed_examined_and_opened(root: Path, name: bytes) -> None:
    path = os.fsencode(root) + b"/2024/" + name
    Path(os.fsdecode(path)).write_bytes(b"odd")
    folder = armed(root)
    assert name in folder.list_directory(b"2024").files
    assert isinstance(folder.look(b"2024/" + name), File)
    with folder.open(b"2024/" + name) as file:
        assert file.read() == b"odd"
    Path(os.fsdecode(path)).unlink()
    assert folder.prove_gone(b"2024/" + name, submount=0) == Gone()


def test_a_tree_deeper_than_a_call_takes_is_listed_examined_opened_and_proven(
    tmp_path: Path,
) -> None:
    root = tmp_path / "photos"
    root.mkdir()
    folder = armed(root)
    with deep_below(root) as (path, descriptor):
        write_in(descriptor, b"a.jpg")
        fingerprint = folder.look(path + b"/a.jpg")
        assert isinstance(fingerprint, File)
        assert folder.list_directory(path).files == {b"a.jpg": tuple(fingerprint.fingerprint)}
        with folder.open(path + b"/a.jpg") as file:
            assert file.read() == b""
        assert folder.prove_gone(path + b"/a.jpg", submount=0) == fingerprint
        os.unlink(b"a.jpg", dir_fd=descriptor)
        assert folder.prove_gone(path + b"/a.jpg", submount=0) == Gone()


def test_a_folder_can_be_a_symbolic_link_and_its_files_cannot(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    folder = armed(tmp_path / "link")
    assert isinstance(folder.look(FILE), File)
    (root / "linked").symlink_to(root / "2024")
    assert folder.look(b"linked/june/a.jpg") == Gone()


def test_a_fingerprint_has_the_values_of_lstat(root: Path) -> None:
    stat = (root / os.fsdecode(FILE)).lstat()
    assert armed(root).look(FILE) == File(
        Fingerprint(stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    )


def test_a_session_examines_each_directory_once(root: Path) -> None:
    disk = FailingDisk()
    folder = armed(root, disk)
    with folder.session() as view:
        view.look(b"2024/june/a.jpg")
        disk.arm(0)
        view.look(b"2024/june/b.jpg")
    assert disk.calls == 1


@pytest.mark.parametrize("make", [Path.touch, lambda path: None])
def test_a_folder_that_is_not_a_directory_is_missing(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    path = tmp_path / "photos"
    make(path)
    folder = Folder("photos", os.fsencode(path), Selection(None, ()))
    with pytest.raises(FolderMissing, match="photos"):
        folder.identify()
    assert not folder.is_present()


def unlink(root: Path) -> None:
    (root / os.fsdecode(FILE)).unlink()


def remove_its_directories(root: Path) -> None:
    shutil.rmtree(root / "2024")


def become_a_symlink(root: Path) -> None:
    (root / os.fsdecode(FILE)).unlink()
    (root / os.fsdecode(FILE)).symlink_to(root / "top.jpg")


def become_a_directory(root: Path) -> None:
    (root / os.fsdecode(FILE)).unlink()
    (root / os.fsdecode(FILE)).mkdir()


def become_a_fifo(root: Path) -> None:
    (root / os.fsdecode(FILE)).unlink()
    os.mkfifo(root / os.fsdecode(FILE))


def parent_becomes_a_symlink(root: Path) -> None:
    (root / "2024").rename(root.parent / "elsewhere")
    (root / "2024").symlink_to(root.parent / "elsewhere")


def parent_becomes_a_file(root: Path) -> None:
    shutil.rmtree(root / "2024")
    (root / "2024").write_bytes(b"a file now")


@pytest.mark.parametrize(
    "change",
    [
        unlink,
        remove_its_directories,
        become_a_symlink,
        become_a_directory,
        become_a_fifo,
        parent_becomes_a_symlink,
        parent_becomes_a_file,
    ],
)
def test_a_missing_file_is_gone_when_the_folder_is_the_same(
    root: Path, change: Callable[[Path], None]
) -> None:
    folder = armed(root)
    change(root)
    assert folder.prove_gone(FILE, submount=0) == Gone()


def test_an_existing_file_is_not_gone(root: Path) -> None:
    folder = armed(root)
    assert folder.prove_gone(FILE, submount=0) == folder.look(FILE)
    assert isinstance(folder.look(FILE), File)


def folder_renamed_away(root: Path) -> None:
    root.rename(root.with_name("away"))


def folder_replaced(root: Path) -> None:
    root.rename(root.with_name("away"))
    root.mkdir()


def folder_becomes_a_file(root: Path) -> None:
    shutil.rmtree(root)
    root.touch()


def folder_becomes_a_link_to_nothing(root: Path) -> None:
    shutil.rmtree(root)
    root.symlink_to("nothing")


@pytest.mark.parametrize(
    "change",
    [folder_renamed_away, folder_replaced, folder_becomes_a_file, folder_becomes_a_link_to_nothing],
)
def test_no_file_is_gone_from_another_folder(root: Path, change: Callable[[Path], None]) -> None:
    folder = armed(root)
    change(root)
    assert isinstance(folder.prove_gone(FILE, submount=0), Unclear)


def test_nothing_is_gone_from_a_folder_that_was_never_known(root: Path) -> None:
    folder = Folder("photos", os.fsencode(root), Selection(None, ()))
    unlink(root)
    assert isinstance(folder.prove_gone(FILE, submount=0), Unclear)


def test_no_file_is_gone_from_a_folder_that_is_swapped_during_the_check(root: Path) -> None:
    """At whichever call it happens, and at whichever later one the old one comes back."""
    disk = FailingDisk()
    folder = armed(root, disk)
    away = root.with_name("away")
    other = root.with_name("other")
    other.mkdir()
    disk.arm(0)
    folder.prove_gone(FILE, submount=0)
    count = disk.calls
    for nth, back in combinations(range(1, count + 2), 2):

        def swap(call: int, at: int = nth, back_at: int = back) -> None:
            if call == at:
                root.rename(away)
                other.rename(root)
            elif call == back_at:
                come_back()

        def come_back() -> None:
            if away.exists():
                root.rename(other)
                away.rename(root)

        disk.before_call = swap
        disk.arm(0)
        observation = folder.prove_gone(FILE, submount=0)
        disk.before_call = lambda call: None
        come_back()
        assert not isinstance(observation, Gone), f"swapped before call {nth}, back before {back}"


def test_no_file_is_gone_from_a_folder_that_is_replaced_during_the_check(root: Path) -> None:
    """Though the file is gone from the folder that was opened first."""
    away = root.with_name("away")

    class ReplacingDisk(UnstampedDisk):
        def lstat(self, opened: OpenFolder, path: bytes) -> os.stat_result:
            if path == FILE and not away.exists():
                root.rename(away)
                root.mkdir()
            return super().lstat(opened, path)

    folder = armed(root, ReplacingDisk())
    unlink(root)
    assert isinstance(folder.prove_gone(FILE, submount=0), Unclear)
    assert away.exists()


def test_a_folder_is_open_for_no_longer_than_its_view(root: Path) -> None:
    """Else its disk could not be unmounted."""

    def held() -> list[Path]:
        links = (Path(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd"))  # noqa: PTH208
        targets = [link.readlink() for link in links if link.exists()]
        return [target for target in targets if target.is_relative_to(root)]

    folder = armed(root)
    unlink(root)
    folder.prove_gone(FILE, submount=0)
    folder.list_directory(b"2024")
    folder.look(b"top.jpg")
    assert held() == []
    with folder.open(b"top.jpg") as file:
        assert held() == [root / "top.jpg"]
        file.read()
    assert held() == []
    with folder.session() as view:
        assert held() == []
        view.look(FILE)
        assert root in held()
        with pytest.raises(FileNotFoundError):
            view.list_directory(b"2023")
    assert held() == []


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("change", [unlink, remove_its_directories])
def test_an_error_at_any_call_of_the_proof_proves_nothing(
    root: Path, change: Callable[[Path], None], error: int
) -> None:
    disk = FailingDisk(error)
    folder = armed(root, disk)
    change(root)
    disk.arm(0)
    assert folder.prove_gone(FILE, submount=0) == Gone()
    calls = disk.calls
    assert calls >= 8
    for nth in range(1, calls + 1):
        disk.arm(nth)
        assert isinstance(folder.prove_gone(FILE, submount=0), Unclear), f"call {nth}"


class SecretiveDisk(UnstampedDisk):
    """A disk on which everything can be looked at, and one directory can't be listed."""

    def __init__(self, directory: bytes, *, opens: bool) -> None:
        self.directory = directory
        self.opens = opens

    @contextmanager
    def entries(self, root: OpenFolder, path: bytes) -> Iterator[Iterator[os.DirEntry[str]]]:
        if not root.absolute(path).endswith(self.directory):
            with super().entries(root, path) as entries:
                yield entries
        elif self.opens:
            yield self._failing(root.absolute(path))
        else:
            raise PermissionError(errno.EACCES, "Permission denied", root.absolute(path))

    def _failing(self, path: bytes) -> Iterator[os.DirEntry[str]]:
        raise OSError(errno.EIO, "Input/output error", path)
        yield  # a generator: it fails when it is asked for the first entry


@pytest.mark.parametrize("opens", [False, True])
def test_nothing_is_gone_from_a_directory_that_cannot_be_listed(root: Path, opens: bool) -> None:
    folder = armed(root, SecretiveDisk(b"/june", opens=opens))
    unlink(root)
    assert folder.look(FILE) == Gone()
    observation = folder.prove_gone(FILE, submount=0)
    assert isinstance(observation, Unclear)
    assert "can't be listed" in observation.reason


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_at_any_call_of_an_examination_is_unclear(root: Path, error: int) -> None:
    disk = FailingDisk(error)
    folder = armed(root, disk)
    disk.arm(0)
    folder.look(FILE)
    for nth in range(1, disk.calls + 1):
        disk.arm(nth)
        observation = folder.look(FILE)
        assert isinstance(observation, Unclear)
        assert os.strerror(error) in observation.reason


def test_a_directory_that_cannot_be_listed_is_an_error_and_not_empty(root: Path) -> None:
    disk = FailingDisk(errno.EACCES)
    folder = armed(root, disk)
    disk.arm(1)
    with pytest.raises(FolderMissing):
        folder.list_directory(b"2024/june")
    disk.arm(2)
    with pytest.raises(PermissionError):
        folder.list_directory(b"2024/june")


@needs_root
def test_a_file_that_a_mount_hides_is_not_gone(root: Path) -> None:
    folder = armed(root)
    with mounted(root / "2024", *FRESH):
        assert folder.look(FILE) == Gone()
        assert isinstance(folder.prove_gone(FILE, submount=0), Unclear)
    assert isinstance(folder.prove_gone(FILE, submount=0), File)


@needs_root
def test_a_file_of_a_disk_that_was_unmounted_is_not_gone(root: Path) -> None:
    folder = armed(root)
    (root / "disk").mkdir()
    with mounted(root / "disk", *FRESH):
        (root / "disk" / "a.jpg").write_bytes(b"elsewhere")
        observation = folder.look(b"disk/a.jpg")
        assert isinstance(observation, File)
        assert observation.submount
        (root / "disk" / "a.jpg").unlink()
        assert folder.prove_gone(b"disk/a.jpg", observation.submount) == Gone()
        (root / "disk" / "a.jpg").write_bytes(b"elsewhere")
    assert folder.look(b"disk/a.jpg") == Gone()
    assert isinstance(folder.prove_gone(b"disk/a.jpg", observation.submount), Unclear)
    (root / "disk").rmdir()
    assert isinstance(folder.prove_gone(b"disk/a.jpg", observation.submount), Unclear)


class TwoDisks(FailingDisk):
    """Everything below ``mount_point`` is on a disk of its own, the one with this number."""

    def __init__(self, mount_point: bytes) -> None:
        super().__init__()
        self.mount_point = mount_point
        self.number = 0

    def stat(self, root: OpenFolder, path: bytes) -> os.stat_result:
        stat = super().stat(root, path)
        if not root.absolute(path).startswith(self.mount_point):
            return stat
        times = {"st_mtime_ns": stat.st_mtime_ns, "st_ctime_ns": stat.st_ctime_ns}
        return os.stat_result((*stat[:2], stat.st_dev + 1, *stat[3:10]), times)

    def file_system(self, root: OpenFolder, path: bytes) -> int:
        number = super().file_system(root, path)
        return self.number if root.absolute(path).startswith(self.mount_point) else number


@pytest.mark.parametrize(
    ("known", "now", "is_gone"),
    [
        (77, 77, True),
        (77, 78, False),
        (77, 0, False),
        (0, 77, False),
        (0, 0, False),
    ],
)
def test_a_file_is_gone_only_from_its_own_disk(
    root: Path, known: int, now: int, is_gone: bool
) -> None:
    """One that has no number can't be told from another, unless its files are known."""
    disk = TwoDisks(bytes(root / "2024"))
    folder = armed(root, disk)
    disk.number = known
    observation = folder.look(FILE)
    assert isinstance(observation, File)
    submount = observation.submount
    assert (submount == UNNUMBERED) is (known == 0)
    unlink(root)
    disk.number = now
    assert folder.look(FILE) == Gone()
    with folder.session() as view:
        assert view.is_hidden(FILE, submount) is not is_gone
    assert isinstance(folder.prove_gone(FILE, submount), Gone if is_gone else Unclear)


def test_a_file_is_not_gone_if_the_mount_that_hides_it_is_unmounted_during_the_check(
    root: Path,
) -> None:
    """At whichever call it happens."""
    disk = TwoDisks(bytes(root / "2024"))
    folder = armed(root, disk)
    picture = root / os.fsdecode(FILE)
    disk.number = 77
    observation = folder.look(FILE)
    assert isinstance(observation, File)
    submount = observation.submount

    def unmount(call: int) -> None:
        if call == nth:
            disk.number = 77
            picture.write_bytes(b"it was there all the time")

    disk.before_call = unmount
    for nth in range(1, 100):
        disk.number = 78
        picture.unlink()
        disk.arm(0)
        observation = folder.prove_gone(FILE, submount)
        assert not isinstance(observation, Gone), f"unmounted before call {nth}"
        if not picture.exists():
            break
    assert nth > 10


@needs_root
def test_a_mount_over_a_folder_is_another_folder(root: Path) -> None:
    folder = armed(root)
    with mounted(root, *FRESH):
        assert not folder.is_present()
        assert isinstance(folder.prove_gone(FILE, submount=0), Unclear)
    assert folder.is_present()
