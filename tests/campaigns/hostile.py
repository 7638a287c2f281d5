"""A real service on a folder of good and of hostile pictures: what it mirrors, refuses, and costs.

By hand: ``python -m tests.campaigns.hostile --good 2000 --hostile 200``.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import psutil

from snoopsync.embedded import open_embedded
from snoopsync.sync.components import embedded_path
from tests.support.hostile_pictures import unacceptable
from tests.support.pictures import encode, photo
from tests.support.process import QUICK_SYNC, Installation, Service

#: The good pictures have these formats in turn.
_GOOD_KINDS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "HEIF")
_GOOD_SIZE = (160, 120)

#: How often memory is looked at. A decoder lives for longer.
_SAMPLE_SECONDS = 0.1

#: Of one service: the main process, and a decoder with its picture, which may have 1 GiB.
MOST_MAIN_BYTES = 300 << 20
MOST_DECODER_BYTES = 1200 << 20

#: The line of the log of a service that starts, and those that none may have.
_STARTED = re.compile(r"\bsnoopsync \d+\.\d+.*: 1 folder into")
_BAD = re.compile("Traceback|starting over|no progress")


@dataclass(slots=True)
class Memory:
    """The most that was resident at any moment (bytes): in the main process, and in that of its
    children that had the most. ``children`` are all that it ever had."""

    main: int = 0
    child: int = 0
    children: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Report:
    """The result. ``wrong``: everything that must not occur."""

    good: int
    hostile: int
    mirrored: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    memory: Memory = field(default_factory=Memory)
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def table(self) -> str:
        """For people."""
        memory = self.memory
        lines = [
            f"{self.mirrored} of {self.good} good pictures mirrored",
            f"{self.reasons.total()} of {self.hostile} hostile pictures refused",
            "",
            *(f"{count:6}  {kind}" for kind, count in self.kinds.most_common()),
            "",
            "reasons:",
            *(f"{count:6}  {reason}" for reason, count in self.reasons.most_common()),
            "",
            f"peak memory: main process {memory.main >> 20} MiB, largest of"
            f" {len(memory.children)} other processes {memory.child >> 20} MiB",
            f"{self.seconds:.0f} s",
        ]
        return "\n".join(lines)


def run(good: int, hostile: int, seed: int, seconds: float = 1800.0) -> Report:
    """Mirror these numbers of good and hostile pictures, within ``seconds``."""
    report = Report(good, hostile)
    with tempfile.TemporaryDirectory() as base:
        home = Installation(Path(base))
        home.configure(QUICK_SYNC)
        kinds = _fill(home.pictures, good, hostile, seed)
        began = time.monotonic()
        with home.service() as service:
            with _sampling(service.pid, report.memory):
                # Complete, although some images failed.
                service.line_with(
                    "sync complete, with problems" if hostile else "sync complete:", seconds
                )
                report.seconds = time.monotonic() - began
                rows = home.json("list", "--json")
                status = home.status()
            if service.end() != 0:
                report.wrong.append(f"the service has failed: {service.lines[-5:]}")
        _judge(report, rows, kinds, _ids(home))
        _judge_service(report, service, status)
    return report


def _fill(folder: Path, good: int, hostile: int, seed: int) -> dict[str, str]:
    """The files, mixed. Returns the kind of each hostile one."""
    for number in range(good):
        kind = _GOOD_KINDS[number % len(_GOOD_KINDS)]
        data = encode(photo(1000 * seed + number, _GOOD_SIZE), kind)
        (folder / f"{number:06}-good.jpg").write_bytes(data)
    kinds = {}
    for number, (kind, data) in enumerate(islice(unacceptable(seed), hostile)):
        name = f"{number * max(1, good // max(1, hostile)):06}-hostile-{number}.jpg"
        (folder / name).write_bytes(data)
        kinds[name] = kind
    return kinds


@contextmanager
def _sampling(process: int, memory: Memory) -> Iterator[None]:
    """Look at the memory of this process and of its children, as long as the ``with`` lasts."""
    over = threading.Event()
    main = psutil.Process(process)

    def sample() -> None:
        while not over.wait(_SAMPLE_SECONDS):
            memory.main = max(memory.main, _peak(process))
            with suppress(psutil.NoSuchProcess):
                for child in main.children(recursive=True):
                    memory.children.add(child.pid)
                    memory.child = max(memory.child, _peak(child.pid))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _peak(process: int) -> int:
    """The most that was ever resident in this process; 0 if it has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    return 0


def _ids(home: Installation) -> set[str]:
    """What the collection holds."""
    with closing(open_embedded(embedded_path(home.state))) as collection:
        return {image["id"] for image in collection.images()}


def _judge(report: Report, rows: list[Any], kinds: dict[str, str], held: set[str]) -> None:
    for row in rows:
        name, state = Path(row["path"]).name, row["state"]
        if name not in kinds:
            if state == "synced" and row["image_id"] in held:
                report.mirrored += 1
            else:
                report.wrong.append(f"a good picture is {state}: {name}: {row.get('error')}")
        elif state == "failed" and row["error"] and row["image_id"] not in held:
            report.kinds[kinds[name]] += 1
            report.reasons[_without_numbers(row["error"])] += 1
        else:
            report.wrong.append(f"{kinds[name]} is {state}, for {row.get('error')}: {name}")
    if len(rows) != report.good + report.hostile:
        report.wrong.append(f"{len(rows)} files are known")


def _judge_service(report: Report, service: Service, status: dict[str, Any]) -> None:
    starts = sum(bool(_STARTED.search(line)) for line in service.lines)
    if starts != 1 or status["service"]["pid"] != service.pid:
        report.wrong.append(f"the service has started {starts} times")
    report.wrong += [each for each in service.lines if _BAD.search(each)]
    for what, bytes_, most in (
        ("the main process", report.memory.main, MOST_MAIN_BYTES),
        ("a decoder", report.memory.child, MOST_DECODER_BYTES),
    ):
        if bytes_ > most:
            report.wrong.append(f"{what} has had {bytes_ >> 20} MiB, more than {most >> 20} MiB")


def _without_numbers(reason: str) -> str:
    """The reason with its status, but without the numbers of this one picture."""
    status, _, text = reason.partition(" ")
    return f"{status} {re.sub(r'[0-9]+', 'N', text)}"


def main() -> int:
    """From the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.hostile")
    parser.add_argument("--good", type=int, default=2000)
    parser.add_argument("--hostile", type=int, default=200)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    report = run(given.good, given.hostile, given.seed)
    sys.stdout.write(f"{report.table()}\nseed {given.seed}\n")
    sys.stdout.writelines(f"WRONG {each}\n" for each in report.wrong)
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
