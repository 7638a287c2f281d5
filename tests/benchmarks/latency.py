"""From the close of a file to its request, and to its alert."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

from tests.benchmarks.installation import Installation, wait_until
from tests.benchmarks.measuring import percentile, table
from tests.benchmarks.served import Served, serving
from tests.support.pictures import encode, photo

_FILES = 200
_ALERTS = 30
_SETTLE_MS = 500
_OFTEN_SECONDS = 0.005


def measure(root: Path) -> None:
    """Print how long after its close a file's bytes have arrived at the server, and how long after
    the close of a copy its alert is logged. The baseline is the time that a file has to be quiet
    for."""
    to_request = _to_request(root / "latency-http")
    to_alert = _to_alert(root / "latency-embedded")
    rows = [
        _row(f"close to request, {len(to_request)} files", to_request),
        _row(f"close to alert, embedded, {len(to_alert)} files", to_alert),
    ]
    head = ("ms", "p50", "p99", "max", "p50 - settle", "p99 - settle")
    table(f"latency with settle: {_SETTLE_MS} ms", head, rows)


def _row(name: str, seconds: list[float]) -> tuple[str, ...]:
    ms = [1000 * value for value in seconds]
    p50, p99 = statistics.median(ms), percentile(ms, 99)
    figures = (p50, p99, max(ms), p50 - _SETTLE_MS, p99 - _SETTLE_MS)
    return (name, *(f"{figure:.0f}" for figure in figures))


def _to_request(root: Path) -> list[float]:
    root.mkdir(parents=True)
    taken = []
    with serving() as served:
        installation = Installation(root, root / "folder", served.endpoint, settle_ms=_SETTLE_MS)
        installation.folder.mkdir()
        installation.write()
        with installation.service():
            served.arrivals()
            for number in range(_FILES):
                (installation.folder / f"{number}.jpg").write_bytes(b"%d" % number)
                closed = time.monotonic()
                taken.append(_first_upload(served) - closed)
    return taken


def _first_upload(served: Served) -> float:
    found: list[float] = []

    def arrived() -> bool:
        found.extend(upload.at for upload in served.uploads())
        return bool(found)

    wait_until(arrived, "sent", _OFTEN_SECONDS)
    return found[0]


def _to_alert(root: Path) -> list[float]:
    root.mkdir(parents=True)
    installation = Installation(root, root / "folder", settle_ms=_SETTLE_MS)
    installation.folder.mkdir()
    installation.write()
    for seed in range(_ALERTS):
        (installation.folder / f"{seed}.jpg").write_bytes(encode(photo(seed)))
    log = root / "service.log"
    with installation.service():
        return [_alert_after_copy(installation, seed, log) for seed in range(_ALERTS)]


def _alert_after_copy(installation: Installation, seed: int, log: Path) -> float:
    before = log.stat().st_size
    copy = encode(photo(seed).resize((200, 150)))
    (installation.folder / f"copy-{seed}.jpg").write_bytes(copy)
    closed = time.monotonic()

    def alerted() -> bool:
        with log.open("rb") as lines:
            lines.seek(before)
            return b"duplicate" in lines.read()

    wait_until(alerted, "alerted", _OFTEN_SECONDS)
    return time.monotonic() - closed
