"""Figures that mean something on a noisy machine: taken in turns, many times, and compared."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import psutil

#: What one turn measures; it returns seconds.
Measure = Callable[[], float]


def seconds_of(work: Callable[[], object]) -> float:
    """How long ``work`` takes."""
    gc.collect()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def processor_seconds(pid: int) -> float:
    """The processor time that a process has used so far, in user and in system mode."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def interleaved(counters: Mapping[str, Measure], rounds: int) -> dict[str, list[float]]:
    """Every measure once in each round, one after the other, so that what else the machine does
    hits them alike. The first round, which warms up the caches, is not counted."""
    taken: dict[str, list[float]] = {name: [] for name in counters}
    for number in range(rounds + 1):
        for name, measure in counters.items():
            seconds = measure()
            if number:
                taken[name].append(seconds)
    return taken


def ratio(taken: Sequence[float], baseline: Sequence[float]) -> float:
    """The median of what each round's figure is to the baseline's in the same round."""
    return statistics.median(one / other for one, other in zip(taken, baseline, strict=True))


def percentile(values: Sequence[float], percent: int) -> float:
    """The value that this percentage of the values is not above."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def compare(title: str, taken: Mapping[str, Sequence[float]]) -> None:
    """Print the medians, beside the first one's, which is the baseline."""
    baseline = next(iter(taken.values()))
    rows = [
        (
            name,
            f"{statistics.median(values):.3f}",
            f"{min(values):.3f}",
            f"{max(values):.3f}",
            f"{ratio(values, baseline):.2f}",
        )
        for name, values in taken.items()
    ]
    table(title, ("", "median s", "min", "max", "ratio"), rows)


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: the first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    print(f"\n{title}")
    for row in (head, *rows):
        first = row[0].ljust(widths[0])
        others = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        print("  ".join((first, *others)).rstrip())
