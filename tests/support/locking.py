"""Another process that holds the lock of a state file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.paths import ROOT

_HOLDER = """
import sys
from pathlib import Path
from snoopsync.state.lock import locked

with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


@contextmanager
def lock_held(state: Path, under: Sequence[str] = ()) -> Iterator[subprocess.Popen[str]]:
    """Another process, started ``under`` a command, holds the lock while the ``with`` lasts."""
    with subprocess.Popen(
        [*under, sys.executable, "-c", _HOLDER, str(state)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        yield process  # closing its input at the end ends the process
