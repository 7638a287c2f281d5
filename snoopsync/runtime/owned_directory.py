"""Directories and files that only their owner can write to.

snoopsync writes only in a directory that belongs to the user it runs as, that no other user can
write to, and that no other user can replace by another directory. This holds for root as well: in
another user's directory root would follow links that this user creates. Once a directory has been
checked, a path below it names the same file at every later moment, so SQLite can open its files by
path.

The rule for the directories above is that of OpenSSH for ``authorized_keys`` (``safe_path`` in
misc.c), with two exceptions. A sticky directory such as /tmp is allowed: no user can rename what
belongs to another user there. So is a directory that is writable by a group with no other member
(Debian's umask for users with a group of their own).
"""

from __future__ import annotations

import grp
import os
import pwd
import shlex
import stat
from collections.abc import Iterable
from pathlib import Path

from snoopsync.core.errors import StateError, UnsafeDirectory
from snoopsync.core.model import printable

#: The number of links that Linux follows in one path.
_MOST_LINKS = 40

_ELSEWHERE = "or keep the data in another directory"


def resolve(path: Path) -> Path:
    """The absolute path, with the links resolved that only root or this user can have created.

    A link of another user, or in a directory that another user can write to, stays in the path,
    and ``require_own`` refuses it. Raises nothing.
    """
    done, ahead, links = Path("/"), list(reversed(path.absolute().parts[1:])), 0
    while ahead:
        try:
            if _weakness(done, done.lstat()) is not None:
                break
            status = (done / ahead[-1]).lstat()
            is_link = stat.S_ISLNK(status.st_mode)
            if is_link and (links == _MOST_LINKS or status.st_uid not in _trusted()):
                break
            target = (done / ahead[-1]).readlink() if is_link else None
        except OSError:
            break
        name = ahead.pop()
        if target is not None:
            links += 1
            done = Path("/") if target.is_absolute() else done
            ahead += reversed(target.parts[1:] if target.is_absolute() else target.parts)
        else:
            done = done.parent if name == ".." else done / name
    return done.joinpath(*reversed(ahead))


def own_directory(directory: Path) -> Path:
    """The resolved directory. If it does not exist, it is created for this user alone, with its
    parents.

    Raises ``UnsafeDirectory`` if it is not this user's alone, ``StateError`` if it can't be made.
    """
    real = resolve(directory)
    require_own(real)
    try:
        for each in reversed((real, *real.parents)):
            if not each.exists():
                each.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StateError(f"{printable(str(real))}: {error.strerror}") from None
    require_own(real)
    return real


def require_own(directory: Path) -> None:
    """Raises ``UnsafeDirectory`` if the directory is not this user's alone, or if another user
    could replace it. A missing directory passes if only this user can create it. Raises
    ``StateError`` if it can't be examined."""
    status = _require_guarded(directory)
    if status is None:
        return
    if status.st_uid != os.geteuid():
        raise _belongs_to_another(directory, status.st_uid)
    if status.st_mode & 0o022:
        writers = "everybody" if status.st_mode & 0o002 else f"group {_group(status.st_gid)}"
        raise UnsafeDirectory(
            f"{printable(str(directory))} can be written by {writers}, and only its owner may be"
            f" able to: {_chmod(directory, status)}",
        )


def require_guarded(directory: Path) -> None:
    """Raises ``UnsafeDirectory`` unless only root and this user can replace the directory, its
    parents, and the files of this user in it (as in /tmp)."""
    status = _require_guarded(directory)
    if status is not None and (weakness := _weakness(directory, status)) is not None:
        raise weakness


def require_own_files(paths: Iterable[Path]) -> None:
    """Raises ``UnsafeDirectory`` for the first of these paths that is a link, or another user's.
    Missing files pass."""
    for path in paths:
        try:
            status = path.lstat()
        except OSError:
            continue
        name = printable(str(path))
        if stat.S_ISLNK(status.st_mode):
            raise UnsafeDirectory(
                f"{name} is a link, and snoopsync follows none there: put the file itself there,"
                " or remove the link"
            )
        if status.st_uid != os.geteuid():
            raise UnsafeDirectory(
                f"{name} belongs to {user_name(status.st_uid)}, and snoopsync runs as"
                f" {user_name(os.geteuid())}: change its owner, or remove it"
            )


def is_own(directory: Path) -> bool:
    """Returns whether ``require_own`` accepts the directory."""
    try:
        require_own(directory)
    except StateError:
        return False
    return True


def is_another_users(directory: Path) -> bool:
    """Returns whether the directory, or its first parent that exists, belongs to another user than
    root and this one."""
    for each in (directory, *directory.parents):
        try:
            return each.stat().st_uid not in _trusted()
        except OSError:
            continue
    return False


def user_name(uid: int) -> str:
    """The user's name, or ``user 1000`` if there is no name."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _require_guarded(directory: Path) -> os.stat_result | None:
    """Check all parents, the root first. Returns the status of the directory itself, or ``None`` if
    it does not exist."""
    for each in (*reversed(directory.parents), directory):
        try:
            status = each.lstat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StateError(f"{printable(str(each))}: {error.strerror}") from None
        if stat.S_ISLNK(status.st_mode):
            raise _belongs_to_another(each, status.st_uid)
        if not stat.S_ISDIR(status.st_mode):
            return None  # the system reports that below it
        if each == directory:
            return status
        if (weakness := _weakness(each, status)) is not None:
            raise weakness
    return None


def _weakness(directory: Path, status: os.stat_result) -> UnsafeDirectory | None:
    """Why another user can replace what is in this directory; ``None`` if none can."""
    if status.st_uid not in _trusted():
        return _belongs_to_another(directory, status.st_uid)
    if status.st_mode & stat.S_ISVTX:
        return None
    if status.st_mode & stat.S_IWOTH:
        writers = "everybody"
    elif status.st_mode & stat.S_IWGRP and _has_others(status.st_gid):
        writers = f"group {_group(status.st_gid)}"
    else:
        return None
    return UnsafeDirectory(
        f"{printable(str(directory))} can be written by {writers}, who could put other directories"
        f" into the place of those in it: {_chmod(directory, status)}",
    )


def _trusted() -> frozenset[int]:
    """This user, root, and the owner of the root directory: in a user namespace without root, that
    is root outside of it."""
    return frozenset({0, os.geteuid(), os.stat("/").st_uid})  # noqa: PTH116 - not a path of a user


def _has_others(gid: int) -> bool:
    """Returns whether the group has a known member other than root and this user."""
    trusted = _trusted()
    if any(each.pw_gid == gid and each.pw_uid not in trusted for each in pwd.getpwall()):
        return True
    try:
        members = grp.getgrgid(gid).gr_mem
    except KeyError:
        return False
    return not set(members) <= {user_name(uid) for uid in trusted}


def _belongs_to_another(path: Path, uid: int) -> UnsafeDirectory:
    return UnsafeDirectory(
        f"{printable(str(path))} belongs to {user_name(uid)}, and snoopsync runs as"
        f" {user_name(os.geteuid())}: it writes in no directory of another user",
        directory=path,
        owner=uid,
    )


def _chmod(directory: Path, status: os.stat_result) -> str:
    classes = "".join(name for name, bit in (("g", 0o020), ("o", 0o002)) if status.st_mode & bit)
    return f"chmod {classes}-w {shlex.quote(printable(str(directory)))}, {_ELSEWHERE}"


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
