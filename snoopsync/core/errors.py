"""Every error that snoopsync raises on purpose.

::

    SnoopsyncError
    ├── ConfigError               the configuration; every problem at once
    ├── StateError                the state file can't be used
    │   ├── StateLocked           another snoopsync holds it
    │   ├── StateTooNew           a newer snoopsync wrote it
    │   ├── StateDamaged          it is no sound SQLite database
    │   ├── StateFull             its disk is full
    │   ├── StateReadOnly         its file system is read-only
    │   ├── StateReplaced         it was deleted or replaced while it was open
    │   └── UnsafeDirectory       another user owns its directory, or can write there
    ├── FolderMissing             the folder is not there, or not the one it was
    ├── FileChanged               a file was not the same before and after it was read
    ├── ServiceUnavailable        the running service did not answer on its socket
    ├── ServiceFailed             the running service answered that it could not
    ├── Stopped                   snoopsync is shutting down: the call was not made, or given up
    └── CollectionError           the collection did not do what it was asked
        ├── Unreachable           no answer at all: reset, timed out
        │   └── NotConnected      no connection either, so that nothing was sent
        ├── Unavailable           an answer that says "later": 5xx, 408, 425, 429
        │   └── Unwritable            no room for this image, nor for any other: 507
        ├── BadAnswer             an answer that is not the collection's: HTML, cut JSON
        │   └── ExcessiveAnswer       more than was asked for, or than is ever needed
        ├── Unauthorized          401, 403: the keys, or the clock
        └── Refused               any other 4xx: asking again will not help
            ├── NotFound          404
            └── Conflict          409

A ``CollectionError`` answers the one question a retry has to ask, in ``permanent``, and the one
its caller has to, in ``concerns_all``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


class SnoopsyncError(Exception):
    """The root: anything a user may meet, with a message written for them."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with the configuration.

    ``key`` is dotted (``folders[0].path``), ``line`` counts from 1 and is ``None`` where there is
    no line to point at (a variable of the environment, a command's argument). ``fix`` is a command
    that fixes it, if there is one.
    """

    key: str
    message: str
    line: int | None = None
    fix: str | None = None

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line is not None else ""
        fix = f": {self.fix}" if self.fix is not None else ""
        return f"{where}{self.key}: {self.message}{fix}"


class ConfigError(SnoopsyncError):
    """The configuration can't be used. ``problems`` has every reason, in the file's order."""

    def __init__(self, source: str, problems: tuple[Problem, ...]) -> None:
        self.source = source
        self.problems = problems
        super().__init__("\n".join(f"{source}: {problem}" for problem in problems))


class StateError(SnoopsyncError):
    """The state file can't be used as it is."""


class StateLocked(StateError):
    """Another snoopsync holds the state file."""


class StateTooNew(StateError):
    """The state file was written by a newer snoopsync."""


class StateDamaged(StateError):
    """The state file is not a sound SQLite database."""


class StateFull(StateError):
    """The state file can't be written: its disk is full."""


class StateReadOnly(StateError):
    """The state file can't be written: its file system is read-only."""


class StateReplaced(StateError):
    """The state file was deleted, or another one put into its place, while it was open."""


class UnsafeDirectory(StateError):
    """A directory that snoopsync would write in is not its user's alone, or a file in it is a link
    or another user's. ``owner``: the user (uid) whose ``directory`` it is and who can run the same
    command, if that is the reason."""

    def __init__(
        self, message: str, *, directory: Path | None = None, owner: int | None = None
    ) -> None:
        self.directory = directory
        self.owner = owner
        super().__init__(message)


class FolderMissing(SnoopsyncError):
    """A folder is not there, can't be read, or is another one than it was."""


class FileChanged(SnoopsyncError):
    """A file was not the same before and after it was read."""


class ServiceUnavailable(SnoopsyncError):
    """The running service did not answer on its socket."""


class ServiceFailed(SnoopsyncError):
    """The running service answered that it could not do what it was asked. ``exit_code`` is the
    one for the command that asked."""

    def __init__(self, message: str, exit_code: int) -> None:
        self.exit_code = exit_code
        super().__init__(message)


class Stopped(SnoopsyncError):
    """snoopsync is shutting down: a call that waited was given up."""


class CollectionError(SnoopsyncError):
    """The collection did not do what it was asked.

    ``status`` is the HTTP status, ``None`` where there was no answer; ``message`` what the service
    said, or what happened; ``retry_after`` the seconds it asked to be left alone, if it did.
    """

    #: Would the same request fail again, however often it is sent?
    permanent: bool = False

    #: Was the whole service away for longer than the caller waits? If not, this request has failed.
    outage: bool = False

    @property
    def concerns_all(self) -> bool:
        """Would every other request fail too?"""
        return self.outage

    def __init__(
        self, message: str, *, status: int | None = None, retry_after: float | None = None
    ) -> None:
        self.message = message
        self.status = status
        self.retry_after = retry_after
        super().__init__(message if status is None else f"{status} {message}")


class Unreachable(CollectionError):
    """There was no answer: the connection was reset or closed, or the time ran out. Whether the
    request was carried out can't be known."""


class NotConnected(Unreachable):
    """There was no connection: refused, a name not found, a certificate not trusted. The request
    was never sent."""


class Unavailable(CollectionError):
    """The service answered that it can't now: 5xx, 408, 425 or 429."""


class Unwritable(Unavailable):
    """The collection can't change anything now: its disk is full, or read-only. It may answer
    questions all the same."""

    @property
    def concerns_all(self) -> bool:
        """Yes."""
        return True


class BadAnswer(CollectionError):
    """The answer is not one of the collection's: HTML, truncated JSON, a key that is missing."""


class ExcessiveAnswer(BadAnswer):
    """The answer has more than was asked for, or than any answer needs: entries, bytes, a text of
    megabytes. It was not read to its end, and asking again would bring the same."""

    permanent = True


class Unauthorized(CollectionError):
    """401 or 403: the service does not take the keys (or the clock is off)."""

    permanent = True

    @property
    def concerns_all(self) -> bool:
        """Yes."""
        return True


class Refused(CollectionError):
    """The service will not take this request, however often it is sent."""

    permanent = True


class NotFound(Refused):
    """404: the collection has no such image."""


class Conflict(Refused):
    """409: the collection has an image under this ID already."""
