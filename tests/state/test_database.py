"""The state file survives kills, damage and concurrent use."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import signal
import stat
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from snoopsync.core.errors import StateDamaged, StateError, StateTooNew
from snoopsync.core.events import Event, log_event
from snoopsync.core.model import File, Fingerprint, RelPath, image_ids
from snoopsync.core.planner import Add
from snoopsync.state.database import Database
from snoopsync.state.groups import Groups
from snoopsync.state.images import State
from snoopsync.state.pairs import Pairs
from snoopsync.state.reading import scratch
from snoopsync.state.searches import Searches
from tests.state.helpers import fill, forget_in_index


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


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a state file with some of everything in it."""
    path = tmp_path_factory.mktemp("sound") / "state.sqlite3"
    with closing(Database(path)) as database:
        fill(database)
    return path.read_bytes()


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
