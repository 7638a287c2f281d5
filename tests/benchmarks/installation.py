"""An installation to measure: a configuration, its folder, its state, and the commands on it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snoopsync.config.file import load_config
from snoopsync.config.settings import Config
from snoopsync.status.model import Status
from snoopsync.status.reading import read_status
from snoopsync.sync.components import embedded_path
from tests.support.collection_server import PUBLIC_KEY, SECRET_KEY
from tests.support.paths import ROOT

REPOSITORY = ROOT

_PATIENCE_SECONDS = 300.0
_LOOK_AGAIN_SECONDS = 0.05

#: Modules are compiled once, as those of an installed package are, and not beside the sources.
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
    "PYTHONPATH": str(REPOSITORY),
    "PYTHONPYCACHEPREFIX": str(Path(tempfile.gettempdir()) / "snoopsync-benchmarks-pycache"),
}


@dataclass(frozen=True, slots=True)
class Installation:
    """A folder that is mirrored into the collection at ``endpoint``; all else is in ``root``."""

    root: Path
    folder: Path
    endpoint: str = "embedded"
    owner: str = "benchmark"
    settle_ms: int = 500

    @property
    def state(self) -> Path:
        """The state file."""
        return self.root / "state.sqlite3"

    @property
    def collection(self) -> Path:
        """The embedded collection's database."""
        return embedded_path(self.state)

    @property
    def config(self) -> Config:
        """The configuration as snoopsync reads it."""
        return load_config(self._config_path, {})

    @property
    def _config_path(self) -> Path:
        return self.root / "config.yaml"

    def write(self) -> None:
        """Write the configuration."""
        collection = {"endpoint": self.endpoint, "owner": self.owner}
        if self.endpoint != "embedded":
            collection |= {"public_key": PUBLIC_KEY, "secret_key": SECRET_KEY}
        text = json.dumps(  # JSON is YAML
            {
                "collection": collection,
                "folders": [{"path": str(self.folder), "name": "photos"}],
                "sync": {"settle": f"{self.settle_ms}ms"},
                "state": str(self.state),
            }
        )
        self.root.mkdir(parents=True, exist_ok=True)
        self._config_path.touch(mode=0o600)
        self._config_path.write_text(text)

    def command(self, *arguments: str) -> list[str]:
        """The command line of snoopsync on this installation."""
        return [sys.executable, "-m", "snoopsync", "--config", str(self._config_path), *arguments]

    def resync(self) -> dict[str, Any]:
        """Run ``snoopsync resync`` and return its summary."""
        run = subprocess.run(
            self.command("-q", "resync", "--json"),
            check=True,
            stdout=subprocess.PIPE,
            env=ENVIRONMENT,
        )
        summary: dict[str, Any] = json.loads(run.stdout)
        return summary

    @contextmanager
    def service(self) -> Iterator[subprocess.Popen[bytes]]:
        """``snoopsync run``, in sync when the ``with`` begins; its log is in ``service.log``."""
        with (
            (self.root / "service.log").open("wb") as log,
            subprocess.Popen(
                self.command("run"), stderr=log, stdout=log, env=ENVIRONMENT
            ) as process,
        ):
            try:
                self.wait_in_sync(process.pid)
                yield process
            finally:
                process.send_signal(signal.SIGTERM)

    def wait_in_sync(self, pid: int) -> None:
        """Wait until the service with this process ID says that everything is mirrored."""

        def in_sync() -> bool:
            status: Status = read_status(self.config)
            report = status.service.report
            return status.service.pid == pid and report is not None and not status.reasons()

        wait_until(in_sync, "in sync")


def wait_until(
    is_true: Callable[[], bool], what: str, every_seconds: float = _LOOK_AGAIN_SECONDS
) -> None:
    """Ask again and again. Raises ``TimeoutError`` after minutes."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not is_true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not {what} after {_PATIENCE_SECONDS:g} s")
        time.sleep(every_seconds)
