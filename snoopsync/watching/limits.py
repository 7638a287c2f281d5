"""The system's limits for inotify, and how much of them is used."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

#: Where Linux keeps the limits. See inotify(7) and namespaces(7).
SYSCTLS = Path("/proc/sys")

PROCESSES = Path("/proc")


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit and its name for ``sysctl``."""

    name: str
    value: int


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a user: watches and instances in all processes together, and events queued in
    one instance."""

    watches: Limit
    instances: Limit
    queued_events: Limit


@dataclass(frozen=True, slots=True)
class Use:
    """How many watches and instances a user's processes use."""

    watches: int
    instances: int


def read_limits(sysctls: Path = SYSCTLS) -> Limits | None:
    """The limits, or ``None`` on a system without inotify. A container may have lower limits than
    the system."""
    try:
        return Limits(
            _lower(sysctls, "fs.inotify.max_user_watches", "user.max_inotify_watches"),
            _lower(sysctls, "fs.inotify.max_user_instances", "user.max_inotify_instances"),
            _lower(sysctls, "fs.inotify.max_queued_events"),
        )
    except (OSError, ValueError):
        return None


def _lower(sysctls: Path, name: str, others: str | None = None) -> Limit:
    limit = Limit(name, int((sysctls / name.replace(".", "/")).read_text()))
    if others is None:
        return limit
    try:
        return min(limit, _lower(sysctls, others), key=lambda limit: limit.value)
    except OSError:
        return limit  # this kernel has no limits per namespace


def read_use(user: int, besides: int | None = None, processes: Path = PROCESSES) -> Use:
    """What the processes of this user (a UID) use now, as far as this process can see. The process
    ``besides`` (a PID) does not count."""
    watches = instances = 0
    for process in processes.glob("[0-9]*"):
        if process.name == str(besides):
            continue
        # A process may end at any moment, or forbid access.
        with suppress(OSError):
            if process.stat().st_uid == user:
                for count in _instances(process):
                    instances += 1
                    watches += count
    return Use(watches, instances)


def _instances(process: Path) -> Iterator[int]:
    """The number of watches of each inotify instance that the process has."""
    for descriptor in (process / "fd").iterdir():
        with suppress(OSError):
            if os.readlink(descriptor) == "anon_inode:inotify":  # noqa: PTH115 - the link has no target
                yield (process / "fdinfo" / descriptor.name).read_text().count("inotify wd:")
