"""``status --watch`` shows the current status, whatever happens to the service."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import threading
from itertools import pairwise
from typing import Any

import pytest

from tests.support.collection_server import PUBLIC_KEY, SECRET_KEY, CollectionServer, Seen
from tests.support.faults import Fault, Hang
from tests.support.process import Installation, command, until
from tests.support.terminal import ANSI, Terminal

pytestmark = pytest.mark.integration


def watching(home: Installation) -> Terminal:
    return Terminal(home, "status", "--watch")


class Piped:
    """The command without a terminal. ``lines``: its output so far."""

    def __init__(self, home: Installation, *options: str) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            command("status", "--watch", *options),
            env=home.environment,
            cwd=home.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(iter(self.process.stdout.readline, ""))

    def end(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str]:
        """Its exit code and standard error."""
        self.process.send_signal(number)
        _, complaints = self.process.communicate(timeout=20)
        self._reader.join()
        return self.process.returncode, complaints

    def __enter__(self) -> Piped:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self._reader.join()
        self.process.communicate()


def shown(terminal: Terminal) -> str:
    """The visible text: the output since the cursor went back to the top."""
    return ANSI.sub("", re.split(r"\x1b\[\d+A", terminal.text)[-1])


def test_the_status_is_updated_in_place(home: Installation) -> None:
    with watching(home) as terminal:
        until(lambda: "service not running" in shown(terminal))
        assert "folder pictures: 3 images not mirrored yet" in shown(terminal)
        with home.running() as service:
            running = f"in sync · service running (process {service.pid})"
            until(lambda: running in shown(terminal) and "not in" not in shown(terminal))
            (home.pictures / "empty.jpg").write_bytes(b"")
            until(lambda: "1 image failed" in shown(terminal))
            service.kill()
        until(lambda: "service not running" in shown(terminal))
        with home.running() as service:
            until(lambda: f"running (process {service.pid})" in shown(terminal))
        terminal.type("\x03")
        assert terminal.end().endswith("\x1b[?25h")  # the cursor is there again
        assert terminal.process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_watch(home: Installation, number: signal.Signals) -> None:
    with watching(home) as terminal:
        until(lambda: "Ctrl-C" in shown(terminal))
        terminal.process.send_signal(number)
        text = terminal.end()
    assert terminal.process.returncode == 0
    assert "Traceback" not in text
    assert text.endswith("\x1b[?25h")
    assert "Ctrl-C" not in re.split(r"\x1b\[\d+A", text)[-1]


def test_without_a_terminal_each_change_is_a_block(home: Installation) -> None:
    with home.running(), Piped(home) as piped:
        until(lambda: len(piped.lines) >= 4)
        first = piped.lines[:4]
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\n", first[0])
        assert first[1].startswith("in sync · service running")
        assert first[2].startswith("pictures: ok, 3 images, 0 waiting, 0 failed, 0 held, scanned ")
        assert first[3] == "\n"
        (home.pictures / "empty.jpg").write_bytes(b"")
        until(lambda: "1 failed" in "".join(piped.lines))
        code, complaints = piped.end()
    assert (code, complaints) == (0, "")
    assert not ANSI.search("".join(piped.lines))
    states = "".join(piped.lines).count("\n\n")
    assert 2 <= states <= 5  # in sync; changed recently, or on the way; failed


def test_a_dumb_terminal_gets_blocks(home: Installation) -> None:
    home.environment["TERM"] = "dumb"
    with watching(home) as terminal:
        until(lambda: "not mirrored yet" in terminal.text)
        home.ok("resync")
        until(lambda: "in sync · service not running" in terminal.text.partition("yet")[2])
        assert "\x1b" not in terminal.text


def test_json_has_a_line_for_each_change(home: Installation) -> None:
    [keys] = [list(status) for status in home.json("status", "--json", code=3)]
    with Piped(home, "--json") as piped:
        until(lambda: piped.lines)
        with home.running() as service:
            until(lambda: last(piped)["in_sync"])
            assert last(piped)["service"]["pid"] == service.pid
            service.kill()
        until(lambda: not last(piped)["service"]["running"])
        assert piped.end() == (0, "")
    lines = [json.loads(line) for line in piped.lines]
    assert all(list(line) == keys for line in lines), lines
    assert all(line != following for line, following in pairwise(lines))


def last(piped: Piped) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(piped.lines[-1])
    return message


def test_an_unreadable_state_file_is_shown_and_retried(home: Installation) -> None:
    home.ok("resync")
    aside = home.state.with_name("aside")
    home.state.rename(aside)
    home.state.write_bytes(b"x" * 8192)
    with Piped(home, "--json") as piped:
        until(lambda: piped.lines)
        assert last(piped)["in_sync"] is False
        assert "is damaged" in last(piped)["error"]
        home.state.unlink()
        aside.rename(home.state)
        until(lambda: last(piped)["in_sync"])


def test_a_service_that_hangs_is_shown_and_retried(home: Installation) -> None:
    with home.running() as service, watching(home) as terminal:
        until(lambda: "in sync" in shown(terminal))
        service.send(signal.SIGSTOP)
        until(lambda: f"the service (process {service.pid}) does not respond" in shown(terminal))
        service.send(signal.SIGCONT)
        until(lambda: "not in sync" not in shown(terminal))


def test_the_progress_of_sending_is_shown(home: Installation, server: CollectionServer) -> None:
    home.environment["SNOOPSYNC_SECRET_KEY"] = SECRET_KEY
    home.configure_service(server.endpoint, PUBLIC_KEY)
    two, one = Hang(), Hang()
    holding: dict[str, Hang] = {}

    def hold(seen: Seen) -> Fault | None:
        if seen.image_id is None or not seen.length:
            return None
        return holding.setdefault(seen.image_id, two if len(holding) < 2 else one)

    server.fault_for = hold
    with home.service(), watching(home) as terminal:
        until(lambda: "comparing folders and collection: 0 of 3 images\r" in shown(terminal))
        two.release()
        sending = r"collection: 2 of 3 images, \d+(\.\d)?/s, \d+ (s|min) left"
        until(lambda: re.search(sending, shown(terminal)))
        one.release()
        until(lambda: "of 3 images" not in shown(terminal))
        until(lambda: "not in sync" not in shown(terminal))
