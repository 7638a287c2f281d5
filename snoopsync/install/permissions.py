"""What somebody who is not root can get at, by the permissions of the way to it."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

#: Read a file; list a directory and enter it, or run a program.
READ = stat.S_IROTH
USE = stat.S_IROTH | stat.S_IXOTH


@dataclass(frozen=True, slots=True)
class Reader:
    """Who it is. ``uid``: ``None`` for a user who owns nothing, and whose groups can be chosen."""

    uid: int | None = None
    gids: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Reach:
    """Whether one gets there: only as a member of ``groups``, and not while there are ``barriers``,
    which are places on the way that no group opens."""

    groups: frozenset[int] = frozenset()
    barriers: tuple[Path, ...] = ()


def reach(path: Path, wanted: int, reader: Reader) -> Reach:
    """May this reader do what is ``wanted`` (``READ`` or ``USE``) with what the path leads to?

    What is not there is not in the way. Raises ``OSError`` where one may not look oneself.
    """
    groups: set[int] = set()
    barriers: list[Path] = []
    real = Path(os.path.realpath(path))
    for place in (*reversed(real.parents), real):
        try:
            status = place.stat()
        except (FileNotFoundError, NotADirectoryError):
            break
        bits = wanted if place == real else stat.S_IXOTH
        if _admits(status, bits, reader):
            continue
        if reader.uid is None and _admits(status, bits, Reader(gids=frozenset({status.st_gid}))):
            groups.add(status.st_gid)
        else:
            barriers.append(place)
    return Reach(frozenset(groups), tuple(barriers))


def _admits(status: os.stat_result, bits: int, reader: Reader) -> bool:
    if status.st_uid == reader.uid:
        bits <<= 6
    elif status.st_gid in reader.gids:
        bits <<= 3
    return status.st_mode & bits == bits
