"""The state file: can it be written, is there room, is it sound? And the logs' places."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.filesize import decimal

from snoopsync.checks.finding import Finding, error, ok, warning
from snoopsync.config.settings import Config
from snoopsync.core.errors import StateDamaged, StateError, StateTooNew, UnsafeDirectory
from snoopsync.core.exits import Exit, exit_code
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

#: With less room than this (bytes) a disk is nearly full: the state of 100,000 images takes 40 MB.
_LITTLE_ROOM = 100_000_000

#: No file: what is read from it is empty.
NOWHERE = Path("/nonexistent/state.sqlite3")


@dataclass(frozen=True, slots=True)
class StateLook:
    """The state file as it could be read: ``database`` is a copy in memory, empty where there is
    nothing to read; ``finding`` says how it is."""

    database: Database
    finding: Finding


def read_state(path: Path) -> StateLook:
    """Look at the state file, whoever else uses it."""
    try:
        database = scratch(path, proven=True)
    except StateError as failure:
        return StateLook(scratch(NOWHERE), _unusable(failure))
    # The path is known to be one that can be looked at.
    if not path.exists():
        return StateLook(database, ok(STATE_FILE, "none yet, the first run makes it"))
    known = sum(count.images for count in State(database).counts().values())
    return StateLook(database, ok(STATE_FILE, f"{printable(str(path))}: sound, {images(known)}"))


def _unusable(failure: StateError) -> Finding:
    mend = "let this user read it, or set state: to another file"
    if isinstance(failure, StateDamaged):
        mend = (
            "snoopsync resync moves it aside, and rebuilds it from the folders and the collection"
        )
    elif isinstance(failure, StateTooNew):
        mend = "upgrade this snoopsync, or set state: to another file"
    return error(STATE_FILE, str(failure), mend, exit_code(failure))


def place_findings(config: Config) -> Iterator[Finding]:
    """Can what snoopsync writes be written where it is to be?"""
    yield state_place_finding(config.state)
    if (found := _log_trouble(config.log.file)) is not None:
        yield error("log.file", found, "set log.file to another file", Exit.CONFIG)
    if (found := _log_trouble(config.duplicates.log)) is not None:
        message = f"{found}: alerts are only in the log"
        yield warning("duplicates.log", message, "set duplicates.log to another file")


def _log_trouble(path: Path | None) -> str | None:
    found = None if path is None else obstacle_to(path)
    return None if found is None else f"{printable(str(path))}: {found.partition(': ')[0]}"


def state_place_finding(path: Path) -> Finding:
    """Can the state file be written, is there room, and is its directory this user's alone?"""
    directory = printable(str(path.parent))
    if (owned := _owned_finding(path)) is not None:
        return owned
    if (found := obstacle_to(path)) is not None:
        problem, _, mend = found.partition(": ")
        return error(STATE_DIRECTORY, f"{directory}: {problem}", mend, Exit.BUG)
    there = os.statvfs(_standing(path).parent)
    room = there.f_bavail * there.f_frsize
    message = f"{directory}: can be written, {decimal(room)} free"
    if room < _LITTLE_ROOM:
        mend = "make room there, or set state: to a file on another disk"
        return warning(STATE_DIRECTORY, message, mend)
    return ok(STATE_DIRECTORY, message)


def _owned_finding(path: Path) -> Finding | None:
    """What ``check`` says of a directory that is not this user's alone."""
    try:
        require_own(path.parent)
    except UnsafeDirectory as unsafe:
        if unsafe.owner is not None and holder(path) is not None:
            name = printable(str(path.parent))
            message = f"{name}: belongs to {user_name(unsafe.owner)}, whose snoopsync uses it"
            return ok(STATE_DIRECTORY, message)
        problem, _, mend = str(unsafe).partition(": ")
        if unsafe.owner is not None:
            problem = str(unsafe)
            mend = "run snoopsync as that user, or set state: to a file in another directory"
        return error(STATE_DIRECTORY, problem, mend, Exit.BUG)
    except StateError:
        return None  # what comes next says why
    return None


def obstacle_to(path: Path) -> str | None:
    """What keeps this file from being written, or made with the directories above it; after a
    colon, how to mend that."""
    standing = _standing(path)
    if os.path.isdir(standing):  # noqa: PTH112 - Path's raises where it may not look
        return f"{printable(str(standing))} is a directory: name a file"
    if not os.path.isdir(standing.parent):  # noqa: PTH112
        return f"{printable(str(standing.parent))} is no directory: name another place"
    if not os.access(standing.parent, os.X_OK):
        return "this user may not look there: change its owner, or run snoopsync as its owner"
    return why_unwritable(standing)


def _standing(path: Path) -> Path:
    """The file if its directory is there; else the first directory that would have to be made."""
    while not os.path.lexists(path.parent):
        path = path.parent
    return path
