"""A folder with two groups of duplicates."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.pictures import encode, photo
from tests.support.process import Installation

#: The width and the height of the larger pictures.
SIZE = (640, 480)


def two_groups(path: Path) -> Installation:
    """Three files with the same bytes and a small copy; one picture in two qualities. The folder is
    configured, and nothing is mirrored yet."""
    home = Installation(path)
    original = encode(photo(1, SIZE), "PNG")
    for name in ("a.png", "b.png", "c.png"):
        (home.pictures / name).write_bytes(original)
    (home.pictures / "a small.jpg").write_bytes(encode(photo(1, (320, 240))))
    (home.pictures / "x.jpg").write_bytes(encode(photo(2, SIZE), quality=95))
    (home.pictures / "x2.jpg").write_bytes(encode(photo(2, SIZE), quality=50))
    os.utime(home.pictures / "b.png", (1e9, 1e9))
    home.configure()
    return home
