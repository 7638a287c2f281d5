"""Folders with the permissions of other users."""

from __future__ import annotations

from pathlib import Path


def folder_of(above: Path, *modes: int) -> Path:
    """A nested folder. ``modes`` are those of its parts, the outermost first."""
    path = above
    for number, _ in enumerate(modes):
        path = path / str(number)
        path.mkdir()
    for rel_path, mode in zip([path, *path.parents], reversed(modes), strict=False):
        rel_path.chmod(mode)
    return path
