"""How state, log and time grow with copies of one picture.

``python -m tests.benchmarks.copies [COUNT...]`` mirrors folders with so many copies, and near
copies, into an embedded collection, and prints a table.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.support.pictures import encode, photo

COUNTS = (150, 600, 2_400, 10_000)


@dataclass(frozen=True, slots=True)
class Measured:
    """A resync: its seconds, those of a processor for it and its decoders, the bytes of the state
    file and of the log, and the number of alerts."""

    seconds: float
    processor_seconds: float
    state_bytes: int
    log_bytes: int
    alerts: int


def measure(count: int, *, identical: bool) -> Measured:
    """Resync a folder with so many copies for the first time."""
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        folder = base / "photos"
        folder.mkdir()
        picture = encode(photo(1, (320, 240)))
        for number in range(count):
            # Bytes after the end of a JPEG: the same picture in another file.
            more = b"" if identical else number.to_bytes(4, "big")
            (folder / f"{number:05}.jpg").write_bytes(picture + more)
        config = base / "config.yaml"
        config.write_text(
            f"folders: [{{path: {folder}}}]\nstate: {base}/state/state.sqlite3\n"
            "sync: {settle: 0.1s}\n"
        )
        config.chmod(0o600)
        command = [sys.executable, "-m", "snoopsync", "--config", str(config), "resync"]
        begun, used = time.monotonic(), _processor_seconds()
        done = subprocess.run(command, capture_output=True, check=True)
        seconds = time.monotonic() - begun
        state = sum(each.stat().st_size for each in (base / "state").glob("state.sqlite3*"))
        return Measured(
            seconds,
            _processor_seconds() - used,
            state,
            len(done.stderr),
            done.stderr.count(b"duplicate:"),
        )


def _processor_seconds() -> float:
    """What all child processes that have ended took."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Print the table."""
    counts = [int(each) for each in sys.argv[1:]] or COUNTS
    print("| copies | kind | seconds | CPU s | state KB | log KB | alerts |")
    print("|---|---|---|---|---|---|---|")
    for identical in (True, False):
        for count in counts:
            found = measure(count, identical=identical)
            kind = "identical" if identical else "same picture, other bytes"
            row = f"{count} | {kind} | {found.seconds:.1f} | {found.processor_seconds:.1f}"
            sizes = f"{found.state_bytes / 1000:.0f} | {found.log_bytes / 1000:.1f}"
            print(f"| {row} | {sizes} | {found.alerts} |", flush=True)


if __name__ == "__main__":
    main()
