"""The command line that runs snoopsync as the owner of a directory."""

from __future__ import annotations

import os
import pwd
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from snoopsync.core.errors import UnsafeDirectory

#: The parent of the state directories of services with ``DynamicUser=`` (systemd.exec(5)).
DYNAMIC_STATE = Path("/var/lib/private")


def program_words() -> tuple[str, ...]:
    """The command that starts this snoopsync, from any directory."""
    for path in (Path(sys.argv[0]), Path(sys.executable).with_name("snoopsync")):
        # Links are not resolved, because the next version may change their target.
        if path.name == "snoopsync" and os.access(path, os.X_OK) and path.is_file():
            return (str(path.absolute()),)
    return (sys.executable, "-m", "snoopsync")


def with_command(
    error: UnsafeDirectory, arguments: Sequence[str], *, uses_service: bool
) -> UnsafeDirectory:
    """The same error, with the command for the owner if the directory belongs to another user.
    ``arguments``: the arguments of the failed command. ``uses_service``: the command works for any
    user while the service runs."""
    if error.owner is None or error.directory is None:
        return error
    words = [*program_words(), *arguments]
    if error.directory.is_relative_to(DYNAMIC_STATE) and error.directory != DYNAMIC_STATE:
        name = error.directory.relative_to(DYNAMIC_STATE).parts[0]
        text = f"Run this command as the service's user: {_for_dynamic_user(name, words)}"
        if uses_service:
            start = f"systemctl start {shlex.quote(name)}"
            text = f"{text} Or start the service and repeat this command: {start}"
    else:
        text = _for_user(error.directory, error.owner, words)
    return UnsafeDirectory(f"{error}. {text}", directory=error.directory, owner=error.owner)


def _for_user(directory: Path, uid: int, words: Sequence[str]) -> str:
    try:
        account = pwd.getpwuid(uid)
        user, group = account.pw_name, account.pw_gid
    except KeyError:
        user, group = f"#{uid}", uid
    # Containers often run as root, with a directory that belongs to a user of the host.
    return (
        f"Run this command as the owner: sudo -u {shlex.quote(user)} {shlex.join(words)} (in a"
        f" container: start the container with --user {uid}:{group}, or change the owner of the"
        f" directory: chown -R {os.geteuid()}:{os.getegid()} {shlex.quote(str(directory))})"
    )


def _for_dynamic_user(name: str, words: Sequence[str]) -> str:
    """A command that runs with the user and the state directory of a service. ``name``: the
    ``User=`` and the ``StateDirectory=``, which are the same in our units."""
    run = ["systemd-run", "--pipe", "--wait", "--collect", "--property=DynamicUser=yes"]
    run += [f"--property=User={name}", f"--property=StateDirectory={name}"]
    run += ["--property=StateDirectoryMode=0700"]
    return shlex.join([*run, *words])
