"""How state, log and time grow with copies of one picture.

``python -m tests.benchmarks.copies [COUNT...]`` mirrors folders with so many copies, and near
copies, into an embedded collection, and prints a table. A second table is about another owner who
adds as many copies to a service: what the next resync does to learn of them.
"""

from __future__ import annotations

import hashlib
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from snoopsync.storage.sqlite.images import SqliteImageStore
from tests.decoding.helpers import extract
from tests.support.hosted import hosted
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
        return _resync(base, _configure(base, count, "", identical=identical))


def measure_of_others(count: int, *, identical: bool) -> Measured:
    """Resync after another owner added as many copies as the folder has."""
    with tempfile.TemporaryDirectory() as name, hosted(Path(name) / "service") as service:
        base = Path(name)
        public, secret = service.keys("copies")
        keys = f"{{endpoint: {service.endpoint}, public_key: {public}, secret_key: {secret}}}"
        config = _configure(base, count, f"collection: {keys}\n", identical=identical)
        _resync(base, config)
        [path] = (base / "service").glob("collections/*/collection.sqlite3")
        with closing(SqliteImageStore(path, lambda: "")) as store:
            features = extract(_picture(0, identical=identical))
            for number in range(count):
                digest = hashlib.sha256(b"" if identical else number.to_bytes(4, "big")).digest()
                sha256 = features.sha256 if identical else digest
                image_id = f"other.{number:05}"
                store.add(image_id, replace(features, sha256=sha256), time.time_ns() // 1000)
        return _resync(base, config)


def _picture(number: int, *, identical: bool) -> bytes:
    # Bytes after the end of a JPEG: the same picture in another file.
    more = b"" if identical else number.to_bytes(4, "big")
    return encode(photo(1, (320, 240))) + more


def _configure(base: Path, count: int, collection: str, *, identical: bool) -> Path:
    """Write a folder with so many copies. Returns the configuration."""
    folder = base / "photos"
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:05}.jpg").write_bytes(_picture(number, identical=identical))
    config = base / "config.yaml"
    config.write_text(
        f"{collection}folders: [{{path: {folder}}}]\nstate: {base}/state/state.sqlite3\n"
        "sync: {settle: 0.1s}\n"
    )
    config.chmod(0o600)
    return config


def _resync(base: Path, config: Path) -> Measured:
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
    """Print the tables."""
    counts = [int(each) for each in sys.argv[1:]] or COUNTS
    for measuring in (measure, measure_of_others):
        print("| copies | kind | seconds | CPU s | state KB | log KB | alerts |")
        print("|---|---|---|---|---|---|---|")
        for identical in (True, False):
            for count in counts:
                found = measuring(count, identical=identical)
                kind = "identical" if identical else "same picture, other bytes"
                row = f"{count} | {kind} | {found.seconds:.1f} | {found.processor_seconds:.1f}"
                sizes = f"{found.state_bytes / 1000:.0f} | {found.log_bytes / 1000:.1f}"
                print(f"| {row} | {sizes} | {found.alerts} |", flush=True)
        print()


if __name__ == "__main__":
    main()
