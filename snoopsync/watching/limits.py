"""The system's limits for inotify, and how much of them is used."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

#: Where Linux has the limits, see inotify(7) and namespaces(7).
SYSCTLS = Path("/proc/sys")

PROCESSES = Path("/proc")


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit and its name for ``sysctl``."""

    name: str
    value: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What a user may have: watches and instances in all processes together, and events that wait
    in one instance."""

    watches: Limit
    instances: Limit
    queued_events: Limit


@dataclass(frozen=True, slots=True)
class Use:
    """What a user's processes have in use."""

    watches: int
    instances: int


def read_limits(sysctls: Path = SYSCTLS) -> Limits | None:
    """The limits, or ``None`` on a system without inotify. A container may have lower ones of its
    own than the system."""
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
        return limit  # a kernel without limits for namespaces


def read_use(user: int, besides: int | None = None, processes: Path = PROCESSES) -> Use:
    """What the processes of this user (by number) have in use now, as far as this process may look.
    The process ``besides`` does not count."""
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
            if os.readlink(descriptor) == "anon_inode:inotify":  # noqa: PTH115 - it leads nowhere
                yield (process / "fdinfo" / descriptor.name).read_text().count("inotify wd:")
