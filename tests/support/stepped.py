"""snoopsync in processes whose wall clock the test sets, while that of the machine stays."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.process import Installation

_SITE = """
import os, time
_wall = time.time
def _shifted():
    try:
        with open(os.environ["CLOCK_OFFSET_FILE"]) as file:
            return _wall() + float(file.read() or 0)
    except (KeyError, OSError, ValueError):  # decoders get no environment
        return _wall()
time.time = _shifted
"""


class SteppedClock:
    """The wall clock of everything that is run in this installation from now on."""

    def __init__(self, home: Installation) -> None:
        site = home.home / "site"
        site.mkdir()
        (site / "sitecustomize.py").write_text(_SITE)
        self._offset = home.home / "offset"
        self.set(0.0)
        paths = (str(site), home.environment["PYTHONPATH"])
        home.environment["PYTHONPATH"] = os.pathsep.join(paths)
        home.environment["CLOCK_OFFSET_FILE"] = str(self._offset)

    def set(self, seconds: float) -> None:
        """Set it ahead of the true time by this much."""
        aside = Path(f"{self._offset}.new")
        aside.write_text(str(seconds))
        aside.replace(self._offset)
