"""What it costs to look at a hundred thousand images: ``status --watch``, and the listings."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.benchmarks.installation import ENVIRONMENT, Installation
from tests.benchmarks.measuring import processor_seconds, table
from tests.benchmarks.noop import prepared

_MEBIBYTE = 1024 * 1024
_SETTLED_SECONDS = 8.0
_WATCHED_SECONDS = 30.0
_LOOK_AGAIN_SECONDS = 0.02


def measure(root: Path, *, files: int) -> None:
    """Print what a watcher takes of a processor, and of the service's; and what commands take."""
    installation = prepared(root / "noop-100", files, 100)
    watched, commands = [], []
    with installation.service() as service:
        time.sleep(_SETTLED_SECONDS)
        alone = _share(service.pid)
        with _watching(installation) as watcher:
            memory = psutil.Process(watcher.pid).memory_info().rss / _MEBIBYTE
            watched.append(("nobody watches", f"{alone:.1%}", "", ""))
            shares = f"{_share(service.pid):.1%}", f"{_share(watcher.pid):.1%}"
            watched.append(("status --watch", *shares, f"{memory:.0f}"))
        commands += [_costs(installation, "beside a service", name) for name in _COMMANDS]
    with _watching(installation) as watcher:
        memory = psutil.Process(watcher.pid).memory_info().rss / _MEBIBYTE
        row = ("status --watch, no service", "", f"{_share(watcher.pid):.1%}", f"{memory:.0f}")
        watched.append(row)
    commands += [_costs(installation, "no service", name) for name in _COMMANDS]
    head = ("", "service", "watcher", "RSS MiB")
    table(f"shares of a processor, {files} images", head, watched)
    table(f"commands, {files} images", ("", "s", "processor s", "RSS MiB"), commands)


_COMMANDS = ("status", "list", "list --json")


@contextmanager
def _watching(installation: Installation) -> Iterator[subprocess.Popen[bytes]]:
    command = installation.command("status", "--watch", "--json")
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=ENVIRONMENT) as watcher:
        time.sleep(_SETTLED_SECONDS)
        try:
            yield watcher
        finally:
            watcher.send_signal(signal.SIGINT)


def _share(pid: int) -> float:
    before = processor_seconds(pid)
    time.sleep(_WATCHED_SECONDS)
    return (processor_seconds(pid) - before) / _WATCHED_SECONDS


def _costs(installation: Installation, when: str, name: str) -> tuple[str, str, str, str]:
    began = time.perf_counter()
    command = installation.command(*name.split())
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=ENVIRONMENT)
    ended, peak = 0, 0.0
    while not ended:
        # What wait4 has for this is that of the process that started it, if that was larger.
        peak = max(peak, _peak_mebibytes(process.pid))
        time.sleep(_LOOK_AGAIN_SECONDS)
        ended, status, used = os.wait4(process.pid, os.WNOHANG)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, name
    seconds = time.perf_counter() - began
    processor = used.ru_utime + used.ru_stime
    return f"{name}, {when}", f"{seconds:.2f}", f"{processor:.2f}", f"{peak:.0f}"


def _peak_mebibytes(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(peak[1]) / 1024 if peak else 0.0
