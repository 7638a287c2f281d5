"""Users without a name, in addition to the one that runs the tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

OTHER = 12345
THIRD = 12346


def _knows_them() -> bool:
    """A user namespace may know one user only, and then root can't be, or give to, another."""
    try:
        numbers = list(map(int, Path("/proc/self/uid_map").read_text(encoding="ascii").split()))
    except OSError:
        return True
    ranges = zip(numbers[::3], numbers[2::3], strict=True)
    return any(first <= OTHER < THIRD < first + count for first, count in ranges)


needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or not _knows_them(), reason="only root can be, or give to, other users"
)
