"""How state, log and time grow with copies of one picture.

``python -m tests.benchmarks.copies [COUNT...]`` mirrors folders with so many copies, and near
copies, into an embedded collection, and prints a table.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.support.pictures import encode, photo

COUNTS = (150, 600, 2400)


def measure(count: int, *, identical: bool) -> tuple[float, int, int, int]:
    """Seconds of a resync, bytes of the state file and of the log, and the number of alerts."""
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
        begun = time.monotonic()
        done = subprocess.run(command, capture_output=True, check=True)
        seconds = time.monotonic() - begun
        state = sum(each.stat().st_size for each in (base / "state").glob("state.sqlite3*"))
        return seconds, state, len(done.stderr), done.stderr.count(b"duplicate:")


def main() -> None:
    """Print the table."""
    counts = [int(each) for each in sys.argv[1:]] or COUNTS
    print("| copies | kind | seconds | state KB | log KB | alerts |")
    print("|---|---|---|---|---|---|")
    for identical in (True, False):
        for count in counts:
            seconds, state, log, alerts = measure(count, identical=identical)
            kind = "identical" if identical else "same picture, other bytes"
            row = f"{count} | {kind} | {seconds:.1f} | {state / 1000:.0f} | {log / 1000:.1f}"
            print(f"| {row} | {alerts} |", flush=True)


if __name__ == "__main__":
    main()
