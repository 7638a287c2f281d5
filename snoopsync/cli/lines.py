"""Writes lines to standard output for programs."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable

#: A reader of a pipe waits at most this long for lines that are written.
_FLUSH_SECONDS = 0.1


def write_lines(lines: Iterable[str]) -> None:
    """Write the lines. The first one appears at once, also in a pipe, and the others soon. A flush
    for each line would take longer than a long list itself."""
    flush_at = float("-inf")
    for line in lines:
        sys.stdout.write(line + "\n")
        now = time.monotonic()
        if now >= flush_at:
            sys.stdout.flush()
            flush_at = now + _FLUSH_SECONDS
