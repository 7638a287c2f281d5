"""Where the server of forks has its socket: in a directory of the service's own.

multiprocessing makes it in the temporary directory. That may be read-only or too long for the path
of a socket (107 bytes), and some systems remove what is old there, while it is in use.
"""

from __future__ import annotations

import multiprocessing.util
import os
import shutil
import socket
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from snoopsync.errors import SnoopsyncError

#: The directory's name below the data.
_NAME = "run"


def keep_sockets_below(data: Path) -> None:
    """From now on multiprocessing has its sockets below ``data``; where there can be none, on a
    network's file system for example, in the temporary directory or in memory. Once a process,
    which has the data for itself. Raises ``SnoopsyncError`` if there can be none anywhere."""
    own = data / _NAME
    shutil.rmtree(own, ignore_errors=True)  # what a process left that was killed
    reasons = []
    for directory in (own, *_temporary()):
        try:
            if directory == own:
                own.mkdir(mode=0o700, parents=True, exist_ok=True)
            short = _short(directory)
            _require_sockets(short)
        except OSError as error:
            reasons.append(f"{directory}: {error.strerror or error}")
            continue
        before, tempfile.tempdir = tempfile.tempdir, short
        multiprocessing.util.get_temp_dir()  # made at the first call, and kept
        tempfile.tempdir = before
        return
    raise SnoopsyncError(f"there can be no socket for the decoders: {'; '.join(reasons)}")


def _temporary() -> Iterable[Path]:
    with suppress(FileNotFoundError):  # none can be written
        yield Path(tempfile.gettempdir())
    yield Path("/dev/shm")


def _short(directory: Path) -> str:
    """A path of few characters for it, as long as the process lives."""
    return f"/proc/self/fd/{os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)}"


def _require_sockets(directory: str) -> None:
    path = f"{directory}/probe-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as probe:
        probe.bind(path)
    os.unlink(path)  # noqa: PTH108 - not worth a Path
