"""What the process needs before a command runs: standard streams that are open, and UTF-8."""

from __future__ import annotations

import io
import os
import sys

#: The standard streams by their descriptors.
_STREAMS = {0: "stdin", 1: "stdout", 2: "stderr"}


def prepare() -> None:
    """Prepare this process. May replace it by itself, in UTF-8 mode."""
    _open_closed_streams()
    _require_utf8()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name that the terminal's encoding does not have must not end the listing of all.
        sys.stdout.reconfigure(errors="backslashreplace")


def _open_closed_streams() -> None:
    """Open ``/dev/null`` where a standard stream is closed.

    Otherwise the next file that is opened, the state file for example, gets the stream's
    descriptor, and whatever a library writes to the stream ends up in that file.
    """
    for descriptor, name in _STREAMS.items():
        if not _is_open(descriptor):
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
            os.set_inheritable(descriptor, True)  # as the standard streams are
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
    """Start again in Python's UTF-8 mode (PEP 540) if the locale has another encoding.

    Names on the disk are bytes. Python turns text into them by the locale, but a configuration is
    UTF-8, and so is nearly every name. The ID of an image is made from its folder's name, and must
    not depend on the locale. What is shown keeps the locale's encoding.
    """
    is_utf8 = sys.getfilesystemencoding() == "utf-8"
    if is_utf8 or sys.flags.utf8_mode or not sys.executable:
        return
    os.environ.setdefault("PYTHONIOENCODING", f"{sys.stdout.encoding}:backslashreplace")
    python, *arguments = sys.orig_argv
    os.execv(sys.executable, [python, "-X", "utf8", *arguments])
