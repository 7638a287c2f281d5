"""The exit code of each command: of a resync, of ``status``, ``check`` and ``duplicates``.

``snoopsync.core.exits`` defines the codes, and the code of each error. ``cli.root`` handles wrong
usage, interrupts and bugs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from snoopsync.core.exits import Exit, exit_code_of_kind
from snoopsync.core.model import FolderState

if TYPE_CHECKING:  # a command does not import what the others need
    from snoopsync.checks import Finding
    from snoopsync.status.model import Status
    from snoopsync.sync.resync_report import ResyncReport


def of_finding(finding: Finding) -> Exit:
    """The exit code of ``check`` if this finding is its first error."""
    return Exit.OK if finding.cause is None else exit_code_of_kind(finding.cause)


def of_status(status: Status) -> Exit:
    """The exit code of ``status``."""
    if status.service.trouble is not None:
        return Exit.BUG
    if status.collection.unauthorized:
        return Exit.UNAUTHORIZED
    if not status.collection.reachable:
        return Exit.UNREACHABLE
    if any(folder.state in (FolderState.MISSING, FolderState.HELD) for folder in status.folders):
        return Exit.HELD_OR_MISSING
    return Exit.IMAGES_FAILED if status.reasons() else Exit.OK


def of_resync(report: ResyncReport) -> Exit:
    """The exit code of ``resync``."""
    if report.trouble is not None:
        return Exit.UNAUTHORIZED if report.is_unauthorized else Exit.UNREACHABLE
    if report.summary.held or report.missing:
        return Exit.HELD_OR_MISSING
    return Exit.IMAGES_FAILED if report.has_failures else Exit.OK


def of_duplicates(*, is_open: bool, to_compare: int) -> Exit:
    """The exit code of ``duplicates --exit-code``. ``is_open``: a listed group is open."""
    if is_open:
        return Exit.DUPLICATES_OPEN
    return Exit.IMAGES_FAILED if to_compare else Exit.OK
