"""Run the campaign by hand."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence as Row
from dataclasses import dataclass, field
from pathlib import Path

from tests.campaigns.disks.conditions import KIND_WEIGHTS, Conditions, Violation
from tests.campaigns.disks.sequence import Outcome, Sequence
from tests.support.disks import why_not


@dataclass
class Figures:
    """What a campaign did."""

    seconds: float = 0.0
    kinds: Counter[str] = field(default_factory=Counter)
    steps: Counter[str] = field(default_factory=Counter)
    processes: int = 0
    deletes: int = 0
    uploads: int = 0
    approved: int = 0
    waited: int = 0
    stranded: int = 0
    broken: list[str] = field(default_factory=list)

    def count(self, conditions: Conditions, outcome: Outcome | None) -> None:
        """One sequence more. ``outcome`` is ``None`` if it broke a promise."""
        self.kinds[conditions.kind] += 1
        self.processes += conditions.is_process
        if outcome is None:
            self.broken.append(str(conditions.index))
            return
        self.steps.update(outcome.steps)
        self.deletes += outcome.deletes
        self.uploads += outcome.uploads
        self.approved += outcome.approved
        self.waited += outcome.approved > 0
        self.stranded += outcome.stranded > 0

    def __str__(self) -> str:
        def counted(title: str, counter: Counter[str]) -> str:
            each = ", ".join(f"{count} {name}" for name, count in sorted(counter.items()))
            return f"{counter.total()} {title} ({each})"

        count = self.kinds.total()
        kept = count - len(self.broken)
        broken = f": {', '.join(self.broken)}" if self.broken else ""
        return "\n".join(
            (
                f"{counted('sequences', self.kinds)} in {self.seconds:.0f} s,"
                f" {self.processes} with a real service",
                counted("steps", self.steps),
                f"{self.deletes} DELETEs, all of them of pictures that a person deleted;"
                f" {self.uploads} uploads",
                f"{kept} in sync in the end: {kept - self.waited} without approve,"
                f" {self.waited} after it ({self.approved} deletions by a person);"
                f" in {self.stranded} an image of a disk mounted below was left",
                f"{len(self.broken)} sequences broke a promise{broken}",
            )
        )


def run_one(conditions: Conditions, kinds: Row[str]) -> Outcome:
    """Run one sequence. Raises ``Violation``; any other error in it is one, too."""
    with tempfile.TemporaryDirectory(prefix="snoopsync-disks-") as base:
        sequence = Sequence(Path(base), conditions, kinds)
        try:
            return sequence.run()
        except Violation:
            raise
        except Exception as error:
            raise Violation(f"{error!r}\n{conditions}\n{sequence.story}") from error


def shrink(conditions: Conditions, violation: Violation, kinds: Row[str]) -> Violation:
    """What the same sequence says with as few steps as still break a promise."""
    number = 0
    while number < len(conditions.steps):
        shorter = conditions.without(number)
        try:
            run_one(shorter, kinds)
        except Violation as found:
            conditions, violation = shorter, found
        else:
            number += 1
    return violation


def main() -> int:
    """For the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.disks", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--sequences", type=int, default=500)
    parser.add_argument("--minutes", type=float, help="end after this time")
    parser.add_argument("--only", type=int, help="run this sequence alone")
    parser.add_argument("--shrink", action="store_true", help="leave out steps that don't matter")
    parser.add_argument("--kind", choices=KIND_WEIGHTS, action="append")
    parser.add_argument("--processes", type=float, default=0.04, help="share with a real service")
    parser.add_argument("--keep-going", action="store_true", help="don't end at a violation")
    arguments = parser.parse_args()
    kinds = []
    for kind in arguments.kind or KIND_WEIGHTS:
        reason = why_not(kind)
        if reason is None:
            kinds.append(kind)
        else:
            sys.stdout.write(f"without {kind}: {reason.splitlines()[0]}\n")
    if not kinds:
        return 2
    figures = Figures()
    began = time.monotonic()
    first = arguments.only or 0
    last = first + 1 if arguments.only is not None else arguments.sequences
    try:
        for index in range(first, last):
            if arguments.minutes and time.monotonic() > began + 60.0 * arguments.minutes:
                break
            conditions = Conditions.of(arguments.seed, index, kinds, arguments.processes)
            try:
                figures.count(conditions, run_one(conditions, kinds))
            except Violation as violation:
                figures.count(conditions, None)
                shortest = shrink(conditions, violation, kinds) if arguments.shrink else violation
                sys.stdout.write(f"VIOLATION: {shortest}\n\n")
                if not arguments.keep_going:
                    break
            sys.stdout.flush()
    finally:
        figures.seconds = time.monotonic() - began
        sys.stdout.write(f"seed {arguments.seed}: {figures}\n")
    return 1 if figures.broken else 0


if __name__ == "__main__":
    sys.exit(main())
