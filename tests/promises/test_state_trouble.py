"""Problems of the state file, as a user sees them: damaged, on a full disk, read-only, too new,
gone.

In every case, the collection finally has the pictures of the disk under the IDs that they had, and
none of them was sent twice or deleted.
"""

from __future__ import annotations

import random
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from snoopsync.control.channel import ask
from snoopsync.embedded import open_embedded
from snoopsync.state.schema import STEPS
from tests.support.mounting import make_disk, mount, mounted, needs_root
from tests.support.pictures import encode, photo
from tests.support.process import Installation, until

pytestmark = pytest.mark.integration

PAGE = 4096

#: Where the file's header has its version. A damaged version looks like that of a newer program.
VERSION = range(60, 64)


@dataclass(frozen=True, slots=True)
class Mirrored:
    """An installation that has mirrored everything, and the files that it left."""

    home: Installation
    left: dict[str, bytes]
    older: bytes
    ids: dict[str, str]
    times: dict[str, str]

    def restore(self) -> None:
        """Everything in the state's directory as it was left."""
        directory = self.home.state.parent
        shutil.rmtree(directory)
        for name, data in self.left.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def must_be_as_before(self) -> None:
        """The same images, and none of them was sent again: but for those whose confirmation was
        in a journal that is damaged, as after any crash at that moment."""
        assert {row["path"]: row["image_id"] for row in self.home.json("list", "--json")} == (
            self.ids
        )
        times = times_of(self.home)
        assert times.keys() == self.times.keys()
        assert times == self.times or self.left.get(f"{self.home.state.name}-wal")
        assert self.home.is_in_sync()


def times_of(home: Installation) -> dict[str, str]:
    """Every image of the embedded collection, and when its bytes last changed."""
    path = home.state.parent / "collection" / "collection.sqlite3"
    with closing(open_embedded(path)) as collection:
        return {image["id"]: image["image_time"] for image in collection.images()}


def add_pictures(home: Installation, *seeds: int) -> None:
    for seed in seeds:
        path = home.pictures / f"album {seed % 3}" / f"{seed}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encode(photo(seed).resize((160, 120))))


def files_of(directory: Path) -> dict[str, bytes]:
    paths = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in paths}


@pytest.fixture(scope="module", params=["stopped", "killed"])
def mirrored(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mirrored]:
    """Forty pictures, of which two were renamed; the service was stopped, or killed."""
    home = Installation(tmp_path_factory.mktemp("mirrored"))
    home.configure()
    add_pictures(home, *range(20))
    home.ok("resync")
    older = home.state.read_bytes()
    add_pictures(home, *range(20, 40))
    for seed in (3, 33):
        (home.pictures / "album 0" / f"{seed}.jpg").rename(home.pictures / f"moved {seed}.jpg")
    with home.running() as service:
        service.end(signal.SIGTERM if request.param == "stopped" else signal.SIGKILL)
    ids = {row["path"]: row["image_id"] for row in home.json("list", "--json")}
    assert len(ids) == 40
    yield Mirrored(home, files_of(home.state.parent), older, ids, times_of(home))


Damage = Callable[[random.Random, bytearray], None]


def wrong_bytes(dice: random.Random, data: bytearray) -> None:
    for _ in range(dice.choice([1, 4, 64])):
        data[_anywhere(dice, data)] = dice.randrange(256)


def wrong_bits_of_one_page(dice: random.Random, data: bytearray) -> None:
    start = _page(dice, data)
    for at in dice.sample(range(start, min(start + PAGE, len(data))), 8):
        data[at] ^= 1 << dice.randrange(8)


def zeroed_block(dice: random.Random, data: bytearray) -> None:
    start, size = _page(dice, data), dice.choice([64, 512, PAGE])
    data[start : start + size] = bytes(size)


def swapped_pages(dice: random.Random, data: bytearray) -> None:
    a, b = _page(dice, data), _page(dice, data)
    data[a : a + PAGE], data[b : b + PAGE] = data[b : b + PAGE], data[a : a + PAGE]


def cut(dice: random.Random, data: bytearray) -> None:
    del data[dice.randrange(len(data)) :]


def _anywhere(dice: random.Random, data: bytearray) -> int:
    return next(at for at in iter(lambda: dice.randrange(len(data)), -1) if at not in VERSION)


def _page(dice: random.Random, data: bytearray) -> int:
    # Not the first one: the version is in it.
    return PAGE * dice.randrange(1, max(2, len(data) // PAGE))


DAMAGES: list[Damage] = [wrong_bytes, wrong_bits_of_one_page, zeroed_block, swapped_pages, cut]


def damage(mirrored: Mirrored, seed: int) -> None:
    """Some damage to the state file, or to what SQLite keeps beside it."""
    dice = random.Random(seed)
    journals = [ending for ending in ("-wal", "-shm") if mirrored.left.get(_name(mirrored, ending))]
    ending = dice.choice(["", "", *journals])
    path = mirrored.home.state.with_name(_name(mirrored, ending))
    data = bytearray(path.read_bytes())
    DAMAGES[seed % len(DAMAGES)](dice, data)
    path.write_bytes(data)


def _name(mirrored: Mirrored, ending: str) -> str:
    return mirrored.home.state.name + ending


def is_healed(mirrored: Mirrored) -> None:
    """One resync is enough, whatever the damage."""
    home = mirrored.home
    done = home.run("resync")
    assert done.code == 0, done
    assert "Traceback" not in done.err
    copies = list(home.state.parent.glob("*.damaged-*Z"))
    assert all(str(copy) in done.err for copy in copies), (copies, done.err)
    mirrored.must_be_as_before()


@pytest.mark.parametrize("seed", range(25))
def test_after_any_damage_a_resync_finds_all_images(mirrored: Mirrored, seed: int) -> None:
    mirrored.restore()
    damage(mirrored, seed)
    is_healed(mirrored)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2000, 2600))
def test_after_repeated_damage_a_resync_finds_all_images(mirrored: Mirrored, seed: int) -> None:
    mirrored.restore()
    damage(mirrored, seed)
    is_healed(mirrored)


def test_the_journal_of_another_file_does_no_harm(mirrored: Mirrored) -> None:
    mirrored.restore()
    mirrored.home.state.write_bytes(mirrored.older)
    is_healed(mirrored)


def test_the_journal_of_a_newer_state_file_does_not_prove_files_known(tmp_path: Path) -> None:
    """A backup was put back beside the journal of a service that was killed: the tables that it
    brings up to date say that each directory was compared, and have no rows of what is in it."""
    home = Installation(tmp_path)
    home.configure()
    add_pictures(home, *range(6))
    home.ok("resync")
    older = home.state.read_bytes()
    add_pictures(home, *range(6, 12))
    home.ok("resync")
    with home.running() as service:
        service.end(signal.SIGKILL)
    home.state.write_bytes(older)
    assert not home.is_in_sync()
    home.ok("resync")
    assert home.is_in_sync()
    assert times_of(home).keys() == {row["image_id"] for row in home.json("list", "--json")}
    assert len(home.json("list", "--json")) == 12


def test_every_reading_command_reports_a_damaged_state_file(
    mirrored: Mirrored,
) -> None:
    mirrored.restore()
    for ending in ("-wal", "-shm"):
        mirrored.home.state.with_name(_name(mirrored, ending)).unlink(missing_ok=True)
    mirrored.home.state.write_bytes(b"no database at all" * 1000)
    for command in (
        ["status"],
        ["status", "--json"],
        ["list"],
        ["duplicates"],
        ["resync", "--dry-run"],
    ):
        done = mirrored.home.run(*command)
        assert (done.code, done.out) == (1, ""), done
        assert f"{mirrored.home.state} is damaged" in done.err
        assert "run snoopsync resync" in done.err
    is_healed(mirrored)


def test_a_service_whose_state_file_is_damaged_under_it_starts_over(mirrored: Mirrored) -> None:
    mirrored.restore()
    home = mirrored.home
    with home.running() as service:
        with closing(sqlite3.connect(home.state)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        size = home.state.stat().st_size
        home.state.write_bytes(b"x" * size)
        begun = len(service.lines)
        (home.pictures / "moved 3.jpg").touch()
        service.line_with("is damaged", after=begun)
        service.line_with("sync complete", after=begun)
        until(home.is_in_sync)
        assert service.end() == 0
    assert not any("Traceback" in line for line in service.lines)
    mirrored.must_be_as_before()


def test_damage_that_a_command_finds_is_reported_to_it_and_repaired_by_the_service(
    mirrored: Mirrored,
) -> None:
    mirrored.restore()
    home = mirrored.home
    request = {"command": "restore", "members": [["tests.a", "00"], ["tests.b", "01"]]}
    with home.running() as service:
        begun = len(service.lines)
        # While nothing happens in the folder, only what a command asks for reads this index.
        overwrite_start(home.state, "decision_member_content")
        (answer,) = ask(home.state, request)
        assert f"{home.state} is damaged" in answer["error"]
        assert answer["exit_code"] == 1
        service.line_with("is damaged", after=begun)
        service.line_with("sync complete", after=begun)
        until(home.is_in_sync)
        assert list(ask(home.state, request)) == [{"result": {"restored": 0}}]
        assert service.end() == 0
    assert not any("Traceback" in line for line in service.lines)
    mirrored.must_be_as_before()


def overwrite_start(state: Path, name: str) -> None:
    """Damage the file where this table or index begins, while a service has it open."""
    with closing(sqlite3.connect(state, isolation_level=None)) as database:
        # After a change by somebody else, no page that was read before is taken for what it was.
        database.execute("UPDATE fact SET value = value")
        checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)"
        until(lambda: database.execute(checkpoint).fetchone()[0] == 0)
        root = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
        (page,) = database.execute(root, (name,)).fetchone()
    with state.open("r+b") as file:
        file.seek(PAGE * (page - 1))
        file.write(b"x" * PAGE)


# A newer version.


@pytest.mark.parametrize("journal", [False, True])
def test_a_newer_state_file_is_refused_by_every_command_and_left_as_it_is(
    tmp_path: Path, journal: bool
) -> None:
    home = Installation(tmp_path)
    home.configure()
    add_pictures(home, 1, 2)
    home.ok("resync")
    with closing(sqlite3.connect(home.state)) as database:
        database.execute(f"PRAGMA user_version = {len(STEPS) + 1}")
    wal = home.state.with_name(home.state.name + "-wal")
    if journal:
        wal.write_bytes(b"something of the newer one")
    before = home.state.read_bytes()
    picture = next(home.pictures.rglob("*.jpg"))
    for command in (
        ["run"],
        ["resync"],
        ["resync", "--dry-run"],
        ["status"],
        ["status", "--json"],
        ["list"],
        ["duplicates"],
        ["duplicates", "dismiss", "a", "b"],
        ["approve"],
        ["approve", "--discard"],
        ["search", picture],
    ):
        done = home.run(*command)
        assert (done.code, done.out) == (78, ""), (command, done)
        assert str(home.state) in done.err
        assert f"format {len(STEPS) + 1}, but this version supports {len(STEPS)}" in done.err
        assert "upgrade snoopsync" in done.err
        assert home.state.read_bytes() == before
        if journal:
            assert wal.read_bytes() == b"something of the newer one"
    assert not list(home.state.parent.glob("*damaged*"))


# Deleted, or replaced, under a running service.


@pytest.mark.parametrize("how", ["deleted", "replaced", "the whole directory"])
def test_a_service_continues_after_its_state_file_was_deleted_or_replaced(
    mirrored: Mirrored, how: str
) -> None:
    mirrored.restore()
    home = mirrored.home
    with home.running() as service:
        begun = len(service.lines)
        match how:
            case "deleted":
                home.state.unlink()
            case "replaced":
                backup = home.home / "backup"
                backup.write_bytes(mirrored.older)
                backup.replace(home.state)
            case _:
                for path in home.state.parent.glob("state.sqlite3*"):
                    path.unlink()
        service.line_with("was deleted or replaced while it was in use", after=begun)
        service.line_with("sync complete", after=begun)
        until(home.is_in_sync)
        assert home.status()["service"]["pid"] == service.pid
        assert service.end() == 0
    mirrored.must_be_as_before()


# A full disk.


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Installation]:
    """An installation whose state, with the embedded collection, is on a disk of 6 MiB."""
    home = Installation(tmp_path)
    home.configure("log: {level: debug}\nsync: {settle: 50ms, delete_after: 0s}\n")
    directory = home.home / "state"
    directory.mkdir()
    with mounted(directory, "-t", "tmpfs", "-o", "size=6m,mode=0700", "tmpfs"):
        yield home


def fill(directory: Path) -> Path:
    """Fill the disk."""
    filler = directory / "filler"
    with filler.open("ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                pass
    return filler


@needs_root
@pytest.mark.parametrize("when", ["while it runs", "at the start"])
def test_a_service_on_a_full_disk_waits_for_space_and_continues(
    small: Installation, when: str
) -> None:
    add_pictures(small, 1, 2, 3)
    small.ok("resync")
    filler = fill(small.home / "state") if when == "at the start" else None
    with small.service() as service:
        if filler is None:
            service.line_with("sync complete")
            filler = fill(small.home / "state")
        add_pictures(small, *range(4, 44))
        line = service.line_with("its disk is full")
        assert str(small.state) in line
        done = small.run("status")
        assert done.code != 0
        assert "not in sync" in done.out
        filler.unlink()
        until(small.is_in_sync)
        assert small.status()["service"]["pid"] == service.pid
        assert service.end() == 0
    assert not any("Traceback" in line for line in service.lines)
    assert len(times_of(small)) == len(small.json("list", "--json")) == 43


@needs_root
def test_a_resync_on_a_full_disk_fails_and_the_next_one_succeeds(small: Installation) -> None:
    add_pictures(small, 1, 2, 3)
    small.ok("resync")
    filler = fill(small.home / "state")
    add_pictures(small, *range(4, 44))
    for command in (["resync"], ["status"]):
        done = small.run(*command)
        assert done.code != 0
        assert "disk is full" in done.out + done.err, done
        assert "Traceback" not in done.err
    filler.unlink()
    small.ok("resync")
    assert small.is_in_sync()
    assert len(times_of(small)) == 43


# A full disk that only the collection is on.


@pytest.fixture
def apart(tmp_path: Path) -> Iterator[Installation]:
    """An installation whose embedded collection is on a disk of its own, of 6 MiB."""
    home = Installation(tmp_path)
    home.configure()
    directory = collection_directory(home)
    directory.mkdir(parents=True)
    with mounted(directory, "-t", "tmpfs", "-o", "size=6m,mode=0700", "tmpfs"):
        yield home


def collection_directory(home: Installation) -> Path:
    return home.state.parent / "collection"


@needs_root
@pytest.mark.parametrize("when", ["while it runs", "at the start"])
def test_a_collection_on_a_full_disk_is_an_outage_and_fails_no_picture(
    apart: Installation, when: str
) -> None:
    add_pictures(apart, 1, 2, 3)
    apart.ok("resync")
    filler = fill(collection_directory(apart)) if when == "at the start" else None
    with apart.service() as service:
        if filler is None:
            service.line_with("sync complete")
            filler = fill(collection_directory(apart))
        add_pictures(apart, *range(4, 44))
        (apart.pictures / "album 1" / "1.jpg").unlink()
        assert str(collection_directory(apart)) in service.line_with("its disk is full")
        until(lambda: not apart.status()["collection"]["reachable"])
        assert "its disk is full" in apart.status()["collection"]["last_error"]
        assert apart.json("list", "--json", "--state", "failed") == []
        filler.unlink()
        until(apart.is_in_sync)
        assert apart.status()["service"]["pid"] == service.pid
        assert service.end() == 0
    complaints = [line for line in service.lines if " info " not in line]
    assert len(complaints) == 1, complaints
    assert len(times_of(apart)) == len(apart.json("list", "--json")) == 42


# Read-only.


@needs_root
@pytest.mark.parametrize("journal", [False, True])
def test_status_reads_a_read_only_state_file(tmp_path: Path, journal: bool) -> None:
    home = Installation(tmp_path)
    home.configure()
    add_pictures(home, 1, 2, 3)
    if journal:
        with home.running() as service:
            service.end(signal.SIGKILL)
    else:
        home.ok("resync")
    add_pictures(home, 4)
    before = files_of(home.state.parent)
    with mounted(home.home / "state", "--bind", home.home / "state"):
        subprocess.run(["mount", "-o", "remount,bind,ro", home.home / "state"], check=True)
        done = home.run("status")
        assert "not in sync" in done.out
        assert "1 image not mirrored yet" in done.out
        assert "read-only" in done.out
        assert [row["path"] for row in home.json("list", "--json")] == [
            "album 0/3.jpg",
            "album 1/1.jpg",
            "album 2/2.jpg",
        ]
        for command in ("resync", "run"):
            done = home.run(command)
            assert done.code == 1
            assert "ead-only file system" in done.err
            assert str(home.state) in done.err
            assert "Traceback" not in done.err
    assert files_of(home.state.parent) == before
    home.ok("resync")
    assert home.is_in_sync()


def turn_read_only(directory: Path) -> None:
    """What Linux does with a file system of this kind in which it finds an error."""
    source = subprocess.run(
        ["findmnt", "-no", "SOURCE", directory], capture_output=True, text=True, check=True
    )
    trigger = Path("/sys/fs/ext4") / Path(source.stdout.strip()).name / "trigger_fs_error"
    if not trigger.exists():
        pytest.skip("this system has no way to report an error in a file system")
    trigger.write_text("found by a test")


@needs_root
def test_a_service_on_a_read_only_file_system_waits_until_it_is_writable(
    tmp_path: Path,
) -> None:
    home = Installation(tmp_path)
    home.configure()
    directory = home.home / "state"
    directory.mkdir()
    disk = make_disk(tmp_path / "disk.img", 32 << 20)
    add_pictures(home, 1, 2, 3)
    with mounted(directory, "-o", "loop,errors=remount-ro", disk), home.running() as service:
        turn_read_only(directory)
        add_pictures(home, *range(4, 14))
        line = service.line_with("its file system is read-only")
        assert str(home.state) in line
        status = home.run("status").out
        assert "not in sync" in status
        assert "its file system is read-only" in status
        subprocess.run(["umount", directory], check=True)
        begun = len(service.lines)
        mount(directory, "-o", "loop", disk)
        service.line_with("sync complete", after=begun)
        until(home.is_in_sync)
        assert home.status()["service"]["pid"] == service.pid
        assert service.end() == 0
        assert not any("Traceback" in line for line in service.lines)
        assert len(times_of(home)) == len(home.json("list", "--json")) == 13
