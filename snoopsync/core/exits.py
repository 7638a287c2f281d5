"""The exit codes, and the code of each error. ``cli.exit_codes`` decides for each command."""

from __future__ import annotations

from enum import IntEnum

from snoopsync.core.errors import (
    CollectionError,
    ConfigError,
    FolderMissing,
    ServiceFailed,
    ServiceUnavailable,
    SnoopsyncError,
    StateLocked,
    StateTooNew,
    Unauthorized,
)


class Exit(IntEnum):
    """The exit codes. Only ``OK`` means that everything is mirrored."""

    OK = 0
    BUG = 1
    USAGE = 2
    IMAGES_FAILED = 3
    HELD_OR_MISSING = 4
    UNREACHABLE = 5
    UNAUTHORIZED = 6
    LOCKED = 7
    DUPLICATES_OPEN = 8
    CONFIG = 78


_CODES: tuple[tuple[type[SnoopsyncError], Exit], ...] = (
    (ConfigError, Exit.CONFIG),
    (StateTooNew, Exit.CONFIG),
    (StateLocked, Exit.LOCKED),
    (ServiceUnavailable, Exit.LOCKED),
    (Unauthorized, Exit.UNAUTHORIZED),
    (CollectionError, Exit.UNREACHABLE),
    (FolderMissing, Exit.HELD_OR_MISSING),
)


def exit_code(error: SnoopsyncError) -> Exit:
    """The exit code of a command that fails with this error."""
    if isinstance(error, ServiceFailed):
        return Exit(error.exit_code)
    return exit_code_of_kind(type(error))


def exit_code_of_kind(kind: type[SnoopsyncError]) -> Exit:
    """The exit code of a command that fails with an error of this class."""
    return next((code for each, code in _CODES if issubclass(kind, each)), Exit.BUG)
