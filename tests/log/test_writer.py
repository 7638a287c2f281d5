"""The log never blocks what it is about: not a disk, a lock, or a pipe that nobody reads."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from snoopsync.config.settings import LogConfig
from snoopsync.core.events import Event, log_event
from snoopsync.log.setup import configure, delivered, in_background, release
from snoopsync.log.writer import BackgroundWriter
from tests.support.pictures import encode, photo
from tests.support.pipes import fill, full_pipe
from tests.support.process import DEADLINE_SECONDS, QUICK_SYNC, Installation, command, until

log = logging.getLogger("snoopsync.test")


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    home = Installation(tmp_path)
    (home.pictures / "a.jpg").write_bytes(encode(photo(1)))
    return home


def mirrors_all_the_same(home: Installation, stderr: int) -> None:
    """A service with this standard error mirrors, also what comes later, and ends."""
    service = subprocess.Popen(
        command("run"),
        env=home.environment,
        cwd=home.home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
    )
    try:
        until(lambda: home.run("status", "--json").code == 0)
        (home.pictures / "later.jpg").write_bytes(encode(photo(2)))
        until(lambda: len(home.json("list", "--json", "--state", "synced")) == 2)
        service.send_signal(signal.SIGTERM)
        assert service.wait(DEADLINE_SECONDS) == 0
    finally:
        service.kill()
        service.wait()


@pytest.mark.integration
def test_a_service_mirrors_while_its_standard_error_is_blocked(home: Installation) -> None:
    log_file = home.home / "the.log"
    home.configure(f"{QUICK_SYNC}log: {{file: {log_file}, level: debug}}\n")
    with full_pipe() as (_, stderr):
        mirrors_all_the_same(home, stderr)
    assert "added pictures/later.jpg" in log_file.read_text(), "it is not held up by the other"
    assert log_file.read_text().endswith("stopped\n")


def test_a_resync_mirrors_while_its_standard_error_is_blocked(home: Installation) -> None:
    home.configure(f"{QUICK_SYNC}log: {{level: debug}}\n")
    with full_pipe() as (_, stderr):
        resync = subprocess.Popen(
            command("resync"),
            env=home.environment,
            cwd=home.home,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
        out, _ = resync.communicate(timeout=DEADLINE_SECONDS)
    assert "1 added" in out
    assert resync.returncode == 0


@pytest.mark.integration
def test_a_service_mirrors_while_another_program_has_its_log_locked(home: Installation) -> None:
    log_file = home.home / "the.log"
    home.configure(f"{QUICK_SYNC}log: {{file: {log_file}}}\n")
    with log_file.open("wb") as locked:
        fcntl.flock(locked, fcntl.LOCK_EX)
        mirrors_all_the_same(home, subprocess.DEVNULL)
    assert log_file.read_text().endswith("stopped\n")


@pytest.mark.integration
def test_a_service_mirrors_while_its_log_pipe_is_blocked(home: Installation) -> None:
    fifo = home.home / "the.log"
    os.mkfifo(fifo)
    home.configure(f"{QUICK_SYNC}log: {{file: {fifo}}}\n")
    descriptor = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    try:
        fill(descriptor)
        mirrors_all_the_same(home, subprocess.DEVNULL)
    finally:
        os.close(descriptor)


class Gate(logging.Handler):
    """Writes nothing before it is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.opened = threading.Event(), threading.Event()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.reached.set()
        self.opened.wait(DEADLINE_SECONDS)
        self.lines.append(record.getMessage())


def record(message: str, *args: object) -> logging.LogRecord:
    return log.makeRecord(log.name, logging.INFO, "", 0, message, args, None)


def test_lines_beyond_the_limit_are_dropped_and_counted() -> None:
    gate = Gate()
    writer = BackgroundWriter(gate, most_waiting=3)
    writer.handle(record("line 0"))
    assert gate.reached.wait(DEADLINE_SECONDS)
    for number in range(1, 9):
        writer.handle(record("line %d", number))
    gate.opened.set()
    assert writer.end()
    assert gate.lines[:4] == [f"line {number}" for number in range(4)]
    assert gate.lines[4].startswith("5 lines of the log are missing here")
    assert len(gate.lines) == 5


def test_a_line_is_formatted_when_it_is_logged() -> None:
    gate, names = Gate(), ["a"]
    writer = BackgroundWriter(gate)
    writer.handle(record("%s", names))
    names.append("b")
    gate.opened.set()
    assert writer.end()
    assert gate.lines == ["['a']"]


def test_lines_after_the_end_are_written_at_once() -> None:
    gate = Gate()
    gate.opened.set()
    writer = BackgroundWriter(gate)
    writer.handle(record("one"))
    assert writer.end()
    writer.handle(record("two"))
    assert gate.lines == ["one", "two"]


def test_no_thread_waits_for_lines_after_the_end() -> None:
    """Python flushes every handler at exit, after the log has ended."""
    writer = BackgroundWriter(logging.NullHandler())
    writer.end()
    written = threading.Event()
    writer.when_written(written)
    assert written.is_set()


def test_an_alert_is_never_dropped(tmp_path: Path) -> None:
    with full_pipe() as (reading, writing), pytest.MonkeyPatch.context() as patch:
        stderr = os.fdopen(os.dup(writing), "w")
        with closing(stderr):
            patch.setattr(sys, "stderr", stderr)
            configure(LogConfig(), verbosity=0, environ={})
            try:
                with in_background():
                    log_event(log, logging.WARNING, Event.DUPLICATE, "an alert")
                    assert not delivered(0.0)
                    os.read(reading, 1 << 20)
                    assert delivered(DEADLINE_SECONDS)
            finally:
                release()
        assert b"an alert\n" in os.read(reading, 1 << 20)
