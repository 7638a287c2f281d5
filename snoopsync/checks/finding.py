"""The result of a check."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from snoopsync.core.errors import SnoopsyncError


class Severity(StrEnum):
    """``WARNING``: everything is mirrored now, but not as well as possible, or not for long.
    ``ERROR``: something is not mirrored, or will not be."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    ``check`` names what was checked. ``fix``: what to do, one step per line, ``None`` if nothing is
    wrong. ``cause``: the kind of error that other commands end with because of this finding.
    """

    check: str
    severity: Severity
    message: str
    fix: str | None = None
    cause: type[SnoopsyncError] | None = None


def ok(check: str, message: str) -> Finding:
    """A finding that nothing is wrong."""
    return Finding(check, Severity.OK, message)


def warning(check: str, message: str, fix: str) -> Finding:
    """A finding with severity ``WARNING``."""
    return Finding(check, Severity.WARNING, message, fix)


def error(check: str, message: str, fix: str, cause: type[SnoopsyncError]) -> Finding:
    """A finding with severity ``ERROR``."""
    return Finding(check, Severity.ERROR, message, fix, cause)
