"""Files that are not mirrored are counted by reason. Files that are no longer mirrored keep their
images."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from snoopsync.cli.exit_codes import of_resync
from snoopsync.config.settings import HoldPolicy
from snoopsync.core.left_out import totals
from snoopsync.core.model import File, Fingerprint, RelPath
from snoopsync.core.planner import Action, Delete, Update, Verb
from snoopsync.folders.open_folder import OpenFolder
from snoopsync.state.database import Database
from snoopsync.state.images import State
from snoopsync.state.pairs import PairState
from tests.support.pictures import encode, photo
from tests.support.process import Installation, bind
from tests.support.unstamped import UnstampedDisk
from tests.support.world import ToldWatcher, World, fake_picture

TRASHED = ".Trash-1000/files/a.jpg"


# What a scan counts.


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    """A folder with something for every reason, and one picture."""
    home = Installation(tmp_path)
    root = home.pictures
    (root / "a.jpg").write_bytes(encode(photo(1)))
    for name in ("b.X3F", "c.x3f", "d.svg", "notes.txt", "x.xyz", "._a.jpg", "draft.png"):
        (root / name).write_bytes(b"x")
    (root / "link.jpg").symlink_to("a.jpg")
    (root / "album").symlink_to("..")
    os.mkfifo(root / "fifo.jpg")
    with socket.socket(socket.AF_UNIX) as listener:
        bind(listener, root / "socket")
    for name in ("@eaDir", "drafts"):
        (root / "2024" / name).mkdir(parents=True)
        (root / "2024" / name / "a.jpg").write_bytes(encode(photo(2)))
    home.configure(
        folders=f'folders: [{{path: {root}, exclude: ["drafts/", "draft*"]}}]\n',
    )
    return home


LEFT_OUT = {
    "symlink": 2,
    "unsupported": 3,
    "other-type": 2,
    "excluded": 2,
    "other-program": 2,
    "special": 2,
}
IN_WORDS = (
    "2 symbolic links, 3 pictures in unsupported formats (.x3f 2, .svg 1), 2 files of other types"
    " (.txt 1, .xyz 1), 2 excluded files or directories, 2 files or directories of other programs,"
    " 2 special files"
)


def test_status_counts_left_out_files_by_reason_and_is_in_sync(home: Installation) -> None:
    home.ok("resync")
    status = home.status()
    assert status["in_sync"] is True
    assert status["folders"][0]["left_out"] == LEFT_OUT
    assert f"pictures: left out: {IN_WORDS}" in home.ok("status").splitlines()


def test_a_running_service_reports_the_counts_of_its_last_scan(home: Installation) -> None:
    with home.running():
        assert home.status()["folders"][0]["left_out"] == LEFT_OUT


def test_check_counts_left_out_files_on_one_line(home: Installation) -> None:
    assert f"ok       left out of pictures: {IN_WORDS}" in home.ok("check").splitlines()


@pytest.mark.parametrize("arguments", [(), ("--dry-run",)])
def test_the_summary_of_a_resync_counts_left_out_files(
    home: Installation, arguments: tuple[str, ...]
) -> None:
    assert f"left out: {IN_WORDS}" in home.ok("resync", *arguments).splitlines()


def test_a_resync_through_a_service_has_the_same_counts(home: Installation) -> None:
    with home.running():
        assert f"left out: {IN_WORDS}" in home.ok("resync").splitlines()


def test_a_folder_with_pictures_only_reports_no_left_out_files(tmp_path: Path) -> None:
    home = Installation(tmp_path)
    (home.pictures / "a.jpg").write_bytes(encode(photo(1)))
    home.configure()
    for command in ("resync", "status", "check"):
        assert "left out" not in home.ok(command)
    assert home.status()["folders"][0]["left_out"] == {}


def test_a_second_scan_counts_the_same_and_not_more(world: World) -> None:
    world.disk.write("a/b/c.x3f", b"x")
    world.disk.write("a/b/d.jpg", fake_picture(1))
    for _ in range(3):
        assert totals(world.resync().left_out) == {"unsupported": 1}
    world.disk.remove("a/b/c.x3f")
    assert world.resync().left_out == {}


def test_a_directory_that_is_walked_twice_in_a_scan_is_counted_once(world: World) -> None:
    world.disk.write("x/a.x3f", b"x")
    world.disk.write("x/a.jpg", fake_picture(1))
    watcher = ToldWatcher()
    with world.running(watcher) as live:
        live.scan()
        watcher.told["photos"].tell_tree("x")
        live.rest()
        [monitor] = live.components.engine.monitors
        assert monitor.scanned == 1
        assert totals(monitor.row.left_out) == {"unsupported": 1}


def test_a_directory_with_images_that_are_left_out_is_compared_by_its_digest(world: World) -> None:
    """So that a scan that finds nothing is as fast as before."""
    world.disk.write("a.jpg", fake_picture(1))
    world.disk.write("b.jpg", fake_picture(2))
    world.resync()
    world.configure("photos", exclude=("b.jpg",))
    world.resync()
    with closing(Database(world.state_path, readonly=True)) as database:
        assert database.query("SELECT directory FROM listing") == [(b"",)]


class SecretiveDisk(UnstampedDisk):
    """A directory of this name belongs to another user."""

    def __init__(self, name: bytes) -> None:
        self._name = name

    @contextmanager
    def entries(self, root: OpenFolder, path: bytes) -> Iterator[Iterator[os.DirEntry[str]]]:
        if root.absolute(path).endswith(self._name):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        with super().entries(root, path) as entries:
            yield entries


def test_an_unreadable_lost_and_found_is_left_out_and_all_is_mirrored(world: World) -> None:
    world.disk.write("a.jpg", fake_picture(1))
    (world.disk.root / "lost+found").mkdir()
    world.disk_edge = SecretiveDisk(b"/lost+found")
    report = world.resync()
    assert of_resync(report) == 0
    assert totals(report.left_out) == {"other-program": 1}
    assert world.folder_state() == "ok"


def test_an_unreadable_directory_is_counted_as_unreadable(world: World) -> None:
    world.disk.write("secret/a.jpg", fake_picture(1))
    world.disk_edge = SecretiveDisk(b"/secret")
    report = world.resync()
    assert of_resync(report) == 3
    assert totals(report.left_out) == {"unreadable": 1}


# What is left out from now on.


@pytest.fixture
def before(world: World) -> World:
    """A world as an older version left it: it mirrored the files of other programs too, one of
    which is a duplicate."""
    world.configure("photos", exclude_defaults=False)
    world.disk.write("a.jpg", fake_picture(1))
    world.disk.write(TRASHED, fake_picture(1))
    world.disk.write("._a.jpg", b"no picture")
    world.resync()
    forget_selection(world)
    world.remote.forget_requests()
    world.configure("photos", exclude_defaults=True)
    return world


def forget_selection(world: World) -> None:
    """As in a state file of an older version."""
    with closing(Database(world.state_path)) as database:
        database.change("UPDATE folder SET selection = NULL, left_out = '{}'")


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged about images that are left out from now on."""
    fields = [(record, getattr(record, "fields", {})) for record in caplog.records]
    return [record.getMessage() for record, each in fields if each.get("event") == "left-out"]


def test_a_new_default_deletes_nothing(before: World) -> None:
    ids = before.remote.ids()
    for _ in range(2):
        report = before.resync()
        assert report.summary.deleted == 0
        assert of_resync(report) == 0
        assert totals(report.left_out) == {"other-program": 2}
    assert before.remote.changes() == []
    assert before.remote.ids() == ids


def test_newly_left_out_images_are_logged_once_with_the_command_that_prunes_them(
    before: World, caplog: pytest.LogCaptureFixture
) -> None:
    before.resync()
    [message] = told(caplog)
    assert "now leaves out 1 image: .Trash-1000/files/a.jpg." in message
    assert "snoopsync resync --prune --dry-run" in message
    caplog.clear()
    before.resync()
    with before.running() as live:
        live.rest()
    assert told(caplog) == []


def test_only_a_prune_deletes_left_out_images(before: World) -> None:
    before.resync()
    plan = before.rehearse(prune=True)
    assert [(verb, path) for verb, path, _ in plan.lines] == [(Verb.DELETE, f"photos/{TRASHED}")]
    assert before.resync(prune=True).summary.deleted == 1
    assert before.ids().keys() == {"photos/a.jpg"}


def test_an_image_that_is_left_out_is_no_longer_in_any_pair(before: World) -> None:
    assert [pair.state for pair in before.duplicates_known()] == [PairState.OPEN]
    before.resync()
    assert [pair.state for pair in before.duplicates_known()] == [PairState.GONE]


def test_a_picture_is_not_a_duplicate_of_an_image_that_is_left_out(
    before: World, caplog: pytest.LogCaptureFixture
) -> None:
    before.disk.remove("a.jpg")
    before.resync()
    caplog.clear()
    before.disk.write("b.jpg", fake_picture(1))
    before.resync()
    assert not [each for each in caplog.records if each.name == "snoopsync.duplicates"]
    assert PairState.OPEN not in [pair.state for pair in before.duplicates_known()]


def test_an_image_that_is_included_again_is_a_duplicate_without_another_alert(
    before: World, caplog: pytest.LogCaptureFixture
) -> None:
    before.resync()
    caplog.clear()
    before.configure("photos", exclude_defaults=False)
    before.resync()
    assert [pair.state for pair in before.duplicates_known()] == [PairState.OPEN]
    assert not [each for each in caplog.records if each.name == "snoopsync.duplicates"]


def test_a_refused_file_that_is_left_out_no_longer_counts_as_failed(before: World) -> None:
    """At the start of a service, not after a day."""
    with before.running() as live:
        live.rest()
        assert {str(row.rel_path) for row in live.components.state.images()} == {
            "photos/a.jpg",
            f"photos/{TRASHED}",
        }
        counts = live.components.state.counts()["photos"]
    assert (counts.images, counts.pending, counts.failed) == (1, 0, 0)


def test_left_out_images_do_not_count_as_images_that_a_folder_keeps(world: World) -> None:
    """Images that are left out must not let a folder of ten become empty without approval."""
    world.hold = HoldPolicy(count=50, percent=10)
    for number in range(10):
        world.disk.write(f"{number}.jpg", fake_picture(number))
    world.disk.write("old/x.jpg", fake_picture(99))
    world.resync()
    world.configure("photos", exclude=("old/",))
    world.resync()
    for number in range(10):
        world.disk.remove(f"{number}.jpg")
    world.resync()
    assert world.held() == 10
    assert world.remote.deletes() == []


def edited(world: World) -> Action:
    world.disk.write("x/a.jpg", fake_picture(2))
    file = File(Fingerprint.of((world.disk.root / "x/a.jpg").lstat()))
    return Update(RelPath("photos", b"x/a.jpg"), world.id_of("x/a.jpg"), file)


def removed(world: World) -> Action:
    world.disk.remove("x/a.jpg")
    return Delete(RelPath("photos", b"x/a.jpg"), world.id_of("x/a.jpg"))


@pytest.mark.parametrize("change", [edited, removed])
def test_the_plan_for_a_left_out_image_waits_until_the_image_is_included_again(
    world: World, change: Callable[[World], Action]
) -> None:
    world.disk.write("a.jpg", fake_picture(0))
    world.disk.write("x/a.jpg", fake_picture(1))
    world.resync()
    action = change(world)
    with closing(Database(world.state_path)) as database:  # planned, and killed before it was sent
        State(database).intents.apply([action], 0.0)
    world.configure("photos", exclude=("x/",))
    world.remote.forget_requests()
    with world.running() as live:
        live.rest()
        counts = live.components.state.counts()["photos"]
    assert (counts.images, counts.pending, counts.failed, counts.held) == (1, 0, 0, 0)
    assert world.remote.changes() == []
    world.configure("photos", exclude=())
    world.resync()
    world.check_mirrored()


def test_held_deletions_of_left_out_images_do_not_hold_others(world: World) -> None:
    world.hold = HoldPolicy(count=1, percent=0)
    for number in range(4):
        world.disk.write(f"x/{number}.jpg", fake_picture(number))
    world.disk.write("a.jpg", fake_picture(9))
    world.resync()
    world.disk.remove("x")
    world.resync()
    assert world.held() == 4
    world.configure("photos", exclude=("x/",))
    assert of_resync(world.resync()) == 0
    assert world.held() == 0
    world.configure("photos", exclude=())
    world.resync()
    assert world.held() == 4
    assert world.remote.deletes() == []


# The trash.


@pytest.mark.parametrize("trashed", [TRASHED, "._a.jpg", "$RECYCLE.BIN/a.jpg"])
def test_a_file_that_is_moved_to_the_trash_is_deleted_and_not_renamed(
    world: World, trashed: str
) -> None:
    world.disk.write("a.jpg", fake_picture(1))
    world.disk.write("b.jpg", fake_picture(1))
    world.resync()
    gone = world.id_of("a.jpg")
    with world.running(ToldWatcher()) as live:
        world.disk.rename("a.jpg", trashed)
        live.settle()
        live.rest()
    assert gone not in world.remote.ids()
    assert world.ids().keys() == {"photos/b.jpg"}
    assert [pair.state for pair in world.duplicates_known()] == [PairState.GONE]


def test_a_directory_that_is_moved_to_the_trash_goes_through_the_guard(world: World) -> None:
    world.hold = HoldPolicy(count=2, percent=10)
    for number in range(4):
        world.disk.write(f"x/{number}.jpg", fake_picture(number))
    world.resync()
    world.disk.rename("x", ".Trash-1000/files/x")
    world.resync()
    assert world.held() == 4
    assert world.remote.deletes() == []


def test_a_picture_that_comes_back_from_the_trash_before_it_is_deleted_keeps_its_image(
    before: World,
) -> None:
    """A file in the trash that an older version mirrored still has its image."""
    before.resync()
    image_id = before.id_of(TRASHED)
    before.disk.rename(TRASHED, "back.jpg")
    before.resync()
    assert before.id_of("back.jpg") == image_id
    assert before.remote.changes() == []
    assert [pair.state for pair in before.duplicates_known()] == [PairState.OPEN]


def test_a_picture_never_moves_to_the_path_of_an_image_that_is_left_out(world: World) -> None:
    """Even if the image's own file was just taken out of the trash."""
    world.configure("photos", exclude_defaults=False)
    world.disk.write("a.jpg", fake_picture(1))
    world.disk.write(TRASHED, fake_picture(2))
    world.resync()
    gone, trashed = world.id_of("a.jpg"), world.id_of(TRASHED)
    world.configure("photos", exclude_defaults=True)
    world.resync()
    world.disk.rename(TRASHED, "back.jpg")
    world.disk.rename("a.jpg", TRASHED)
    world.resync()
    assert world.ids() == {"photos/back.jpg": trashed}
    assert gone not in world.remote.ids()
