"""snoopsync as users run it: commands and a service, in a separate home directory."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from snoopsync.cli.root import run_program
from snoopsync.log import setup as logs
from tests.support.paths import ROOT
from tests.support.pictures import encode, photo

DEADLINE_SECONDS = 20.0

#: Goes before a command that may do no more than its user: root has no way round permissions then.
UNPRIVILEGED = (
    ("setpriv", "--bounding-set", "-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
)

#: Quick enough for tests: what is quiet for two looks is sent, what is gone is gone.
QUICK_SYNC = "sync: {settle: 50ms, delete_after: 0s}\n"


def bind(listener: socket.socket, path: Path) -> None:
    """Bind a Unix socket to a path of any length. The system accepts 107 bytes."""
    with contextlib.chdir(path.parent):
        listener.bind(path.name)


def until(condition: Callable[[], object], seconds: float = DEADLINE_SECONDS) -> None:
    """Wait until the condition is true, for at most ``seconds``."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"the condition did not become true in {seconds} s"
        pause.wait(0.02)


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str


class Installation:
    """A home directory, and what is run in it. ``pictures`` is a folder in it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.pictures = home / "pictures"
        self.pictures.mkdir()
        self.config = home / "config" / "snoopsync" / "config.yaml"
        self.state = home / "state" / "snoopsync" / "state.sqlite3"
        self.environment = {
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / "config"),
            "XDG_STATE_HOME": str(home / "state"),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONWARNINGS": "error",
        }

    def add_pictures(self, count: int) -> None:
        """Write the pictures ``0.jpg``, ``1.jpg``..., each unlike the others, into ``pictures``."""
        for seed in range(count):
            (self.pictures / f"{seed}.jpg").write_bytes(encode(photo(seed)))

    def configure(self, text: str = QUICK_SYNC, folders: str | None = None) -> Path:
        """Write the configuration: these keys, and the folders, ``pictures`` if none are given."""
        self.config.parent.mkdir(parents=True, exist_ok=True)
        self.config.write_text(text + (folders or f"folders: [{{path: {self.pictures}}}]\n"))
        self.config.chmod(0o600)
        return self.config

    def configure_service(self, endpoint: str, public_key: str, text: str = QUICK_SYNC) -> None:
        """Write a configuration with this service. Its secret is in the environment."""
        keys = f"endpoint: '{endpoint}', public_key: {public_key}, owner: tests"
        self.configure(f"collection: {{{keys}}}\n{text}")

    def configure_keys(self, endpoint: str, public_key: str, secret_key: str) -> Path:
        """Write a configuration with this service, and its secret into a file. Returns the file."""
        path = self.home / "the secret"
        path.write_text(secret_key)
        path.chmod(0o600)
        keys = f"endpoint: '{endpoint}', public_key: {public_key}, secret_key_file: '{path}'"
        self.configure(f"collection: {{{keys}, owner: tests}}\n{QUICK_SYNC}")
        return path

    def run(self, *arguments: str | Path) -> Done:
        """Run a command to its end, in this process: it takes half a second less."""
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, self.environment, clear=True),
            contextlib.chdir(self.home),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            try:
                code = run_program([os.fspath(each) for each in arguments])
            finally:
                logs.release()
        return Done(code, out.getvalue(), err.getvalue())

    def run_process(
        self, *arguments: str | Path | bytes, timeout: float = 30.0, under: Sequence[str] = ()
    ) -> Done:
        """Run a command to its end, started ``under`` another one."""
        return self._done([*under, *command(*arguments)], timeout)

    def run_python(self, code: str, timeout: float = 30.0) -> Done:
        """Run this code to its end, as the user."""
        return self._done([sys.executable, "-c", code], timeout)

    def _done(self, command: list[str | bytes], timeout: float) -> Done:
        done = subprocess.run(
            command,
            env=self.environment,
            cwd=self.home,
            capture_output=True,
            encoding="utf-8",
            timeout=timeout,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def ok(self, *arguments: str | Path) -> str:
        """The output of a command that succeeds."""
        done = self.run(*arguments)
        assert done.code == 0, done
        return done.out

    def json(self, *arguments: str | Path, code: int = 0) -> list[Any]:
        """The JSON lines of a command that ends with this exit code."""
        done = self.run(*arguments)
        assert done.code == code, done
        return [json.loads(line) for line in done.out.splitlines()]

    def status(self) -> dict[str, Any]:
        """``status --json``, whatever its exit code is."""
        status: dict[str, Any] = json.loads(self.run("status", "--json").out)
        return status

    def is_in_sync(self) -> bool:
        """Does ``status`` report ``in sync``?"""
        return self.status()["in_sync"] is True

    @contextmanager
    def service(
        self,
        *arguments: str | Path,
        environment: Mapping[str, str] | None = None,
        under: Sequence[str] = (),
    ) -> Iterator[Service]:
        """``run``, started ``under`` another command, as long as the ``with`` lasts."""
        service = Service(
            [*under, *command(*(arguments or ("run",)))],
            self.environment | dict(environment or {}),
            self.home,
        )
        try:
            yield service
        finally:
            service.kill()

    @contextmanager
    def running(self) -> Iterator[Service]:
        """A service that has completed its first comparison."""
        with self.service() as service:
            service.line_with("sync complete")
            yield service


def unconfigured(home: Path) -> Installation:
    """A home directory with the picture ``a.jpg`` and without a configuration."""
    installation = Installation(home)
    (installation.pictures / "a.jpg").write_bytes(encode(photo(0)))
    return installation


def command(*arguments: str | Path | bytes) -> list[str | bytes]:
    """How snoopsync is started."""
    return [sys.executable, "-m", "snoopsync", *(os.fspath(each) for each in arguments)]


class Service:
    """A process whose log is read while it runs. ``lines`` are what it wrote so far."""

    def __init__(
        self, arguments: list[str | bytes], environment: Mapping[str, str], directory: Path
    ) -> None:
        self.lines: list[str] = []
        self._grown = threading.Condition()
        self._ended = False
        self._popen = subprocess.Popen(
            arguments,
            env=environment,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="backslashreplace",
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._popen.pid

    def line_with(self, text: str, seconds: float = DEADLINE_SECONDS, *, after: int = 0) -> str:
        """Wait for the first line with this text, ``after`` this number of lines, and return it."""

        def found() -> str | None:
            return next((line for line in self.lines[after:] if text in line), None)

        with self._grown:
            self._grown.wait_for(lambda: found() or self._ended, seconds)
            line = found()
        assert line is not None, (text, self.lines)
        return line

    def send(self, number: signal.Signals) -> None:
        self._popen.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM, seconds: float = 10.0) -> int:
        """Send the signal, and return the exit code."""
        self.send(number)
        return self.wait(seconds)

    def wait(self, seconds: float = 10.0) -> int:
        """Wait for the end, and return the exit code."""
        code = self._popen.wait(seconds)
        self._reader.join()
        return code

    def kill(self) -> None:
        """End it with SIGKILL, if it still runs."""
        self._popen.kill()
        self._popen.wait()
        self._reader.join()
        assert self._popen.stderr is not None
        self._popen.stderr.close()

    def _read(self) -> None:
        assert self._popen.stderr is not None
        for line in self._popen.stderr:
            with self._grown:
                self.lines.append(line.rstrip("\n"))
                self._grown.notify_all()
        with self._grown:
            self._ended = True
            self._grown.notify_all()
