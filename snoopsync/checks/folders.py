"""Checks each folder: whether it is present and readable, and how it is watched."""

from __future__ import annotations

import errno
import getpass
import os
import shlex
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from snoopsync.checks.finding import Finding, error, ok, warning
from snoopsync.config.settings import FolderConfig
from snoopsync.core.errors import FolderMissing
from snoopsync.core.left_out import EXTRAS, LeftOut, LeftOutCounts, describe, merge
from snoopsync.core.model import printable
from snoopsync.core.retiring import FOLDER_GONE, disk_gone
from snoopsync.core.text import counted, images
from snoopsync.folders.folder import Folder
from snoopsync.state.images import State
from snoopsync.watching.mounts import MOUNTINFO, choose_watch, mount_of

#: How long to survey one folder at most.
SURVEY_SECONDS = 5.0

_FORBIDDEN = os.strerror(errno.EACCES)


@dataclass(frozen=True, slots=True)
class FolderSurvey:
    """The numbers of a folder's images to mirror, directories and unreadable paths, and the first
    unreadable path with the reason. ``left_out`` counts what is not mirrored. ``is_complete`` is
    false if time ran out."""

    images: int
    directories: int
    unreadable: int
    first_unreadable: tuple[bytes, str] | None
    is_complete: bool
    left_out: LeftOutCounts = field(default_factory=dict)

    def __str__(self) -> str:
        at_least = "" if self.is_complete else "at least "
        directories = counted(self.directories, "directory", "directories")
        return f"{at_least}{images(self.images)} in {directories}"


def survey(
    folder: Folder, until: float, clock: Callable[[], float] = time.monotonic
) -> FolderSurvey:
    """List the folder's directories and check whether its images can be read, until the clock
    reaches ``until``."""
    images = directories = not_listed = 0
    unreadable: dict[bytes, str] = {}
    left_out: LeftOutCounts = {}
    pending = deque([b""])
    with folder.session() as session:
        while pending and clock() < until:
            directory = pending.popleft()
            try:
                listing = session.list_directory(directory)
            except FileNotFoundError:
                continue  # the directory was removed after its parent was listed
            except (OSError, FolderMissing) as failure:
                unreadable[directory] = getattr(failure, "strerror", None) or str(failure)
                not_listed += 1
                continue
            directories += 1
            images += len(listing.files)
            merge(left_out, listing.left_out)
            prefix = directory + b"/" if directory else b""
            unreadable |= {prefix + name: reason for name, reason in listing.unclear.items()}
            not_listed += len(listing.unclear)
            for name in listing.files:
                if not session.may_read(prefix + name):
                    unreadable[prefix + name] = _FORBIDDEN
            pending.extend(listing.directories)
    first = next(((folder.absolute(path), why) for path, why in unreadable.items()), None)
    if not_listed:
        left_out[LeftOut.UNREADABLE] = {"": not_listed}
    return FolderSurvey(images, directories, len(unreadable), first, not pending, left_out)


def missing_finding(config: FolderConfig, folder: Folder, reason: str | None = None) -> Finding:
    """The finding about a missing folder. ``reason``: why the directory at its path is not the
    folder."""
    try:
        folder.identify()
    except FolderMissing as failure:
        message, fix = str(failure), "mount its disk, or correct its path"
        if message.endswith(_FORBIDDEN):
            fix = _grant_access(config.path)
    else:
        path = printable(folder.path)
        message = f"{path} is not the same directory as before (an empty mount point?)"
        if reason is not None:
            message = reason.partition(";")[0]
        fix = f"mount its disk, or accept it: snoopsync approve {shlex.quote(config.name)}"
    return error(_name(config), message, f"{fix}\n{FOLDER_GONE}", FolderMissing)


def hidden_finding(config: FolderConfig, folder: Folder, state: State) -> Finding | None:
    """A finding about the first directory whose files are on a disk that is not mounted now, or are
    hidden by another mount. ``None`` if there is no such directory."""
    with folder.session() as session:
        for directory, submount in state.directories_of_disks(config.name):
            if not session.is_hidden(directory + b"/" if directory else b"", submount):
                continue
            wants = folder.selection.chooser(directory)
            known = state.known(config.name, directory)
            if folder.selection.enters(directory) and any(map(wants, known)):
                where, _, fix = disk_gone(directory).partition("; ")
                message = f"{printable(folder.absolute(directory))}: {where}"
                fix = f"mount it again\n{fix}"
                return error(_name(config), message, fix, FolderMissing)
    return None


def _name(config: FolderConfig) -> str:
    return f"folder {printable(config.name)}"


def _grant_access(path: Path) -> str:
    """The command that lets this user read all of a folder."""
    return f"sudo setfacl -R -m u:{_user()}:rX {shlex.quote(str(path))}"


def folder_finding(
    config: FolderConfig, found: FolderSurvey, mountinfo: Path = MOUNTINFO
) -> Finding:
    """The finding about a folder that is present."""
    path = os.fsencode(config.path)
    if found.first_unreadable is not None:
        unreadable, reason = found.first_unreadable
        more = f", and {found.unreadable - 1} more" if found.unreadable > 1 else ""
        fix = _grant_access(config.path) if reason == _FORBIDDEN else "check its disk"
        return error(
            _name(config),
            f"{printable(unreadable)}: {reason}{more}: not mirrored",
            f"{fix}; or exclude it in the configuration",
            FolderMissing,
        )
    choice = choose_watch(config.watch, path, mountinfo)
    kind = _file_system(path, mountinfo)
    on = "" if kind is None or kind in choice.reason else f"on {kind}, "
    message = f"{printable(path)}: {found}, {on}by {choice.mode} ({choice.reason})"
    best = choose_watch("auto", path, mountinfo)
    if choice.mode == "events" and best.mode == "poll":
        fix = "set its watch to auto, or to poll"
        return warning(_name(config), f"{message}, but {best.reason}", fix)
    return ok(_name(config), message)


def left_out_finding(config: FolderConfig, found: FolderSurvey) -> Finding | None:
    """The finding about files that are not mirrored, or ``None`` if there are none."""
    if not found.left_out:
        return None
    at_least = "" if found.is_complete else "at least "
    return ok(f"left out of {printable(config.name)}", f"{at_least}{describe(found.left_out)}")


def extra_findings(config: FolderConfig, found: FolderSurvey) -> Iterator[Finding]:
    """A finding for each missing extra that files of the folder need."""
    for reason, extra in EXTRAS.items():
        if by_suffix := found.left_out.get(reason):
            yield warning(
                f"extra {extra}",
                f"not installed: {printable(config.name)} has {describe({reason: by_suffix})}",
                f"pip install 'snoopsync[{extra}]', then restart the service",
            )


def _file_system(path: bytes, mountinfo: Path) -> str | None:
    try:
        return mount_of(os.path.realpath(path), mountinfo).kind
    except (OSError, LookupError):
        return None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
