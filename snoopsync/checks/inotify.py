"""Checks whether the system's inotify limits are high enough for the folders."""

from __future__ import annotations

from collections.abc import Iterator

from snoopsync.checks.finding import Finding, error, ok, warning
from snoopsync.core.errors import SnoopsyncError
from snoopsync.core.text import counted
from snoopsync.watching.limits import Limit, Limits, Use

WATCHES = "inotify watches"
INSTANCES = "inotify instances"
QUEUE = "inotify queue"

#: Warn if more than this share of a limit is used.
_NEAR = 0.75

#: The smallest limits to recommend: the defaults of most distributions and of the kernel.
_WATCHES = 524_288
_INSTANCES = 1024
_QUEUED_EVENTS = 16_384

_SYSCTL_FILE = "/etc/sysctl.d/60-snoopsync.conf"


def inotify_findings(
    limits: Limits, others: Use, folders: int, directories: int, *, at_least: bool = False
) -> Iterator[Finding]:
    """The findings about the limits. ``others``: what other programs of this user use. ``folders``:
    the number of folders that are watched by events. ``directories``: the total number of their
    directories, or with ``at_least`` only a lower bound."""
    if not folders:
        yield ok("inotify", "no folder is watched by events")
        return
    least = "at least " if at_least else ""
    # Each folder needs one more watch, for the event that tests the watcher.
    yield _limit_finding(
        WATCHES,
        f"{least}{counted(directories, 'directory', 'directories')} to watch",
        directories + folders,
        others.watches,
        limits.watches,
        _WATCHES,
    )
    yield _limit_finding(
        INSTANCES, f"{folders} needed", folders, others.instances, limits.instances, _INSTANCES
    )
    yield _queue_finding(limits.queued_events)


def _limit_finding(
    check: str, needs: str, needed: int, taken: int, limit: Limit, recommended: int
) -> Finding:
    """``recommended``: the smallest limit to recommend."""
    message = f"{needs}, {limit.value} allowed, {taken} taken by other programs"
    needed += taken
    fix = _commands_to_raise(limit, max(recommended, 1 << (2 * needed - 1).bit_length()))
    if needed > limit.value:
        message += ": too few, so only scans find some changes"
        return error(check, message, fix, SnoopsyncError)
    return warning(check, message, fix) if needed > _NEAR * limit.value else ok(check, message)


def _queue_finding(limit: Limit) -> Finding:
    message = f"room for {limit.value} events"
    if limit.value >= _QUEUED_EVENTS:
        return ok(QUEUE, message)
    message += ": if more arrive at once, the folder is scanned"
    return warning(QUEUE, message, _commands_to_raise(limit, _QUEUED_EVENTS))


def _commands_to_raise(limit: Limit, value: int) -> str:
    """The commands that raise a limit now and permanently."""
    return (
        f"sudo sysctl {limit.name}={value}\n"
        f"and permanently: echo {limit.name}={value} | sudo tee -a {_SYSCTL_FILE}"
    )
