"""What decoders meet: they import it, so it is a module of its own."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

from snoopsync.embedded.decode import features_of
from snoopsync.embedded.features import Features
from snoopsync.embedded.source import read_body

#: How slow ``slowly`` is.
SLOW_SECONDS = 1.6


def _soundly(path: Path) -> Features:
    return features_of(read_body(path))


def slowly(path: Path) -> Features:
    """A large picture."""
    time.sleep(SLOW_SECONDS)
    return _soundly(path)


def by_its_content(path: Path) -> Features:
    """What is written in the file happens."""
    match path.read_bytes():
        case b"killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case b"killed once":
            path.write_bytes(b"killed before")
            os.kill(os.getpid(), signal.SIGKILL)
        case b"hangs":
            threading.Event().wait()
        case b"much memory":
            bytearray(1 << 40)
    return Features(b"", 0, "", 0, 0, b"", 0, b"", b"", None)
