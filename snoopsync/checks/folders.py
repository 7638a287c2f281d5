"""Each folder: is it there, can all of it be read, on what is it, and how is it watched?"""

from __future__ import annotations

import errno
import getpass
import os
import shlex
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from snoopsync.checks.finding import Finding, error, ok, warning
from snoopsync.config.settings import FolderConfig
from snoopsync.core.errors import FolderMissing
from snoopsync.core.exits import Exit
from snoopsync.core.left_out import LeftOut, LeftOutCounts, describe, merge
from snoopsync.core.model import printable
from snoopsync.core.retiring import FOLDER_GONE, disk_gone
from snoopsync.core.text import counted, images
from snoopsync.folders.folder import Folder
from snoopsync.state.images import State
from snoopsync.watching.mounts import MOUNTINFO, choose_watch, mount_of

#: How long to look through one folder.
LOOK_SECONDS = 5.0

_FORBIDDEN = os.strerror(errno.EACCES)


@dataclass(frozen=True, slots=True)
class Look:
    """What a look through a folder found: how many wanted images in how many directories, and what
    can't be read (the first of them, with the reason). ``left_out`` counts what is not mirrored.
    Not ``whole``: there are more."""

    images: int
    directories: int
    unreadable: int
    first_unreadable: tuple[bytes, str] | None
    whole: bool
    left_out: LeftOutCounts = field(default_factory=dict)

    def __str__(self) -> str:
        least = "" if self.whole else "at least "
        found = images(self.images)
        directories = counted(self.directories, "directory", "directories")
        return f"{least}{found} in {directories}"


def look_through(folder: Folder, until: float, clock: Callable[[], float] = time.monotonic) -> Look:
    """Look at every directory of the folder, and at whether its images can be read, until the clock
    says ``until``."""
    images = directories = unlooked = 0
    unreadable: dict[bytes, str] = {}
    left_out: LeftOutCounts = {}
    ways = deque([b""])
    with folder.session() as view:
        while ways and clock() < until:
            directory = ways.popleft()
            try:
                listing = view.list_directory(directory)
            except FileNotFoundError:
                continue  # it was there when the one above it was listed
            except (OSError, FolderMissing) as failure:
                unreadable[directory] = getattr(failure, "strerror", None) or str(failure)
                unlooked += 1
                continue
            directories += 1
            images += len(listing.files)
            merge(left_out, listing.left_out)
            prefix = directory + b"/" if directory else b""
            unreadable |= {prefix + name: reason for name, reason in listing.unclear.items()}
            unlooked += len(listing.unclear)
            for name in listing.files:
                if not view.may_read(prefix + name):
                    unreadable[prefix + name] = _FORBIDDEN
            ways.extend(listing.directories)
    first = next(((folder.absolute(path), why) for path, why in unreadable.items()), None)
    if unlooked:
        left_out[LeftOut.UNREADABLE] = {"": unlooked}
    return Look(images, directories, len(unreadable), first, not ways, left_out)


def missing_finding(config: FolderConfig, folder: Folder, reason: str | None = None) -> Finding:
    """Why a folder counts as missing. ``reason``: what its guard says of the directory there."""
    try:
        folder.identify()
    except FolderMissing as failure:
        message, mend = str(failure), "mount its disk, or correct its path"
        if message.endswith(_FORBIDDEN):
            mend = _let_in(config.path)
    else:
        path = printable(folder.path)
        message = f"{path} is another directory than it was (an empty mount point?)"
        if reason is not None:
            message = reason.partition(";")[0]
        mend = f"mount its disk; if this is right: snoopsync approve {shlex.quote(config.name)}"
    return error(_name(config), message, f"{mend}\n{FOLDER_GONE}", Exit.HELD_OR_MISSING)


def hidden_finding(config: FolderConfig, folder: Folder, state: State) -> Finding | None:
    """The first directory whose images are on a disk that is not there now, or hidden by one that
    is mounted over it. ``None`` if there is none."""
    with folder.session() as view:
        for directory, submount in state.directories_of_disks(config.name):
            if not view.is_hidden(directory + b"/" if directory else b"", submount):
                continue
            wants = folder.selection.chooser(directory)
            known = state.known(config.name, directory)
            if folder.selection.enters(directory) and any(map(wants, known)):
                where, _, mend = disk_gone(directory).partition("; ")
                message = f"{printable(folder.absolute(directory))}: {where}"
                mend = f"mount it again\n{mend}"
                return error(_name(config), message, mend, Exit.HELD_OR_MISSING)
    return None


def _name(config: FolderConfig) -> str:
    return f"folder {printable(config.name)}"


def _let_in(path: Path) -> str:
    """How to let this user read all of a folder."""
    return f"sudo setfacl -R -m u:{_user()}:rX {shlex.quote(str(path))}"


def folder_finding(config: FolderConfig, look: Look, mountinfo: Path = MOUNTINFO) -> Finding:
    """What there is to say of a folder that is there."""
    path = os.fsencode(config.path)
    if look.first_unreadable is not None:
        unreadable, reason = look.first_unreadable
        more = f", and {look.unreadable - 1} more" if look.unreadable > 1 else ""
        mend = _let_in(config.path) if reason == _FORBIDDEN else "look after its disk"
        return error(
            _name(config),
            f"{printable(unreadable)}: {reason}{more}: not mirrored",
            f"{mend}; or leave it out, with exclude",
            Exit.HELD_OR_MISSING,
        )
    choice = choose_watch(config.watch, path, mountinfo)
    kind = _file_system(path, mountinfo)
    on = "" if kind is None or kind in choice.reason else f"on {kind}, "
    message = f"{printable(path)}: {look}, {on}by {choice.mode} ({choice.reason})"
    best = choose_watch("auto", path, mountinfo)
    if choice.mode == "events" and best.mode == "poll":
        mend = "set its watch to auto, or to poll"
        return warning(_name(config), f"{message}, but {best.reason}", mend)
    return ok(_name(config), message)


def left_out_finding(config: FolderConfig, look: Look) -> Finding | None:
    """What the folder holds that is not mirrored; ``None`` if that is nothing."""
    if not look.left_out:
        return None
    least = "" if look.whole else "at least "
    return ok(f"left out of {printable(config.name)}", f"{least}{describe(look.left_out)}")


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
