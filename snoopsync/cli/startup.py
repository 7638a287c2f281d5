"""Prepares the process before a command runs: opens standard streams, and ensures UTF-8."""

from __future__ import annotations

import io
import os
import sys

#: The standard streams by file descriptor.
_STREAMS = {0: "stdin", 1: "stdout", 2: "stderr"}


def prepare() -> None:
    """Prepare this process. May restart it in UTF-8 mode."""
    _open_closed_streams()
    _require_utf8()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name that the terminal's encoding lacks must not abort a list.
        sys.stdout.reconfigure(errors="backslashreplace")


def _open_closed_streams() -> None:
    """Open ``/dev/null`` for each closed standard stream.

    Otherwise the next opened file, for example the state file, would get the stream's descriptor,
    and a library that writes to the stream would write into that file.
    """
    for descriptor, name in _STREAMS.items():
        if not _is_open(descriptor):
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
            os.set_inheritable(descriptor, True)  # as standard streams are
        if getattr(sys, name) is None:
            mode = "r" if descriptor == 0 else "w"
            setattr(sys, name, open(descriptor, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _require_utf8() -> None:
    """Restart in Python's UTF-8 mode (PEP 540) if the locale has another encoding.

    Python decodes file names with the locale's encoding, but configurations and nearly all file
    names are UTF-8. Image IDs depend on the folder's name, so they must not depend on the locale.
    Output keeps the locale's encoding.
    """
    is_utf8 = sys.getfilesystemencoding() == "utf-8"
    if is_utf8 or sys.flags.utf8_mode or not sys.executable:
        return
    os.environ.setdefault("PYTHONIOENCODING", f"{sys.stdout.encoding}:backslashreplace")
    python, *arguments = sys.orig_argv
    os.execv(sys.executable, [python, "-X", "utf8", *arguments])
