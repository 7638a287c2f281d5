"""What the service does when a directory of ten thousand pictures is renamed."""

from __future__ import annotations

import statistics
import subprocess
import time
from contextlib import closing
from pathlib import Path

from snoopsync.state.database import Database
from snoopsync.state.images import State
from tests.benchmarks.installation import Installation, wait_until
from tests.benchmarks.measuring import processor_seconds, seconds_of, table
from tests.benchmarks.served import serving

_FILES = 10_000
_FILE_BYTES = 2_000


def measure(root: Path, *, rounds: int) -> None:
    """Print the time until ``status`` says that everything is mirrored again, the processor's time
    that the service took, and how many bytes were sent. The baseline is ``find`` on the files."""
    root /= "rename"
    folder = root / "folder"
    names = [folder / "album", folder / "renamed"]
    names[0].mkdir(parents=True)
    for number in range(_FILES):
        (names[0] / f"{number:05d}.jpg").write_bytes(b"%06d" % number * (_FILE_BYTES // 6))
    find = ["find", str(folder), "-printf", "%p %s %T@\n"]
    finds, walls, works, sent = [], [], [], 0
    with serving() as served:
        installation = Installation(root, folder, served.endpoint)
        installation.write()
        installation.resync()
        with installation.service() as service:
            served.arrivals()
            for _ in range(rounds):
                finds.append(
                    seconds_of(lambda: subprocess.run(find, check=True, stdout=subprocess.DEVNULL))
                )
                before, started = processor_seconds(service.pid), time.monotonic()
                names[0].rename(names[1])
                _wait_until_renamed(installation, names[1].name, service.pid)
                walls.append(time.monotonic() - started)
                works.append(processor_seconds(service.pid) - before)
                sent += sum(seen.length for seen in served.arrivals())
                names.reverse()
    baseline = statistics.median(finds)
    rows = [
        (name, f"{statistics.median(values):.3f}", f"{statistics.median(values) / baseline:.1f}")
        for name, values in (
            ("find -printf", finds),
            ("until in sync", walls),
            ("processor time of the service", works),
        )
    ]
    title = f"a directory of {_FILES} files renamed: {sent} bytes sent in {rounds} rounds"
    table(title, ("", "median s", "ratio"), rows)


def _wait_until_renamed(installation: Installation, name: str, pid: int) -> None:
    def renamed() -> bool:
        with closing(Database(installation.state, readonly=True)) as database:
            return State(database).directories("photos") == {name.encode()}

    wait_until(renamed, "renamed")
    installation.wait_in_sync(pid)
