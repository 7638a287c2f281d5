"""Are the system's limits for watching wide enough for the folders?"""

from __future__ import annotations

from collections.abc import Iterator

from snoopsync.checks.finding import Finding, error, ok, warning
from snoopsync.core.exits import Exit
from snoopsync.core.text import counted
from snoopsync.watching.limits import Limit, Limits, Use

WATCHES = "inotify watches"
INSTANCES = "inotify instances"
QUEUE = "inotify queue"

#: From this share of a limit on it is near.
_NEAR = 0.75

#: What is advised at least, as most distributions have it by now, and the kernel's own default.
_WATCHES = 524_288
_INSTANCES = 1024
_QUEUED_EVENTS = 16_384

_SYSCTL_FILE = "/etc/sysctl.d/60-snoopsync.conf"


def inotify_findings(
    limits: Limits, others: Use, folders: int, directories: int, *, at_least: bool = False
) -> Iterator[Finding]:
    """What the limits mean for this many folders that are watched by events, with this many
    directories in all (``at_least``: they were not all counted), beside what other programs of the
    user have."""
    if not folders:
        yield ok("inotify", "no folder is watched by events")
        return
    least = "at least " if at_least else ""
    # One more a folder is the canary by which the watching is tested.
    yield _judged(
        WATCHES,
        f"{least}{counted(directories, 'directory', 'directories')} to watch",
        directories + folders,
        others.watches,
        limits.watches,
        _WATCHES,
    )
    yield _judged(
        INSTANCES, f"{folders} needed", folders, others.instances, limits.instances, _INSTANCES
    )
    yield _queue(limits.queued_events)


def _judged(check: str, what: str, needed: int, taken: int, limit: Limit, least: int) -> Finding:
    """``least`` is what is advised at least."""
    message = f"{what}, {limit.value} allowed, {taken} taken by other programs"
    needed += taken
    mend = _raised(limit, max(least, 1 << (2 * needed - 1).bit_length()))
    if needed > limit.value:
        message += ": too few, so some changes are only found by scans"
        return error(check, message, mend, Exit.BUG)
    return warning(check, message, mend) if needed > _NEAR * limit.value else ok(check, message)


def _queue(limit: Limit) -> Finding:
    message = f"room for {limit.value} events"
    if limit.value >= _QUEUED_EVENTS:
        return ok(QUEUE, message)
    message += ": when more come at once, everything is scanned"
    return warning(QUEUE, message, _raised(limit, _QUEUED_EVENTS))


def _raised(limit: Limit, value: int) -> str:
    """How to raise a limit: now, and for good."""
    return (
        f"sudo sysctl {limit.name}={value}\n"
        f"and to keep it: echo {limit.name}={value} | sudo tee -a {_SYSCTL_FILE}"
    )
