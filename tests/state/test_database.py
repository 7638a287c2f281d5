"""The state file survives what happens to files: being killed, being damaged, being upgraded."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import re
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from snoopsync.core.errors import StateDamaged, StateError, StateTooNew
from snoopsync.core.events import Event, log_event
from snoopsync.core.model import File, Fingerprint, RelPath, image_ids
from snoopsync.core.planner import Add
from snoopsync.runtime.clock import Clock
from snoopsync.state.database import Database
from snoopsync.state.file import move_aside, record_check
from snoopsync.state.folders import FolderRow
from snoopsync.state.groups import Groups
from snoopsync.state.images import State
from snoopsync.state.intents import Sent
from snoopsync.state.lock import locked
from snoopsync.state.pairs import Pairs
from snoopsync.state.reading import readable, scratch
from snoopsync.state.schema import STEPS
from snoopsync.state.searches import Searches


def test_a_new_file_and_its_directory_are_private(tmp_path: Path) -> None:
    path = tmp_path / "new" / "state.sqlite3"
    Database(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_every_commit_is_on_the_disk_when_it_returns(database: Database) -> None:
    assert database.one("PRAGMA journal_mode") == "wal"
    full = 2
    assert database.one("PRAGMA synchronous") == full


@pytest.mark.parametrize("name", ["a?mode=ro#b%20c", "caf\u00e9 \u732b", os.fsdecode(b"\xff.db")])
def test_the_file_may_have_any_name(tmp_path: Path, name: str) -> None:
    with closing(Database(tmp_path / name)) as database:
        State(database).set_fact("collection", "1")
    with closing(Database(tmp_path / name, readonly=True)) as database:
        assert State(database).fact("collection") == "1"


def test_a_transaction_and_those_inside_it_are_atomic(database: Database) -> None:
    state = State(database)
    with pytest.raises(KeyError), database.transaction():
        state.set_fact("outer", "1")
        with database.transaction():
            state.set_fact("inner", "1")
        raise KeyError
    assert state.fact("outer") is None
    assert state.fact("inner") is None
    with database.transaction():
        state.set_fact("outer", "2")
    assert state.fact("outer") == "2"


def test_a_commit_that_fails_leaves_no_transaction_open(database: Database) -> None:
    """Otherwise all later transactions would join it, and never be committed."""
    database.change("PRAGMA foreign_keys = ON")
    database.change("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
    database.change(
        "CREATE TABLE child (id INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED)"
    )
    with pytest.raises(StateError), database.transaction():
        database.change("INSERT INTO child VALUES (1)")
    with database.transaction():
        State(database).set_fact("after", "1")
    with closing(Database(database.path, readonly=True)) as reader:
        assert State(reader).fact("after") == "1"
        assert reader.one("SELECT count(*) FROM child") == 0


def test_threads_take_turns(database: Database) -> None:
    """No statement of one thread falls into another's transaction."""
    state = State(database)

    def count(name: str) -> None:
        for _ in range(50):
            with database.transaction():
                state.set_fact(name, str(int(state.fact(name) or 0) + 1))

    threads = [threading.Thread(target=count, args=("all",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert state.fact("all") == "200"


def test_a_log_that_blocks_during_a_transaction_keeps_no_thread_waiting(
    database: Database,
) -> None:
    reads: list[str | None] = []

    class Blocked(logging.Handler):
        """A line is written when another thread has read from the database."""

        def emit(self, record: logging.LogRecord) -> None:
            thread = threading.Thread(target=lambda: reads.append(State(database).fact("a")))
            thread.start()
            thread.join()

    log = logging.getLogger("snoopsync.test")
    handler = Blocked()
    log.addHandler(handler)
    try:
        with database.transaction():
            State(database).set_fact("a", "1")
            log_event(log, logging.WARNING, Event.REFUSED, "refused")
    finally:
        log.removeHandler(handler)
    assert reads == ["1"]


# Other processes that use the file.


def test_a_reader_does_not_delay_the_writer(path: Path) -> None:
    with closing(Database(path)) as writer, closing(Database(path, readonly=True)) as reader:
        State(writer).set_fact("a", "1")
        assert State(reader).fact("a") == "1"
        with writer.transaction():
            State(writer).set_fact("a", "2")
            assert State(reader).fact("a") == "1"
        assert State(reader).fact("a") == "2"


def test_a_reader_cannot_write(path: Path) -> None:
    Database(path).close()
    with closing(Database(path, readonly=True)) as reader, pytest.raises(StateError):
        State(reader).set_fact("a", "1")


def test_a_reader_creates_no_file(path: Path) -> None:
    with pytest.raises(StateError, match=r"state\.sqlite3"):
        Database(path, readonly=True)
    assert not path.exists()


def test_a_copy_in_memory_changes_nothing_of_the_file(path: Path) -> None:
    with closing(Database(path)) as database:
        State(database).set_fact("a", "1")
        with closing(scratch(path)) as copy:
            State(copy).set_fact("a", "2")
            assert State(copy).fact("a") == "2"
        assert State(database).fact("a") == "1"


def test_copying_a_file_that_is_not_in_use_creates_no_file_beside_it(path: Path) -> None:
    with closing(Database(path)) as database:
        State(database).set_fact("a", "1")
    before = sorted(path.parent.iterdir())
    with closing(scratch(path, proven=True)) as copy:
        assert State(copy).fact("a") == "1"
    assert sorted(path.parent.iterdir()) == before


def test_a_copy_contains_what_is_written_while_it_is_made(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Database(path)) as database:
        State(database).set_fact("a", "1")

    others: list[Database] = []
    connect = Database._connect

    def disturbed(self: Database, readonly: bool, at_rest: bool) -> sqlite3.Connection:
        connection = connect(self, readonly, at_rest)
        if at_rest:
            others.append(Database(self.path))
            State(others[-1]).set_fact("a", "2")
        return connection

    monkeypatch.setattr(Database, "_connect", disturbed)
    with closing(scratch(path)) as copy:
        assert State(copy).fact("a") == "2"
    [other] = others
    other.close()


def test_a_copy_of_a_missing_file_is_empty_and_creates_none(path: Path) -> None:
    with closing(scratch(path)) as copy:
        assert State(copy).folders.rows() == []
    assert not path.exists()


def test_a_file_that_is_in_use_is_read_in_place(path: Path) -> None:
    """`status --watch` would otherwise copy a hundred thousand images each time."""
    with locked(path), closing(Database(path)) as writer, readable(path) as reader:
        State(writer).set_fact("a", "1")
        assert State(reader).fact("a") == "1"
        with pytest.raises(StateError):
            State(reader).set_fact("a", "2")


def test_a_read_transaction_sees_one_moment_and_delays_no_writer(path: Path) -> None:
    with locked(path), closing(Database(path)) as writer, readable(path) as reader:
        State(writer).set_fact("a", "1")
        with reader.read_transaction():
            assert State(reader).fact("a") == "1"
            State(writer).set_fact("a", "2")
            assert State(reader).fact("a") == "1"
        assert State(reader).fact("a") == "2"


def test_a_file_that_is_not_in_use_is_read_from_a_copy(path: Path) -> None:
    with closing(Database(path)) as database:
        State(database).set_fact("a", "1")
    with readable(path) as reader, closing(Database(path)) as writer:
        State(writer).set_fact("a", "2")
        assert State(reader).fact("a") == "1"


@pytest.mark.parametrize("is_in_use", [False, True])
def test_reading_a_missing_file_finds_nothing_and_creates_none(path: Path, is_in_use: bool) -> None:
    with ExitStack() as stack:
        if is_in_use:  # by a service that has just begun
            stack.enter_context(locked(path))
        with readable(path) as reader:
            assert State(reader).folders.rows() == []
    assert not path.exists()


# Versions.


def test_a_new_file_has_the_newest_version(database: Database) -> None:
    assert database.one("PRAGMA user_version") == len(STEPS)


def test_an_older_file_is_upgraded_step_by_step(path: Path) -> None:
    with closing(Database(path)) as database:
        State(database).set_fact("kept", "1")
    step = "ALTER TABLE fact ADD COLUMN since REAL; CREATE TABLE extra (a INTEGER) STRICT;"
    steps = (*STEPS, step)
    with pytest.raises(StateError, match="older format"):
        Database(path, readonly=True, steps=steps)
    with closing(Database(path, steps=steps)) as database:
        assert database.one("PRAGMA user_version") == len(steps)
        assert database.query("SELECT name, value, since FROM fact") == [("kept", "1", None)]
        assert database.query("SELECT * FROM extra") == []
    Database(path, steps=steps).close()


def test_before_an_upgrade_the_old_file_is_copied(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "snoopsync")
    with closing(Database(path)) as database:
        State(database).set_fact("kept", "1")
    copy = path.with_name(f"{path.name}.format-{len(STEPS)}")
    assert not copy.exists()
    steps = (*STEPS, "DELETE FROM fact;")
    with closing(Database(path, steps=steps)) as database:
        assert State(database).fact("kept") is None
    assert str(copy) in caplog.text
    Database(path, steps=steps).close()
    with pytest.raises(StateTooNew):
        Database(path)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    copy.replace(path)
    with closing(Database(path)) as database:
        assert State(database).fact("kept") == "1"


def test_without_space_for_the_copy_nothing_is_upgraded(path: Path) -> None:
    with closing(Database(path)) as database:
        State(database).set_fact("kept", "1")
    path.with_name(f"{path.name}.format-{len(STEPS)}.new").mkdir()
    with pytest.raises(StateError, match=re.escape(str(path))):
        Database(path, steps=(*STEPS, "DELETE FROM fact;"))
    with closing(Database(path)) as database:
        assert State(database).fact("kept") == "1"


def test_a_step_that_fails_leaves_the_file_unchanged(path: Path) -> None:
    with closing(Database(path)) as database:
        State(database).set_fact("kept", "1")
    bad = "CREATE TABLE extra (a INTEGER) STRICT; INSERT INTO nowhere VALUES (1);"
    with pytest.raises(StateError):
        Database(path, steps=(*STEPS, bad))
    with closing(Database(path)) as database:
        assert State(database).fact("kept") == "1"


@pytest.mark.parametrize("reason", ["a day has passed", "the machine was booted"])
def test_a_file_is_checked_again_after_a_day_and_after_a_boot(path: Path, reason: str) -> None:
    """Every page of it, although nothing has written to it."""
    clock = SetClock()
    with closing(Database(path, clock=clock)) as database:
        fill(database)
    forget_in_index(path, "image_held", "UPDATE image SET held = 1")
    record_check(path, clock.seconds, clock)  # as if the file had been closed like this
    Database(path, clock=clock).close()
    if reason == "a day has passed":
        clock.seconds += 25 * 3600.0
    else:
        clock.boot = "another"
    with pytest.raises(StateDamaged):
        Database(path, clock=clock)


class SetClock(Clock):
    seconds = 1_000_000.0
    boot = "one"

    def now(self) -> float:
        return self.seconds

    def boot_id(self) -> str:
        return self.boot


def test_a_file_of_a_newer_version_is_left_alone(path: Path) -> None:
    with closing(Database(path)) as database:
        database.change(f"PRAGMA user_version = {len(STEPS) + 1}")
    before = path.read_bytes()
    for readonly in (False, True):
        with pytest.raises(StateTooNew, match="upgrade snoopsync"):
            Database(path, readonly=readonly)
    assert path.read_bytes() == before


def test_the_database_of_another_program_is_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE bookmark (url TEXT)")
    before = path.read_bytes()
    with pytest.raises(StateError, match="another program") as raised:
        Database(path)
    assert not isinstance(raised.value, StateDamaged)
    assert path.read_bytes() == before


# Damage.


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a state file with some of everything in it."""
    path = tmp_path_factory.mktemp("sound") / "state.sqlite3"
    with closing(Database(path)) as database:
        fill(database)
    return path.read_bytes()


def fill(database: Database) -> None:
    state = State(database)
    state.folders.save(FolderRow("photos", b"/srv/photos", 1, 2))
    rel_paths = [RelPath("photos", b"%d/IMG_%d.jpg" % (i // 30, i)) for i in range(200)]
    state.intents.apply(
        [
            Add(rel_path, next(image_ids("nas", rel_path)), File(Fingerprint(i, 2, 3, 4)))
            for i, rel_path in enumerate(rel_paths)
        ],
        now=1.0,
    )
    for item in state.intents.outstanding(100, 1.0, ["photos"]):
        state.intents.confirm(Sent(item.record.image_id, item.mark, b"x" * 32, None), now=2.0)


def use(database: Database) -> None:
    state, pairs, searches = State(database), Pairs(database), Searches(database)
    state.folders.rows()
    state.counts()
    list(state.images())
    state.known("photos", b"1")
    state.rel_paths_below("photos", b"3")
    state.intents.outstanding(100, 3.0, ["photos"])
    rel_path = RelPath("photos", b"new.jpg")
    state.intents.apply(
        [Add(rel_path, next(image_ids("nas", rel_path)), File(Fingerprint(9, 2, 3, 4)))], 5.0
    )
    for record in state.records_in("photos")[:20]:
        state.intents.forget(record.image_id)
    list(pairs.listed(everything=True))
    list(Groups(database, {}).everything(0.0))
    searches.due(50)
    searches.settle()


@pytest.mark.parametrize("seed", range(100))
def test_a_damaged_file_is_called_damaged_or_works(path: Path, sound: bytes, seed: int) -> None:
    """No damaged byte causes another error. "Too new" is allowed: a damaged version number looks
    like that."""
    dice = random.Random(seed)
    damaged = bytearray(sound)
    where = dice.choice([100, 4096, len(sound)])  # the header, the tables' definitions, anywhere
    for _ in range(dice.choice([1, 1, 8, 64])):
        damaged[dice.randrange(where)] = dice.randrange(256)
    if seed % 7 == 0:
        del damaged[dice.randrange(len(damaged)) :]
    path.write_bytes(damaged)
    with contextlib.suppress(StateDamaged, StateTooNew), closing(Database(path)) as database:
        use(database)


@pytest.mark.parametrize(
    "content", [b"not a database at all, but long enough to look like one" * 20, b"\0" * 8192]
)
def test_a_file_that_is_not_a_database_is_damaged(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(StateDamaged, match="is damaged"):
        Database(path)


def forget_in_index(path: Path, index: str, change: str) -> None:
    """Change a table without its index."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA writable_schema = ON")
        where = "FROM sqlite_schema WHERE name = ?"
        row = other.execute(f"SELECT * {where}", (index,)).fetchone()
        other.execute(f"DELETE {where}", (index,))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(change)
        other.execute("PRAGMA writable_schema = ON")
        other.execute("INSERT INTO sqlite_schema VALUES (?, ?, ?, ?, ?)", row)
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("PRAGMA quick_check").fetchone() == ("ok",)


@pytest.mark.parametrize(
    ("index", "change"),
    [
        ("image_held", "UPDATE image SET held = 1"),  # no deletion would be held any more
        ("image_due", "UPDATE image SET dirty = 1 - dirty"),  # nothing would be sent
        ("image_seen", "UPDATE image SET size = size + 1"),  # a change would not be seen
    ],
)
def test_an_index_that_does_not_match_its_table_is_damage(
    path: Path, sound: bytes, index: str, change: str
) -> None:
    """SQLite's quick check does not detect this."""
    path.write_bytes(sound)
    forget_in_index(path, index, change)
    with pytest.raises(StateDamaged, match="is damaged"):
        Database(path)
    with pytest.raises(StateDamaged, match="is damaged"):
        scratch(path, proven=True)


def test_a_checked_file_is_trusted_only_while_no_byte_of_it_changes(
    path: Path,
) -> None:
    """Whatever its times are: disks lose bytes without an error."""
    with closing(Database(path)) as database:
        fill(database)
    stat = path.stat()
    data = bytearray(path.read_bytes())
    at = data.index(b"/srv/photos")
    Database(path).close()
    data[at] ^= 1
    path.write_bytes(data)
    forget_in_index(path, "image_held", "UPDATE image SET held = 1")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(StateDamaged):
        Database(path)


def test_a_damaged_file_is_moved_aside_with_its_journal(path: Path) -> None:
    journal = path.with_name("state.sqlite3-wal")
    path.write_bytes(b"damaged")
    journal.write_bytes(b"journal")
    aside = move_aside(path, "damaged-1")
    assert aside.read_bytes() == b"damaged"
    assert aside.with_name(aside.name + "-wal").read_bytes() == b"journal"
    assert not path.exists()
    assert not journal.exists()
    Database(path).close()


@pytest.mark.parametrize(
    ("name", "message"),
    [("directory", "directory"), ("file/state.sqlite3", "/file: Not a directory")],
)
def test_a_path_that_cannot_be_used_is_a_state_error(
    tmp_path: Path, name: str, message: str
) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match=message):
        Database(tmp_path / name)


# Being killed.

WRITER = """
import sys
from pathlib import Path
from snoopsync.state.database import Database
from snoopsync.state.images import State

state = State(Database(Path(sys.argv[1])))
for number in range(1_000_000):
    with state.transaction():
        state.set_fact("first", str(number))
        state.set_fact("second", str(number))
    print(number, flush=True)
"""


@pytest.mark.parametrize("commits", [1, 17])
def test_a_kill_loses_no_committed_transaction(path: Path, commits: int) -> None:
    """After kill -9 every transaction that was reported as committed is complete."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        said = [int(next(writer.stdout)) for _ in range(commits)][-1]
        writer.send_signal(signal.SIGKILL)
        said = max([said, *(int(line) for line in writer.stdout if line.endswith("\n"))])
    with closing(Database(path)) as database:
        state = State(database)
        assert state.fact("first") == state.fact("second")
        assert int(state.fact("first") or -1) >= said
