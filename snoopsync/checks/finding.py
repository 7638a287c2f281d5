"""What was found, how bad it is, and how to fix it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from snoopsync.core.exits import Exit


class Health(StrEnum):
    """How bad it is. A ``WARNING`` keeps nothing from being mirrored now."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    ``check`` says what. ``fix``: what to do about it, one thing a line; ``None`` where nothing is
    to be done. ``exit_code``: of a command that ends with this error.
    """

    check: str
    state: Health
    message: str
    fix: str | None = None
    exit_code: Exit = Exit.OK


def ok(check: str, message: str) -> Finding:
    """All is well."""
    return Finding(check, Health.OK, message)


def warning(check: str, message: str, fix: str) -> Finding:
    """It works, and not as well as it could, or not for long."""
    return Finding(check, Health.WARNING, message, fix)


def error(check: str, message: str, fix: str, exit_code: Exit) -> Finding:
    """Something is not mirrored, or won't be."""
    return Finding(check, Health.ERROR, message, fix, exit_code)
