"""A resync that finds nothing to do, compared with ``find``."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.benchmarks.installation import Installation
from tests.benchmarks.measuring import compare, interleaved, seconds_of
from tests.benchmarks.prepared import confirm_everything, make_tree
from tests.benchmarks.served import serving


def measure(root: Path, *, files: int, rounds: int) -> None:
    """Print how long ``find`` and ``snoopsync resync`` take, the interpreter's start included, in
    few directories and in many."""
    for directories in (100, files // 10):
        _measure(root / f"noop-{directories}", files, directories, rounds)


def prepared(root: Path, files: int, directories: int) -> Installation:
    """An installation with everything mirrored into the embedded collection; made once."""
    installation = Installation(root / "embedded", root / "folder")
    if not installation.folder.exists():
        make_tree(installation.folder, files, directories)
    if not installation.folder.exists():
        make_tree(installation.folder, files, directories)
    if not installation.collection.exists():
        confirm_everything(installation)
    summary = installation.resync()
    assert summary["unchanged"] == files == summary["scanned"], summary
    return installation


def _measure(root: Path, files: int, directories: int, rounds: int) -> None:
    embedded = prepared(root, files, directories)
    with ExitStack() as stack:
        served = stack.enter_context(serving(embedded.collection))
        http = Installation(root / "http", embedded.folder, served.endpoint)
        http.write()
        if not http.state.exists():
            http.state.write_bytes(embedded.state.read_bytes())
        summary = http.resync()
        assert summary["unchanged"] == files, summary
        taken = interleaved(
            {
                "find -printf": lambda: seconds_of(_finding(embedded.folder)),
                "resync, embedded": lambda: seconds_of(embedded.resync),
                "resync, HTTP": lambda: seconds_of(http.resync),
            },
            rounds,
        )
        assert not served.uploads()
    compare(f"no-op resync of {files} files in {directories} directories", taken)


def _finding(folder: Path) -> Callable[[], object]:
    command = ["find", str(folder), "-printf", "%p %s %T@\n"]
    return lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
