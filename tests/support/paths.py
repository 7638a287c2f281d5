"""Where the checkout is."""

from __future__ import annotations

from pathlib import Path

#: The checkout: the directory of ``pyproject.toml``.
ROOT = Path(__file__).parents[2]
