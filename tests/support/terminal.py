"""A command on a terminal, with input, and with the text that it shows."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.process import Installation, command, until

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

#: The start and the end of a link; the group is where it leads.
LINK = re.compile(r"\x1b\]8;[^;]*;([^\x1b\x07]*)(?:\x1b\\|\x07)")

#: Before a command: makes its standard input its controlling terminal, so that a typed Ctrl-C is a
#: signal, and /dev/tty is this one.
_CONTROLLED = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""


class Terminal:
    """A command, or another ``program``, on a terminal of this width. ``text`` is everything that
    the terminal has shown so far."""

    def __init__(
        self,
        home: Installation,
        *arguments: str | Path,
        columns: int = 100,
        program: Sequence[str] = (),
    ) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-c", _CONTROLLED, *(program or command(*arguments))],
            env={"TERM": "xterm-256color"} | home.environment,
            cwd=home.home,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        self._data = b""
        self._read_to = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def text(self) -> str:
        while self._ours >= 0 and select.select([self._ours], [], [], 0)[0]:
            try:
                data = os.read(self._ours, 65536)
            except OSError:  # no process writes to the terminal any longer
                break
            if not data:
                break
            self._data += data
        return self._data.decode(errors="replace")

    def answer(self, question: str, given: str, *, hidden: bool = False) -> None:
        """Wait until the question appears after the last answer, and type ``given``.
        ``hidden``: the terminal must not show it."""
        self.expect(question)
        if hidden:
            self.wait_until_hidden()
        self._read_to = len(self.text)
        self.type(f"{given}\n")

    def wait_until_hidden(self) -> None:
        """Wait until the terminal does not show what is typed."""
        until(lambda: not termios.tcgetattr(self._ours)[3] & termios.ECHO)

    def expect(self, text: str) -> None:
        """Wait until this text appears after the last answer."""
        until(lambda: text in self.text[self._read_to :] or self.process.poll() is not None)
        assert text in self.text[self._read_to :], self.text

    def type(self, keys: str) -> None:
        """Type these keys."""
        os.write(self._ours, keys.encode())

    def leave(self, keys: str) -> str:
        """What it wrote, once it has ended by these keys. They are typed again like a person would:
        a signal between a program's question and its waiting is seen with the next one."""
        while self.process.poll() is None:
            with suppress(subprocess.TimeoutExpired, OSError):
                self.type(keys)
                self.process.wait(1.0)
        return self.end()

    def end(self) -> str:
        """Wait until it ends by itself, and return its output."""
        until(lambda: (self.text, self.process.poll() is not None)[1])
        text = self.text
        self.close()
        return text

    def close(self) -> None:
        """End it. Closing twice is fine."""
        if self._ours >= 0:
            self.process.kill()
            self.process.wait()
            os.close(self._ours)
            self._ours = -1


def seen(text: str) -> str:
    """The text without control sequences: colours, links, movements of the cursor."""
    return LINK.sub("", ANSI.sub("", text))
