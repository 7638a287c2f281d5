"""``python -m tests.benchmarks [NAME...]``."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from tests.benchmarks import (
    adding,
    arriving,
    idle,
    importing,
    large,
    latency,
    looking,
    noop,
    parts,
    recall,
    rename,
    unlike,
    uploads,
)


def main() -> None:
    """Run the benchmarks that are named; or all, but those that download photographs or take
    minutes to prepare."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    names = ("noop", "idle", "looking", "latency", "uploads", "rename", "adding")
    by_name = ("recall", "parts", "unlike", "large", "arriving", "importing")
    known = ", ".join((*names, *by_name))
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {known}")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured")
    parser.add_argument("--files", type=int, default=100_000, help="of noop, idle and looking")
    parser.add_argument(
        "--dir", type=Path, help="where to work; what was prepared there is used again"
    )
    parser.add_argument("--pictures", type=int, default=1_000_000, help="of large and arriving")
    parser.add_argument("--photos", type=Path, help="photographs of your own")
    parser.add_argument("--others", type=int, default=0, help="random images besides, for recall")
    parser.add_argument("--alone", action="store_true", help="recall without others' hashes")
    given = parser.parse_args()
    if "parts" in given.names and given.photos is None:
        parser.error("parts needs --photos")
    unknown = set(given.names) - {*names, *by_name}
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    counters: dict[str, Callable[[Path], None]] = {
        "noop": partial(noop.measure, files=given.files, rounds=given.rounds),
        "idle": partial(idle.measure, files=given.files),
        "looking": partial(looking.measure, files=given.files),
        "latency": latency.measure,
        "adding": partial(adding.measure, rounds=given.rounds),
        "arriving": partial(arriving.measure, pictures=given.pictures, rounds=given.rounds),
        "importing": partial(importing.measure, rounds=given.rounds, photos=given.photos),
        "large": partial(large.measure, pictures=given.pictures),
        "recall": partial(
            recall.measure, photos=given.photos, alone=given.alone, others=given.others
        ),
        "parts": partial(parts.measure, photos=given.photos),
        "unlike": partial(unlike.measure_all, photos=given.photos),
        "uploads": partial(uploads.measure, rounds=given.rounds),
        "rename": partial(rename.measure, rounds=given.rounds),
    }
    with ExitStack() as stack:
        root = given.dir or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name in given.names or names:
            counters[name](root)


if __name__ == "__main__":
    main()
