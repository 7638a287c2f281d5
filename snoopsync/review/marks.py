"""What a person has decided on the page and no service knows: which files are marked for removal,
which groups are set aside, and how each decision is undone.

It is a SQLite file of the page's own, one for each mirrored state file. Decisions that images are
not duplicates are in the state file instead.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import astuple, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from snoopsync.config.directories import no_home, state_directory
from snoopsync.core.errors import StateError
from snoopsync.runtime import sqlite

#: ``STEPS[n]`` takes a file from version n to n + 1. A released step never changes.
STEPS = (
    """
    -- A file that a person wants to remove, because keep_id is kept. Contents are hexadecimal.
    CREATE TABLE mark (
        image_id TEXT PRIMARY KEY,
        content TEXT NOT NULL,
        keep_id TEXT NOT NULL,
        keep_content TEXT NOT NULL,
        group_id INTEGER NOT NULL,
        at REAL NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX mark_group ON mark (group_id);
    -- A group that is not in the list of open groups, until a picture joins it after newest_at.
    CREATE TABLE aside (
        group_id INTEGER PRIMARY KEY,
        reason TEXT NOT NULL,
        newest_at REAL NOT NULL
    ) STRICT;
    -- What undoes a decision, as JSON: see review/decisions.py.
    CREATE TABLE action (
        action_id INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL,
        undo TEXT NOT NULL
    ) STRICT;
    """,
    """
    -- A file that an action moves to the trash, stored before the move. mark: as JSON. trashed: see
    -- review/trash.py.
    CREATE TABLE move (
        move_id INTEGER PRIMARY KEY,
        action_id INTEGER NOT NULL,
        mark TEXT NOT NULL,
        trashed TEXT NOT NULL
    ) STRICT;
    CREATE INDEX move_action ON move (action_id);
    """,
    # is_back: the file was put back from the trash, and the state may not have its image yet.
    "ALTER TABLE mark ADD COLUMN is_back INTEGER NOT NULL DEFAULT 0;",
    # is_companion: the file went together with the picture that it belongs to, and has no mark.
    "ALTER TABLE move ADD COLUMN is_companion INTEGER NOT NULL DEFAULT 0;",
)

#: The most actions that can be undone.
_MOST_ACTIONS = 1000


class AsideReason(StrEnum):
    """Why a group is not in the list of open groups."""

    LATER = "later"
    MARKED = "marked"


@dataclass(frozen=True, slots=True)
class Mark:
    """A file that is marked for removal, and the one that is kept instead. ``content`` and
    ``keep_content``: as the person saw them, hexadecimal. ``at``: Unix time."""

    image_id: str
    content: str
    keep_id: str
    keep_content: str
    group_id: int
    at: float


@dataclass(frozen=True, slots=True)
class Aside:
    """A group that is set aside. ``newest_at``: when its newest picture was found, Unix time."""

    group_id: int
    reason: AsideReason
    newest_at: float


@dataclass(frozen=True, slots=True)
class Action:
    """A decision that can be undone, and what undoes it."""

    number: int
    kind: str
    undo: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RecordedMove:
    """A file that an action moves to the trash. ``trashed`` is what puts it back. A companion of a
    marked picture has no mark of its own: ``mark`` has the ID of its image, empty if it is none,
    and its bytes."""

    number: int
    mark: Mark
    trashed: str
    is_companion: bool


def marks_path(state: Path) -> Path:
    """The file for this state file, in the directory of the user who runs the page."""
    directory = state_directory()
    if directory is None:
        raise no_home("$XDG_STATE_HOME", "XDG_STATE_HOME")
    name = hashlib.sha256(os.fsencode(state)).hexdigest()[:16]
    return directory / "review" / f"{name}.sqlite3"


class Marks:
    """The open file. For any thread, one at a time. Raises ``StateError``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._deciding = threading.Lock()
        self._lock = threading.RLock()
        with self._translated():
            self._connection = sqlite.open_durable(path, STEPS)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def one_decision(self) -> Iterator[None]:
        """Held while a decision is carried out or undone, so that a second click waits, also one on
        another page of the same state file."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with self._deciding, ExitStack() as stack:
            with self._translated():
                lock = os.open(f"{self._path}.lock", flags, 0o600)
                stack.callback(os.close, lock)
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything in the ``with``, or nothing if it raises."""
        with self._lock:
            if self._connection.in_transaction:
                yield
                return
            with sqlite.transaction(self._connection, self._translated):
                yield

    @property
    def version(self) -> str:
        """Changes with every change of the file."""
        changes = self._connection.total_changes
        return f"{changes}.{self._query('PRAGMA data_version')[0][0]}"

    def marks(self, groups: Collection[int] | None = None) -> list[Mark]:
        """All marks, or those of these groups, in the order of groups and IDs."""
        rows = self._query(
            "SELECT image_id, content, keep_id, keep_content, group_id, at FROM mark WHERE ?1"
            " OR group_id IN (SELECT value FROM json_each(?2)) ORDER BY group_id, image_id",
            (groups is None, json.dumps(list(groups or ()))),
        )
        return [Mark(*row) for row in rows]

    def marks_of_images(self, image_ids: Iterable[str]) -> list[Mark]:
        """The marks of these images."""
        rows = self._query(
            "SELECT image_id, content, keep_id, keep_content, group_id, at FROM mark"
            " WHERE image_id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(image_ids)),),
        )
        return [Mark(*row) for row in rows]

    def marks_naming(self, image_ids: Iterable[str]) -> list[Mark]:
        """The marks of these images, and of the images that are marked because one of these is
        kept."""
        rows = self._query(
            "SELECT image_id, content, keep_id, keep_content, group_id, at FROM mark WHERE image_id"
            " IN (SELECT value FROM json_each(?1)) OR keep_id IN (SELECT value FROM json_each(?1))",
            (json.dumps(list(image_ids)),),
        )
        return [Mark(*row) for row in rows]

    def asides(self) -> dict[int, Aside]:
        """All groups that are set aside, by number."""
        rows = self._query("SELECT group_id, reason, newest_at FROM aside")
        return {row[0]: Aside(row[0], AsideReason(row[1]), row[2]) for row in rows}

    def add_marks(self, marks: Sequence[Mark]) -> None:
        """Mark files. A file that is marked already gets the new mark."""
        columns = "image_id, content, keep_id, keep_content, group_id, at"
        replace = f"REPLACE INTO mark ({columns}) VALUES (?, ?, ?, ?, ?, ?)"
        self._change_many(replace, map(astuple, marks))

    def note_back(self, image_id: str) -> None:
        """Note that the file of this marked image was put back from the trash. The state knows the
        image again when a service or a resync has found the file."""
        self._query("UPDATE mark SET is_back = 1 WHERE image_id = ?", (image_id,))

    def returning(self) -> set[str]:
        """The marked images whose files were put back and that the state did not know again yet."""
        return {row[0] for row in self._query("SELECT image_id FROM mark WHERE is_back")}

    def note_known(self, image_ids: Iterable[str]) -> None:
        """Note that the state knows these images again."""
        known = "UPDATE mark SET is_back = 0 WHERE image_id = ?"
        self._change_many(known, ((each,) for each in image_ids))

    def end(self, marks: Collection[Mark]) -> None:
        """Remove these marks. A group without any marked image is open again."""
        groups = {each.group_id for each in marks}
        with self.transaction():
            self.remove_marks(each.image_id for each in marks)
            self.take_back(groups - {each.group_id for each in self.marks(groups)})

    def remove_marks(self, image_ids: Iterable[str]) -> None:
        """Unmark these images."""
        self._change_many("DELETE FROM mark WHERE image_id = ?", ((each,) for each in image_ids))

    def set_aside(self, groups: Iterable[Aside]) -> None:
        """Take these groups out of the list of open groups."""
        self._change_many("REPLACE INTO aside VALUES (?, ?, ?)", map(astuple, groups))

    def take_back(self, groups: Iterable[int]) -> None:
        """Put these groups back into the list of open groups, and unmark their images."""
        numbers = [(group,) for group in groups]
        with self.transaction():
            self._change_many("DELETE FROM aside WHERE group_id = ?", numbers)
            self._change_many("DELETE FROM mark WHERE group_id = ?", numbers)

    def add_action(self, kind: str, undo: dict[str, Any]) -> int:
        """Record how a decision is undone. Returns its number."""
        with self.transaction():
            [(number,)] = self._query(
                "INSERT INTO action (kind, undo) VALUES (?, ?) RETURNING action_id",
                (kind, json.dumps(undo)),
            )
            for table in ("action", "move"):
                old = f"DELETE FROM {table} WHERE action_id <= ?"
                self._query(old, (number - _MOST_ACTIONS,))
        return int(number)

    def last_action(self) -> Action | None:
        """The decision that is undone next."""
        rows = self._query(
            "SELECT action_id, kind, undo FROM action ORDER BY action_id DESC LIMIT 1"
        )
        return Action(rows[0][0], rows[0][1], json.loads(rows[0][2])) if rows else None

    def remove_action(self, number: int) -> None:
        """Forget a decision, because it is undone."""
        with self.transaction():
            self._query("DELETE FROM action WHERE action_id = ?", (number,))
            self._query("DELETE FROM move WHERE action_id = ?", (number,))

    def add_move(self, action: int, mark: Mark, trashed: str, *, is_companion: bool = False) -> int:
        """Store that this action moves a file to the trash. Returns the number of the move."""
        [(number,)] = self._query(
            "INSERT INTO move (action_id, mark, trashed, is_companion) VALUES (?, ?, ?, ?)"
            " RETURNING move_id",
            (action, json.dumps(astuple(mark)), trashed, is_companion),
        )
        return int(number)

    def moves(self, action: int) -> list[RecordedMove]:
        """The files that this action moved, in that order."""
        rows = self._query(
            "SELECT move_id, mark, trashed, is_companion FROM move WHERE action_id = ?"
            " ORDER BY move_id",
            (action,),
        )
        return [
            RecordedMove(row[0], Mark(*json.loads(row[1])), row[2], bool(row[3])) for row in rows
        ]

    def remove_move(self, number: int) -> None:
        """Forget a move, because the file is not in the trash, or cannot be put back."""
        self._query("DELETE FROM move WHERE move_id = ?", (number,))

    def _query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        with self._lock, self._translated():
            return self._connection.execute(sql, parameters).fetchall()

    def _change_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        with self.transaction(), self._translated():
            self._connection.executemany(sql, rows)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        with sqlite.translated(self._path, lambda each: StateError(each.about(str(self._path)))):
            yield
