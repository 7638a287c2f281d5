"""Disks that a test makes and mounts. Where that is not allowed, the test is skipped."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a file system")


#: What to mount for a fresh file system.
FRESH = ("-t", "tmpfs", "-o", "size=1m", "none")


def make_disk(image: Path, size_bytes: int = 8 << 20) -> Path:
    """A file with a file system in it."""
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("there is no mkfs.ext4")
    with image.open("wb") as file:
        file.truncate(size_bytes)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    return image


@contextmanager
def mounted(directory: Path, *arguments: str | Path) -> Iterator[None]:
    """Mounted there as long as the ``with`` lasts, if the test does not unmount it."""
    mount(directory, *arguments)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", directory], capture_output=True, check=False)


def mount(directory: Path, *arguments: str | Path) -> None:
    """Mount something on ``directory``. Skips the test if that is not allowed."""
    done = subprocess.run(["mount", *arguments, directory], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"can't mount here: {done.stderr.strip()}")
