"""Every error that snoopsync raises on purpose.

::

    SnoopsyncError
    ├── ConfigError               the configuration; every problem at once
    ├── StateError                the state file can't be used
    │   ├── StateLocked           another snoopsync holds it
    │   ├── StateTooNew           a newer snoopsync wrote it
    │   ├── StateTooOld           it must be upgraded before it is read
    │   ├── StateDamaged          it is not a valid SQLite database
    │   ├── StateFull             its disk is full
    │   ├── StateReadOnly         its file system is read-only
    │   ├── StateReplaced         it was deleted or replaced while it was open
    │   └── UnsafeDirectory       another user owns its directory, or can write there
    ├── FolderMissing             the folder is missing, or is not the known one
    ├── FileChanged               a file changed while it was read
    ├── PictureRefused            a picture can't be shown or moved to the trash
    ├── ServiceUnavailable        the running service did not answer on its socket
    ├── ServiceFailed             the running service answered with an error
    ├── Stopped                   a call was interrupted because snoopsync is shutting down
    └── CollectionError           a request to the collection failed
        ├── Unreachable           no answer: connection reset or timed out
        │   └── NotConnected      no connection: nothing was sent
        ├── Unavailable           the service can't answer now: 5xx, 408, 425, 429
        │   └── Unwritable            the collection can't be changed: 507
        ├── BadAnswer             not a collection's answer: HTML, truncated JSON
        │   └── ExcessiveAnswer       larger than requested, or than any answer needs
        ├── Unauthorized          401, 403: the keys or the clock are wrong
        └── Refused               any other 4xx: a retry would fail too
            ├── NotFound          404
            ├── Conflict          409
            └── Undecodable       the picture can't be decoded on this machine

``CollectionError.permanent``: whether the same request would fail again.
``CollectionError.concerns_all``: whether every other request would fail too.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


class SnoopsyncError(Exception):
    """The root of all errors that a user may see. The message is for the user."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with the configuration.

    ``key`` is dotted (``folders[0].path``). ``line`` counts from 1, and is ``None`` for a problem
    outside of the file (an environment variable, an argument). ``fix`` is a command that fixes the
    problem, if there is one.
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
    """The configuration can't be used. ``problems``: all of them, in the order of the file."""

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


class StateTooOld(StateError):
    """The state file was written by an older snoopsync, and must be upgraded before it is read."""


class StateDamaged(StateError):
    """The state file is not a valid SQLite database."""


class StateFull(StateError):
    """The state file can't be written: its disk is full."""


class StateReadOnly(StateError):
    """The state file can't be written: its file system is read-only."""


class StateReplaced(StateError):
    """The state file was deleted or replaced while it was open."""


class UnsafeDirectory(StateError):
    """A directory that snoopsync would write to is not safe: another user owns it or can write in
    it, or a file in it is a link or belongs to another user. ``owner``: the user ID of the other
    user who owns ``directory`` and who can run the same command, if there is one."""

    def __init__(
        self, message: str, *, directory: Path | None = None, owner: int | None = None
    ) -> None:
        self.directory = directory
        self.owner = owner
        super().__init__(message)


class FolderMissing(SnoopsyncError):
    """A folder is missing, can't be read, or is not the known one."""


class FileChanged(SnoopsyncError):
    """A file changed while it was read."""


class PictureRefused(SnoopsyncError):
    """A picture can't be shown or moved to the trash. The message is the reason, a sentence
    without its end."""


class ServiceUnavailable(SnoopsyncError):
    """The running service did not answer on its socket."""


class ServiceFailed(SnoopsyncError):
    """The running service answered with an error. ``exit_code``: the exit code of the command that
    sent the request."""

    def __init__(self, message: str, exit_code: int) -> None:
        self.exit_code = exit_code
        super().__init__(message)


class Stopped(SnoopsyncError):
    """A call was interrupted while it waited, because snoopsync is shutting down."""


class CollectionError(SnoopsyncError):
    """A request to the collection failed.

    ``status``: the HTTP status; ``None`` if there was no answer. ``message``: the service's
    message, or a description of the failure. ``retry_after``: seconds to wait before the next
    attempt, if the service asked for a delay.
    """

    #: Whether the same request would always fail again.
    permanent: bool = False

    #: Whether the whole service, not only this request, failed for longer than the caller waits.
    outage: bool = False

    @property
    def concerns_all(self) -> bool:
        """Returns whether every other request would fail too."""
        return self.outage

    def __init__(
        self, message: str, *, status: int | None = None, retry_after: float | None = None
    ) -> None:
        self.message = message
        self.status = status
        self.retry_after = retry_after
        super().__init__(message if status is None else f"{status} {message}")


class Unreachable(CollectionError):
    """There was no answer: the connection was reset or closed, or the request timed out. The
    service may or may not have carried out the request."""


class NotConnected(Unreachable):
    """No connection was made: it was refused, the host name is unknown, or the certificate is not
    trusted. The request was not sent."""


class Unavailable(CollectionError):
    """The service can't answer now: 5xx, 408, 425 or 429."""


class Unwritable(Unavailable):
    """The collection can't be changed now: its disk is full or read-only. Reading may still
    work."""

    @property
    def concerns_all(self) -> bool:
        """Always true: no image can be written."""
        return True


class BadAnswer(CollectionError):
    """The answer does not come from a collection: HTML, truncated JSON, a missing key."""


class ExcessiveAnswer(BadAnswer):
    """The answer is larger than requested, or than any answer needs. It was not read to its end,
    and a retry would have the same result."""

    permanent = True


class Unauthorized(CollectionError):
    """401 or 403: the service does not accept the keys, or the clock is wrong."""

    permanent = True

    @property
    def concerns_all(self) -> bool:
        """Always true: every request uses the same keys and clock."""
        return True


class Refused(CollectionError):
    """The service refuses this request, and would refuse it again."""

    permanent = True


class NotFound(Refused):
    """404: the collection has no such image."""


class Conflict(Refused):
    """409: the collection already has an image with this ID."""


class Undecodable(Refused):
    """This machine can't decode the picture. ``status``: what a service answers for such a picture;
    no service has answered yet, so the text of the error is the message alone."""

    def __str__(self) -> str:
        return self.message
