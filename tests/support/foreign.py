"""Programs of other projects, each in its own environment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def environment_with(folder: Path, package: str) -> Path:
    """Return the programs of a new environment with this package. Skips the test if the package
    can't be installed."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip: list[str | Path] = [folder / "bin" / "pip", "install", "-q", package]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"{package} can't be installed: {done.stderr.strip()[-200:]}")
    return folder / "bin"
