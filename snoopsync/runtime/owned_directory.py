"""Directories and files that only their owner can write to.

snoopsync writes only in a directory that belongs to the user it runs as, and that no other user can
write to or replace. This applies to root too: in another user's directory, root would follow links
that this user creates. After the check, a path below the directory always names the same file, so
SQLite can open its files by path.

The rule for the parent directories is that of OpenSSH for ``authorized_keys`` (``safe_path`` in
misc.c), with two exceptions. A sticky directory such as /tmp is allowed, because no user can rename
another user's files in it. A directory that is writable by a group with no other member is allowed
too: on Debian, each user has such a group, and new files are writable by it.

A mode also covers POSIX access control lists. If a file has a list, the group bits of its mode are
the list's mask, and no named user or group has a permission outside of the mask (acl(5)). If the
group's write bit is not set, the list allows nobody to write. If it is set, the list may allow a
named user to write.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import shlex
import stat
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path

from snoopsync.core.errors import StateError, UnsafeDirectory
from snoopsync.core.model import printable

#: The number of links that Linux follows in one path.
_MOST_LINKS = 40

#: The flags to open a directory for lookups only. A link is not followed.
_LOOKUP = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_ACCESS_LIST = "system.posix_acl_access"

_ALL_USERS = 2**32 - 1

#: The kernel's default number for users that a user namespace does not map.
_OVERFLOW_USER = 65534

_ELSEWHERE = "or keep the data in another directory"


def resolve(path: Path) -> Path:
    """The absolute path, with every link resolved that only root or this user can have created.

    A link of another user, or a link in a directory that another user can write to, stays in the
    path, and ``require_own`` refuses it. Raises nothing.
    """
    done, ahead, links = Path("/"), list(reversed(path.absolute().parts[1:])), 0
    while ahead:
        try:
            if _weakness(done, done.lstat()) is not None:
                break
            status = (done / ahead[-1]).lstat()
            is_link = stat.S_ISLNK(status.st_mode)
            is_trusted = _is_trusted(done / ahead[-1], status.st_uid)
            if is_link and (links == _MOST_LINKS or not is_trusted):
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
    """The resolved directory. If it or a parent does not exist, it is created with access for this
    user only.

    Raises ``UnsafeDirectory`` if another user can write in the directory or replace it, and
    ``StateError`` if it can't be created.
    """
    real = resolve(directory)
    require_own(real)
    try:
        for each, descriptor in _descend(real, make=True):
            # Checked before a directory is created in it: another user may have created this one.
            weakness = None if each == real else _weakness(each, os.fstat(descriptor))
            if weakness is not None:
                raise weakness
    except OSError as error:
        require_own(real)  # gives a better error if another user's link caused this one
        raise StateError(f"{printable(str(real))}: {error.strerror}") from None
    require_own(real)
    return real


@contextmanager
def opened_directory(directory: Path) -> Iterator[int]:
    """A descriptor of a directory for lookups. The directory may belong to another user, who can't
    make the descriptor refer to another directory.

    Raises ``UnsafeDirectory`` if anyone but root, this user and the directory's owner could have
    replaced the directory. Raises ``OSError`` if it can't be opened, or if its path has a link that
    ``resolve`` does not follow.
    """
    real = resolve(directory)
    above: list[tuple[Path, os.stat_result]] = []
    with closing(_descend(real)) as way:
        for each, descriptor in way:
            status = os.fstat(descriptor)
            if each == real:
                break
            above.append((each, status))
        owner = status.st_uid
        if owner == _unknown_users() and owner != os.geteuid():
            raise _belongs_to_another(real, owner)
        for each, status in above:
            if (weakness := _weakness(each, status, owner)) is not None:
                raise weakness
        yield descriptor


def require_own(directory: Path) -> None:
    """Raises ``UnsafeDirectory`` if the directory belongs to another user, or if another user can
    write in it or replace it. A missing directory passes if only this user can create it. Raises
    ``StateError`` if the directory can't be examined."""
    status = _require_guarded(directory)
    if status is None:
        return
    if status.st_uid != os.geteuid():
        raise _belongs_to_another(directory, status.st_uid)
    if status.st_mode & 0o022:
        raise UnsafeDirectory(
            f"{printable(str(directory))} can be written by {_writers(directory, status)}, but must"
            f" be writable only by its owner: {_chmod(directory, status)}",
        )


def require_guarded(directory: Path) -> None:
    """Raises ``UnsafeDirectory`` unless only root and this user can replace the directory, its
    parents, and the files of this user in it (as in /tmp)."""
    status = _require_guarded(directory)
    if status is not None and (weakness := _weakness(directory, status)) is not None:
        raise weakness


def require_own_files(paths: Iterable[Path]) -> None:
    """Raises ``UnsafeDirectory`` for the first of these paths that is a link or belongs to another
    user. Missing files pass."""
    for path in paths:
        try:
            status = path.lstat()
        except OSError:
            continue
        name = printable(str(path))
        if stat.S_ISLNK(status.st_mode):
            raise UnsafeDirectory(
                f"{name} is a link, and snoopsync does not follow it: replace it with the file, or"
                " remove it"
            )
        if status.st_uid != os.geteuid():
            raise UnsafeDirectory(
                f"{name} belongs to {user_name(status.st_uid)}, but snoopsync runs as"
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
    """Returns whether ``require_no_other_owner`` refuses the directory."""
    try:
        require_no_other_owner(directory)
    except UnsafeDirectory:
        return True
    return False


def require_no_other_owner(directory: Path) -> None:
    """Raises ``UnsafeDirectory`` if the directory or a parent belongs to a user other than root and
    this one. That user could put a link into it."""
    real = resolve(directory)
    for each in (*reversed(real.parents), real):
        try:
            uid = each.lstat().st_uid
        except OSError:
            return
        if not _is_trusted(each, uid):
            raise _belongs_to_another(each, uid)


def user_name(uid: int) -> str:
    """The user's name, or ``user 1000`` if there is no name."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _require_guarded(directory: Path) -> os.stat_result | None:
    """Check all parents, from the root down. Returns the status of the directory itself, or
    ``None`` if it does not exist."""
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
            return None  # the system reports this error when a path below it is opened
        if each == directory:
            return status
        if (weakness := _weakness(each, status)) is not None:
            raise weakness
    return None


def _descend(directory: Path, *, make: bool = False) -> Generator[tuple[Path, int], None, None]:
    """Every directory from the root to this one, each with a descriptor that is closed when the
    next one is requested. No link is followed. ``make``: create missing directories, with access
    for this user only. Raises ``OSError``."""
    at, path = os.open("/", _LOOKUP), Path("/")
    try:
        yield path, at
        for name in directory.parts[1:]:
            try:
                deeper = os.open(name, _LOOKUP, dir_fd=at)
            except FileNotFoundError:
                if not make:
                    raise
                with suppress(FileExistsError):
                    os.mkdir(name, 0o700, dir_fd=at)
                deeper = os.open(name, _LOOKUP, dir_fd=at)
            os.close(at)
            at, path = deeper, path / name
            yield path, at
    finally:
        os.close(at)


def _weakness(
    directory: Path, status: os.stat_result, owner: int | None = None
) -> UnsafeDirectory | None:
    """Why another user can replace entries of this directory; ``None`` if no other user can.
    ``owner``: a user who is allowed to, besides root and this user."""
    if status.st_uid != owner and not _is_trusted(directory, status.st_uid):
        return _belongs_to_another(directory, status.st_uid)
    if status.st_mode & stat.S_ISVTX or not status.st_mode & 0o022:
        return None
    is_lone_group = not status.st_mode & stat.S_IWOTH and not _has_access_list(directory)
    if is_lone_group and not _has_others(status.st_gid, owner):
        return None
    return UnsafeDirectory(
        f"{printable(str(directory))} can be written by {_writers(directory, status)}, who could"
        f" replace the directories in it: {_chmod(directory, status)}",
    )


def _trusted() -> frozenset[int]:
    """The user IDs of this user, of root, and of the owner of ``/``, who controls everything below.
    In a user namespace, that owner's number may stand for many users, and is then left out: see
    ``_is_trusted``."""
    top = os.stat("/").st_uid  # noqa: PTH116 - not a path of a user
    return frozenset({0, os.geteuid()} | ({top} - {_unknown_users()}))


def _is_trusted(path: Path, uid: int) -> bool:
    """Returns whether the file or directory at this path belongs to root or to this user.

    In a user namespace, root outside of it and all other users that it does not map share one
    number. This number counts as root's if only the owners of the parent directories can write in
    them, since one of these owners created the path. In /tmp, any user may have created it.
    """
    if uid in _trusted():
        return True
    return uid == _unknown_users() and _are_closed(path.parents)


def _are_closed(directories: Iterable[Path]) -> bool:
    try:
        return not any(each.lstat().st_mode & 0o022 for each in directories)
    except OSError:
        return False


@cache
def _unknown_users() -> int | None:
    """The number that stands for all users that this process's user namespace does not map
    (user_namespaces(7)); ``None`` if it maps all users."""
    try:
        known = Path("/proc/self/uid_map").read_bytes().split()[2::3]
        if sum(map(int, known)) >= _ALL_USERS:
            return None
        return int(Path("/proc/sys/kernel/overflowuid").read_bytes())
    except (OSError, ValueError):
        return _OVERFLOW_USER


def _has_others(gid: int, owner: int | None) -> bool:
    """Returns whether the group has a known member other than root, this user and ``owner``."""
    trusted = _trusted() | ({owner} - {None})
    if any(each.pw_gid == gid and each.pw_uid not in trusted for each in pwd.getpwall()):
        return True
    try:
        members = grp.getgrgid(gid).gr_mem
    except KeyError:
        return False
    return not set(members) <= {user_name(uid) for uid in trusted if uid is not None}


def _has_access_list(path: Path) -> bool:
    try:
        os.getxattr(path, _ACCESS_LIST, follow_symlinks=False)
    except OSError as error:
        return error.errno not in (errno.ENODATA, errno.EOPNOTSUPP, errno.ENOENT)
    return True


def _writers(directory: Path, status: os.stat_result) -> str:
    if status.st_mode & stat.S_IWOTH:
        return "everybody"
    named = " or users in its access control list" if _has_access_list(directory) else ""
    return f"group {_group(status.st_gid)}{named}"


def _belongs_to_another(path: Path, uid: int) -> UnsafeDirectory:
    return UnsafeDirectory(
        f"{printable(str(path))} belongs to {user_name(uid)}, but snoopsync runs as"
        f" {user_name(os.geteuid())} and does not write in another user's directory",
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
