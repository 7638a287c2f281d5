"""Whether the members of a group can reach the service's socket."""

from __future__ import annotations

import grp
import shlex
import stat
from pathlib import Path
from typing import NamedTuple

from snoopsync.core.model import printable


class GroupObstacle(NamedTuple):
    """What keeps the members of a group from the socket, and how to fix that."""

    problem: str
    fix: str

    def __str__(self) -> str:
        return f"{self.problem}: {self.fix}"


def group_obstacle(directory: Path, group: str) -> GroupObstacle | None:
    """Why members of this group cannot reach a socket in this directory; ``None`` if they can.
    Access control lists do not count."""
    try:
        number = grp.getgrnam(group).gr_gid
    except KeyError:
        return GroupObstacle(f"group {group} does not exist", "name another one in control.group")
    for each in (*reversed(directory.parents), directory):
        name = printable(str(each))
        try:
            status = each.stat()
        except OSError as error:
            return GroupObstacle(f"{name}: {error.strerror}", "check the path of the state file")
        needed = stat.S_IXGRP if status.st_gid == number else stat.S_IXOTH
        if not status.st_mode & needed:
            fix = f"chmod g+x {shlex.quote(name)}"
            if status.st_gid != number:
                fix = f"chgrp {shlex.quote(group)} {shlex.quote(name)} && {fix}"
            return GroupObstacle(f"group {group} cannot enter {name}", fix)
    return None
