"""Landlock denies access to files, TCP and other processes."""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from snoopsync.decoding import landlock
from snoopsync.decoding.pool import Pool
from snoopsync.decoding.sandbox import NAMES, Restriction

#: Makes all attempts, gives up all rights without the other restrictions of a decoder, makes them
#: again in a second directory, and prints those that succeed.
ATTEMPTS = """
import ctypes, os, socket, sys
from snoopsync.decoding import landlock

first, second, port, abstract, process = sys.argv[1:]
directory = first

def connect(family, address):
    with socket.socket(family) as connection:
        connection.connect(address)

def bind():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))

attempts = {
    "read a file": lambda: open(f"{directory}/a").close(),
    "list a directory": lambda: os.listdir(directory),
    "write a file": lambda: open(f"{directory}/a", "a").close(),
    "truncate a file": lambda: os.truncate(f"{directory}/a", 0),
    "create a file": lambda: open(f"{directory}/new", "w").close(),
    "rename a file": lambda: os.rename(f"{directory}/a", f"{directory}/renamed"),
    "remove a file": lambda: os.remove(f"{directory}/b"),
    "create a directory": lambda: os.mkdir(f"{directory}/made"),
    "remove a directory": lambda: os.rmdir(f"{directory}/c"),
    "create a link": lambda: os.symlink("a", f"{directory}/link"),
    "connect to a port": lambda: connect(socket.AF_INET, ("127.0.0.1", int(port))),
    "listen on a port": bind,
    "connect to an abstract socket": lambda: connect(socket.AF_UNIX, f"\\0{abstract}"),
    "signal a process": lambda: os.kill(int(process), 0),
}

def successes():
    for name, attempt in attempts.items():
        try:
            attempt()
        except OSError:
            continue
        yield name

assert list(successes()) == list(attempts)
directory = second
ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)  # no_new_privs
landlock.give_up_all()
print(*successes(), sep="\\n")
"""

#: The attempts that an older version of the kernel's Landlock does not deny: since which version.
_SINCE = {
    "truncate a file": 3,
    "connect to a port": 4,
    "listen on a port": 4,
    "connect to an abstract socket": 6,
    "signal a process": 6,
}


def test_a_kernel_without_landlock_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "version", lambda: 0)
    with pytest.raises(OSError, match="no Landlock"):
        landlock.give_up_all()


needs_landlock = pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")


@needs_landlock
def test_nothing_outside_of_the_process_can_be_reached(tmp_path: Path) -> None:
    places = [tmp_path / "first", tmp_path / "second"]
    for place in places:
        (place / "c").mkdir(parents=True)
        for name in ("a", "b"):
            (place / name).write_text("text")
    abstract = f"snoopsync {tmp_path}"[-100:]
    with ExitStack() as stack:
        listener = stack.enter_context(closing(socket.create_server(("127.0.0.1", 0))))
        unnamed = stack.enter_context(closing(socket.socket(socket.AF_UNIX)))
        unnamed.bind(f"\0{abstract}")
        unnamed.listen()
        sleeper = stack.enter_context(subprocess.Popen(["sleep", "100"]))
        stack.callback(sleeper.kill)
        arguments = [*map(str, places), str(listener.getsockname()[1]), abstract, str(sleeper.pid)]
        command = [sys.executable, "-c", ATTEMPTS, *arguments]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert done.stderr == ""
    older = {name for name, since in _SINCE.items() if landlock.version() < since}
    assert set(done.stdout.split("\n")) - {""} <= older


@needs_landlock
def test_a_decoder_enters_landlock_if_the_kernel_has_it(pool: Pool) -> None:
    assert NAMES[Restriction.LANDLOCK] not in pool.warm_up().missing
