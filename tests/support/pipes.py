"""Pipes that no process reads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress


def fill(descriptor: int) -> None:
    """Write into a pipe that does not block until it takes no more."""
    with suppress(BlockingIOError):
        while True:
            os.write(descriptor, b"x" * 4096)


@contextmanager
def full_pipe() -> Iterator[tuple[int, int]]:
    """A pipe that takes no more: where it is read, and where it is written to."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    fill(writing)
    os.set_blocking(writing, True)
    try:
        yield reading, writing
    finally:
        os.close(reading)
        os.close(writing)
