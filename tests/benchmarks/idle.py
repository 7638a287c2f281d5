"""The memory of the service that has a hundred thousand images and nothing to do."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import psutil

from snoopsync.state.database import Database
from snoopsync.state.searches import Searches
from tests.benchmarks.installation import Installation, wait_until
from tests.benchmarks.measuring import table
from tests.benchmarks.noop import prepared
from tests.support.pictures import encode, photo

_MEBIBYTE = 1024 * 1024
_QUIET_SECONDS = 3.0


def measure(root: Path, *, files: int) -> None:
    """Print the memory of the service: after its start, and after one picture was added, searched
    for and mirrored, so that the index is in memory."""
    rows = []
    for directories in (100, files // 10):
        installation = prepared(root / f"noop-{directories}", files, directories)
        with installation.service() as service:
            rows.append(_row(f"{directories} directories, started", service.pid))
            added = installation.folder / "added.jpg"
            added.write_bytes(encode(photo(1)))
            try:
                _wait_until_searched(installation, "added.jpg")
                installation.wait_in_sync(service.pid)
                rows.append(_row(f"{directories} directories, one added", service.pid))
            finally:
                added.unlink()
        installation.resync()
    table(f"memory of the idle service, {files} images", ("", "RSS MiB", "PSS", "USS"), rows)


def _row(name: str, pid: int) -> tuple[str, str, str, str]:
    time.sleep(_QUIET_SECONDS)
    memory = psutil.Process(pid).memory_full_info()
    rss, pss, uss = (size / _MEBIBYTE for size in (memory.rss, memory.pss, memory.uss))
    return name, f"{rss:.1f}", f"{pss:.1f}", f"{uss:.1f}"


def _wait_until_searched(installation: Installation, name: str) -> None:
    def searched() -> bool:
        with closing(Database(installation.state, readonly=True)) as database:
            confirmed = database.one(
                "SELECT sha256 IS NOT NULL FROM image WHERE name = ?", (name.encode(),)
            )
            return bool(confirmed) and not Searches(database).due(1)

    wait_until(searched, f"{name} searched for")
