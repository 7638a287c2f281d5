"""A private journald, with a journal that no other program sees."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.process import until

JOURNALD = Path("/usr/lib/systemd/systemd-journald")

#: What is mounted over these directories, only this journald and what is run beside it sees.
_BEGIN = f"""
mount --make-rprivate / && mount -t tmpfs none /run && mount -t tmpfs none /var/log &&
mkdir -p /run/systemd/journal /run/log/journal && exec {JOURNALD}
"""

#: What systemd says to a service whose standard error is the journal's.
_AS_A_SERVICE = 'export JOURNAL_STREAM=$(stat -Lc %d:%i /proc/self/fd/2) && exec "$0" "$@"'


class Journal:
    """The journal, and programs that write to it."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._nsenter = ["nsenter", "-m", "-t", str(pid), "--"]

    @property
    def socket(self) -> Path:
        """Where it takes entries."""
        return Path(f"/proc/{self._pid}/root/run/systemd/journal/socket")

    def start(self, *command: str | Path, **options: Any) -> subprocess.Popen[str]:
        """Start a program that sees this journal."""
        return subprocess.Popen([*self._nsenter, *command], encoding="utf-8", **options)

    def run(self, *command: str | Path, environment: Mapping[str, str] = os.environ) -> str:
        """The output of a program that sees this journal."""
        done = subprocess.run(
            [*self._nsenter, *command],
            env=environment,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            timeout=30,
            check=True,
        )
        return done.stdout

    def run_service(self, *command: str | Path, environment: Mapping[str, str] = os.environ
    ) -> None:  # fmt: skip
        """Run a program whose standard error is the journal's."""
        service = ["systemd-cat", "sh", "-c", _AS_A_SERVICE]
        self.run(*service, *command, environment=environment)

    def entries(self, *matches: str) -> list[dict[str, Any]]:
        """The entries with these fields."""
        self.run("journalctl", "--sync")
        lines = self.run("journalctl", "-q", "-o", "json", "--all", *matches).splitlines()
        return [json.loads(line) for line in lines]


@contextmanager
def running_journald() -> Iterator[Journal]:
    """A journald, if there can be one here."""
    if os.geteuid() != 0:
        pytest.skip("only root can have a journald of its own")
    if sys.platform != "linux" or not JOURNALD.exists():
        pytest.skip("there is no journald here")
    daemon = subprocess.Popen(
        ["unshare", "-m", "sh", "-c", _BEGIN], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        journal = Journal(daemon.pid)
        until(lambda: journal.socket.exists() or daemon.poll() is not None)
        if daemon.poll() is not None:
            pytest.skip("mounting is not allowed here, or journald does not start")
        yield journal
    finally:
        daemon.kill()
        daemon.wait()
