"""A resync that finds nothing to do, compared with ``rsync -an`` and ``find``."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.benchmarks.installation import ENVIRONMENT, Installation
from tests.benchmarks.measuring import Measure, compare, interleaved, seconds_of, table
from tests.benchmarks.prepared import confirm_everything, make_tree
from tests.benchmarks.served import serving

_KIBIBYTES_IN_MEBIBYTE = 1024

_USED = """
import resource, subprocess
def used(command):
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
"""


def measure(root: Path, *, files: int, rounds: int) -> None:
    """Print how long ``rsync -an``, ``find`` and ``snoopsync resync`` take, in few directories and
    in many, the start of the interpreter included; and the peak of a resync's memory. rsync
    compares the folder with a copy of it."""
    for directories in (100, files // 10):
        _measure(root / f"noop-{directories}", files, directories, rounds)


def prepared(root: Path, files: int, directories: int) -> Installation:
    """An installation with everything mirrored into the embedded collection; made once."""
    installation = Installation(root / "embedded", root / "folder")
    if not installation.folder.exists():
        make_tree(installation.folder, files, directories)
    if not installation.collection.exists():
        confirm_everything(installation)
    summary = installation.resync()
    assert summary["unchanged"] == files == summary["scanned"], summary
    return installation


def _measure(root: Path, files: int, directories: int, rounds: int) -> None:
    embedded = prepared(root, files, directories)
    title = f"no-op resync of {files} files in {directories} directories"
    with ExitStack() as stack:
        served = stack.enter_context(serving(embedded.collection))
        http = Installation(root / "http", embedded.folder, served.endpoint)
        http.write()
        if not http.state.exists():
            http.state.write_bytes(embedded.state.read_bytes())
        summary = http.resync()
        assert summary["unchanged"] == files, summary
        measures: dict[str, Measure] = {}
        if shutil.which("rsync") is None:
            print("rsync is not installed: the first row is the baseline instead")
        else:
            measures["rsync -an"] = _measured(_rsync(embedded.folder, root / "copy"))
        measures |= {
            "resync, embedded": _measured(embedded.resync),
            "resync, HTTP": _measured(http.resync),
            "find -printf": _measured(_find(embedded.folder)),
        }
        taken = interleaved(measures, rounds)
        assert not served.uploads()
        memory = [("embedded", _peak(embedded)), ("HTTP", _peak(http))]
    compare(title, taken)
    table(f"{title}: peak of the memory", ("", "MiB"), memory)


def _measured(work: Callable[[], object]) -> Measure:
    return lambda: seconds_of(work)


def _rsync(folder: Path, copy: Path) -> Callable[[], object]:
    if not copy.exists():
        shutil.copytree(folder, copy)
    command = ["rsync", "-an", f"{folder}/", f"{copy}/"]
    return lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _find(folder: Path) -> Callable[[], object]:
    command = ["find", str(folder), "-printf", "%p %s %T@\n"]
    return lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _peak(installation: Installation) -> str:
    """The most memory that a resync has (its resident set)."""
    command = installation.command("-q", "resync", "--json")
    # Until a new process starts its program, it counts as large as the process that created it.
    # So a small process creates it.
    script = f"{_USED}\nprint(used({command!r}))"
    small = [sys.executable, "-c", script]
    done = subprocess.run(small, stdout=subprocess.PIPE, check=True, env=ENVIRONMENT)
    return f"{int(done.stdout) / _KIBIBYTES_IN_MEBIBYTE:.0f}"
