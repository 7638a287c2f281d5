"""Programs of others, each in an environment of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def environment_with(folder: Path, package: str) -> Path:
    """The programs of a new environment with this package. Skips the test without an index."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip: list[str | Path] = [folder / "bin" / "pip", "install", "-q", package]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"{package} can't be installed: {done.stderr.strip()[-200:]}")
    return folder / "bin"
