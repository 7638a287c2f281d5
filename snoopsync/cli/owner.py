"""The command line for the owner of a directory, for whoever is another user."""

from __future__ import annotations

import os
import pwd
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from snoopsync.core.errors import UnsafeDirectory

#: Where systemd has the state directories of services with ``DynamicUser=`` (systemd.exec(5)).
DYNAMIC_STATE = Path("/var/lib/private")


def program_words() -> tuple[str, ...]:
    """How this snoopsync is started, from anywhere."""
    for path in (Path(sys.argv[0]), Path(sys.executable).with_name("snoopsync")):
        # Links are left as they are: where they lead to may change with the next version.
        if path.name == "snoopsync" and os.access(path, os.X_OK) and path.is_file():
            return (str(path.absolute()),)
    return (sys.executable, "-m", "snoopsync")


def with_command(
    error: UnsafeDirectory, arguments: Sequence[str], *, asks_service: bool
) -> UnsafeDirectory:
    """The same error; if the directory is another user's, with the command that this user runs.
    ``arguments``: those of the command that failed. ``asks_service``: a running service does it."""
    if error.owner is None or error.directory is None:
        return error
    words = [*program_words(), *arguments]
    if error.directory.is_relative_to(DYNAMIC_STATE) and error.directory != DYNAMIC_STATE:
        name = error.directory.relative_to(DYNAMIC_STATE).parts[0]
        text = f"Run it as the service's user: {_for_dynamic_user(name, words)}"
        if asks_service:
            start = f"systemctl start {shlex.quote(name)}"
            text = f"{text} Or start the service, and repeat this command: {start}"
    else:
        text = _for_user(error.directory, error.owner, words)
    return UnsafeDirectory(f"{error}. {text}", directory=error.directory, owner=error.owner)


def _for_user(directory: Path, uid: int, words: Sequence[str]) -> str:
    try:
        account = pwd.getpwuid(uid)
        user, group = account.pw_name, account.pw_gid
    except KeyError:
        user, group = f"#{uid}", uid
    # The user of a container is often root, and the directory comes from outside.
    return (
        f"Run it as its owner: sudo -u {shlex.quote(user)} {shlex.join(words)} (in a container:"
        f" start that with --user {uid}:{group}, or give root the directory:"
        f" chown -R {os.geteuid()}:{os.getegid()} {shlex.quote(str(directory))})"
    )


def _for_dynamic_user(name: str, words: Sequence[str]) -> str:
    """``name``: the unit's ``User=`` and ``StateDirectory=``, which are the same in ours. With them
    the command gets the user and the directory that the service has."""
    run = ["systemd-run", "--pipe", "--wait", "--collect", "--property=DynamicUser=yes"]
    run += [f"--property=User={name}", f"--property=StateDirectory={name}"]
    run += ["--property=StateDirectoryMode=0700"]
    return shlex.join([*run, *words])
