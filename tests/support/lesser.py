"""Commands that run a program with less than the tests have: fewer watches, fewer rights."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest


def with_watches(count: int) -> list[str]:
    """Return a command that runs a program with at most ``count`` inotify watches: in a user
    namespace, where the limit applies to no other program."""
    limited = f'echo {count} > /proc/sys/user/max_inotify_watches && exec "$@"'
    command = ["unshare", "--user", "--map-root-user", "sh", "-c", limited, "sh"]
    try:
        subprocess.run([*command, "true"], capture_output=True, text=True, check=True)
    except FileNotFoundError:
        pytest.skip("there is no unshare command")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"there is no limit to be set: {error.stderr.strip()}")
    return command


def as_somebody_ordinary() -> list[str]:
    """What a program is run under to have no right to read what permissions forbid. Root loses that
    right, and keeps its files."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root may read everything, and there is no setpriv command")
    less = "-dac_override,-dac_read_search"
    return ["setpriv", f"--bounding-set={less}", f"--inh-caps={less}"]
