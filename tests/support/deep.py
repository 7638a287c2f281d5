"""Directories whose paths are longer than the 4,096 bytes that a call takes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NAME = b"d" * 250


@contextmanager
def deep_below(top: Path) -> Iterator[tuple[bytes, int]]:
    """The path, below ``top``, of a directory that is too deep for a call, and a descriptor of it.
    At the end it is removed: not everybody who tidies up gets there."""
    path = b""
    descriptor = os.open(top, os.O_RDONLY)
    try:
        while len(path) < 5000:
            os.mkdir(_NAME, dir_fd=descriptor)
            below = os.open(_NAME, os.O_RDONLY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor, path = below, path + b"/" + _NAME if path else _NAME
        yield path, descriptor
    finally:
        os.close(descriptor)
        shutil.rmtree(top / os.fsdecode(_NAME), ignore_errors=True)


def write_in(descriptor: int, name: bytes, data: bytes = b"") -> None:
    """Write a file in an open directory."""
    file = os.open(name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600, dir_fd=descriptor)
    with os.fdopen(file, "wb") as opened:
        opened.write(data)
