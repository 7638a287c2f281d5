"""Checks the state file: whether it is writable and undamaged, and its free space. Also checks
whether the log files are writable."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rich.filesize import decimal

from snoopsync.checks.finding import Finding, error, ok, warning
from snoopsync.config.settings import Config
from snoopsync.control.group_access import group_obstacle
from snoopsync.core.errors import (
    ConfigError,
    StateDamaged,
    StateError,
    StateTooNew,
    UnsafeDirectory,
)
from snoopsync.core.model import printable
from snoopsync.core.text import images
from snoopsync.runtime.owned_directory import require_own, user_name
from snoopsync.runtime.writability import why_unwritable
from snoopsync.state.database import Database
from snoopsync.state.images import State
from snoopsync.state.lock import holder
from snoopsync.state.reading import scratch

STATE_DIRECTORY = "state directory"
STATE_FILE = "state file"

#: With fewer free bytes than this a disk is nearly full: the state of 100,000 images takes 40 MB.
_LOW_SPACE = 100_000_000

#: A file that does not exist. Reading it gives an empty state.
NOWHERE = Path("/nonexistent/state.sqlite3")


class WriteObstacle(NamedTuple):
    """Why a file can't be written, and how to fix that."""

    problem: str
    fix: str


@dataclass(frozen=True, slots=True)
class CheckedState:
    """A copy of the state file in memory, empty if it can't be read, and the finding about it."""

    database: Database
    finding: Finding


def read_state(path: Path) -> CheckedState:
    """Check the state file by reading all of it, even while a service uses it."""
    try:
        database = scratch(path, proven=True)
    except StateError as failure:
        return CheckedState(scratch(NOWHERE), _unusable(failure))
    if not path.exists():  # this does not raise, because ``scratch`` has read the path
        return CheckedState(
            database, ok(STATE_FILE, "does not exist yet: the first run creates it")
        )
    known = sum(count.images for count in State(database).counts().values())
    return CheckedState(database, ok(STATE_FILE, f"{printable(str(path))}: sound, {images(known)}"))


def _unusable(failure: StateError) -> Finding:
    fix = "let this user read it, or set state: to another file"
    if isinstance(failure, StateDamaged):
        fix = "run snoopsync resync: it rebuilds the state from the folders and the collection"
    elif isinstance(failure, StateTooNew):
        fix = "upgrade this snoopsync, or set state: to another file"
    return error(STATE_FILE, str(failure), fix, type(failure))


def output_findings(config: Config) -> Iterator[Finding]:
    """Findings about whether the state file and the log files can be written."""
    yield state_directory_finding(config.state)
    group = config.control.group
    if group is not None and (obstacle := group_obstacle(config.state.parent, group)) is not None:
        yield warning("control.group", obstacle.problem, obstacle.fix)
    if (problem := _log_problem(config.log.file)) is not None:
        yield error("log.file", problem, "set log.file to another file", ConfigError)
    if (problem := _log_problem(config.duplicates.log)) is not None:
        message = f"{problem}: alerts are only in the log"
        yield warning("duplicates.log", message, "set duplicates.log to another file")


def _log_problem(path: Path | None) -> str | None:
    found = None if path is None else write_obstacle(path)
    return None if found is None else f"{printable(str(path))}: {found.problem}"


def state_directory_finding(path: Path) -> Finding:
    """A finding about whether the state file at this path can be written, whether there is free
    space, and whether its directory belongs to this user alone."""
    directory = printable(str(path.parent))
    if (finding := _ownership_finding(path)) is not None:
        return finding
    if (found := write_obstacle(path)) is not None:
        return error(STATE_DIRECTORY, f"{directory}: {found.problem}", found.fix, StateError)
    disk = os.statvfs(_first_to_create(path).parent)
    free = disk.f_bavail * disk.f_frsize
    message = f"{directory}: writable, {decimal(free)} free"
    if free < _LOW_SPACE:
        fix = "free some space, or set state: to a file on another disk"
        return warning(STATE_DIRECTORY, message, fix)
    return ok(STATE_DIRECTORY, message)


def _ownership_finding(path: Path) -> Finding | None:
    """A finding if the directory does not belong to this user alone, else ``None``."""
    try:
        require_own(path.parent)
    except UnsafeDirectory as unsafe:
        if unsafe.owner is not None and holder(path) is not None:
            name = printable(str(path.parent))
            message = f"{name}: belongs to {user_name(unsafe.owner)}, whose snoopsync is running"
            return ok(STATE_DIRECTORY, message)
        problem, _, fix = str(unsafe).partition(": ")
        if unsafe.owner is not None:
            problem = str(unsafe)
            fix = "run snoopsync as that user, or set state: to a file in another directory"
        return error(STATE_DIRECTORY, problem, fix, StateError)
    except StateError:
        return None  # ``write_obstacle`` finds the reason
    return None


def write_obstacle(path: Path) -> WriteObstacle | None:
    """Why this file can't be written or created, or ``None`` if it can."""
    first = _first_to_create(path)
    try:
        first.lstat()
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            problem = f"{printable(str(first))}: {error.strerror}"
            return WriteObstacle(problem, "choose another path")
    if os.path.isdir(first):  # noqa: PTH112 - Path.is_dir raises without permission
        return WriteObstacle(f"{printable(str(first))} is a directory", "name a file")
    if not os.path.isdir(first.parent):  # noqa: PTH112
        problem = f"{printable(str(first.parent))} is not a directory"
        return WriteObstacle(problem, "choose another path")
    if not os.access(first.parent, os.X_OK):
        fix = "change its owner, or run snoopsync as its owner"
        return WriteObstacle("this user has no permission to look there", fix)
    found = why_unwritable(first)
    if found is None:
        return None
    problem, _, fix = found.partition(": ")
    return WriteObstacle(problem, fix)


def _first_to_create(path: Path) -> Path:
    """The file, or if its directory does not exist, the topmost directory to create."""
    while not os.path.lexists(path.parent):
        path = path.parent
    return path
