"""Whether a user can access a path, by the permissions of the path and the directories above it."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

#: Read a file; list and enter a directory, or run a program.
READ = stat.S_IROTH
USE = stat.S_IROTH | stat.S_IXOTH


@dataclass(frozen=True, slots=True)
class Reader:
    """A user and its groups. ``uid`` is ``None`` for a user that owns no files and can be added to
    any group."""

    uid: int | None = None
    gids: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Access:
    """Access requires membership in all of ``groups``, and is impossible if there are ``barriers``:
    the path or directories above it that no group membership opens."""

    groups: frozenset[int] = frozenset()
    barriers: tuple[Path, ...] = ()


def check_access(path: Path, wanted: int, reader: Reader) -> Access:
    """Check whether this reader can access the path (``READ`` or ``USE``), with links resolved.

    Returns what access requires. A path that does not exist is not a barrier. Raises ``OSError`` if
    this process can't examine the path.
    """
    groups: set[int] = set()
    barriers: list[Path] = []
    real = Path(os.path.realpath(path))
    for each in (*reversed(real.parents), real):
        try:
            status = each.stat()
        except (FileNotFoundError, NotADirectoryError):
            break
        bits = wanted if each == real else stat.S_IXOTH
        if _allows(status, bits, reader):
            continue
        if reader.uid is None and _allows(status, bits, Reader(gids=frozenset({status.st_gid}))):
            groups.add(status.st_gid)
        else:
            barriers.append(each)
    return Access(frozenset(groups), tuple(barriers))


def _allows(status: os.stat_result, bits: int, reader: Reader) -> bool:
    if status.st_uid == reader.uid:
        bits <<= 6
    elif status.st_gid in reader.gids:
        bits <<= 3
    return status.st_mode & bits == bits
