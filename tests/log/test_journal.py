"""The journal gets entries with fields, and lines where there is no journald."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from snoopsync.config.settings import LogConfig
from snoopsync.core.events import Event, log_event
from snoopsync.core.model import RelPath, path_keys
from snoopsync.log.formats import LogFormat
from snoopsync.log.setup import configure, release
from tests.support.documentation import PAGES, blocks
from tests.support.journald import Journal, running_journald
from tests.support.pictures import encode, photo
from tests.support.process import Installation, command, until

pytestmark = pytest.mark.integration

log = logging.getLogger("snoopsync.test")

ODD = RelPath("photos", b"odd\xff\n\xc3\xa9.jpg")


class Journald:
    """What journald does with its socket: it takes datagrams, or files instead of long ones."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)

    def close(self) -> None:
        self._socket.close()
        self.path.unlink()

    def take(self) -> list[tuple[str, bytes]]:
        """The next entry's fields."""
        data, descriptors, _flags, _address = socket.recv_fds(self._socket, 1 << 20, 1)
        for descriptor in descriptors:
            with os.fdopen(descriptor, "rb") as file:
                file.seek(0)
                data = file.read()
        return list(_parsed(data))


def _parsed(data: bytes) -> Iterator[tuple[str, bytes]]:
    while data:
        name, _, data = data.partition(b"\n")
        if b"=" in name:
            name, _, value = name.partition(b"=")
        else:
            (size,) = struct.unpack_from("<Q", data)
            value, data = data[8 : 8 + size], data[8 + size + 1 :]
        yield name.decode(), value


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[Journald]:
    with closing(Journald(tmp_path / "socket")) as journald:
        yield journald


@pytest.fixture
def stream(tmp_path: Path) -> Path:
    """What is written to the stream that standard error is."""
    return tmp_path / "stream"


@contextmanager
def logging_to_the_journal(stream: Path, socket: Path, config: LogConfig) -> Iterator[None]:
    """As systemd starts a service."""
    with stream.open("w") as stderr, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", stderr)
        stat = os.fstat(stderr.fileno())
        environ = {"JOURNAL_STREAM": f"{stat.st_dev}:{stat.st_ino}"}
        configure(config, verbosity=0, environ=environ, journal_socket=socket)
        try:
            yield
        finally:
            release()


@pytest.mark.parametrize("kind", [LogFormat.AUTO, LogFormat.JOURNAL])
def test_an_event_is_an_entry_with_a_field_for_each_key(
    kind: LogFormat, journald: Journald, stream: Path
) -> None:
    with logging_to_the_journal(stream, journald.path, LogConfig(format=kind)):
        keys = {**path_keys(ODD), "image_id": None, "count": 7, "samples": ["a", "b\nc"]}
        log_event(log, logging.WARNING, Event.REFUSED, "%s: %s", ODD, "no", **keys)
    assert journald.take() == [
        ("MESSAGE", rb"photos/odd\udcff\n" + "é.jpg: no".encode()),
        ("PRIORITY", b"4"),
        ("SYSLOG_IDENTIFIER", b"snoopsync"),
        ("LOGGER", b"snoopsync.test"),
        ("SNOOPSYNC_EVENT", b"refused"),
        ("SNOOPSYNC_FOLDER", b"photos"),
        ("SNOOPSYNC_PATH", ODD.path),
        ("SNOOPSYNC_COUNT", b"7"),
        ("SNOOPSYNC_SAMPLES", b"a"),
        ("SNOOPSYNC_SAMPLES", b"b\nc"),
    ]
    assert stream.read_text() == "", "each line goes to one place only"


def test_an_entry_may_be_longer_than_a_datagram(journald: Journald, stream: Path) -> None:
    with logging_to_the_journal(stream, journald.path, LogConfig()):
        log.error("a" * 1_000_000)
    fields = dict(journald.take())
    assert (fields["PRIORITY"], len(fields["MESSAGE"])) == (b"3", 1_000_000)


def test_a_text_that_no_encoding_has_is_escaped(journald: Journald, stream: Path) -> None:
    with logging_to_the_journal(stream, journald.path, LogConfig()):
        log_event(log, logging.INFO, Event.OUTAGE, "down", error="\ud800")
    assert dict(journald.take())["SNOOPSYNC_ERROR"] == rb"\ud800"


def test_a_traceback_is_in_the_message(journald: Journald, stream: Path) -> None:
    with logging_to_the_journal(stream, journald.path, LogConfig()):
        try:
            raise ValueError("why")
        except ValueError:
            log.exception("what")
    message = dict(journald.take())["MESSAGE"].decode().splitlines()
    assert (message[0], message[-1]) == ("what", "ValueError: why")


def test_a_malformed_entry_of_a_library_stops_nothing(journald: Journald, stream: Path) -> None:
    with logging_to_the_journal(stream, journald.path, LogConfig()):
        # To our handlers alone: pytest's own takes it for a bug of the test.
        record = logging.LogRecord("a.library", logging.WARNING, "", 0, "%d", ("none",), None)
        for handler in logging.getLogger("snoopsync").handlers:
            handler.handle(record)
        log.info("said")
    assert dict(journald.take())["MESSAGE"] == b"said"
    assert "Logging error" in stream.read_text()


def test_lines_with_a_priority_are_written_while_there_is_no_journald(
    journald: Journald, stream: Path
) -> None:
    path = journald.path
    aside = path.with_name("aside")
    with logging_to_the_journal(stream, path, LogConfig()):
        path.rename(aside)
        log.error("bad")
        aside.rename(path)
        log.info("good")
    assert stream.read_text() == "<3>bad\n"
    assert dict(journald.take())["MESSAGE"] == b"good"


def test_a_restarted_journald_gets_the_next_entry(tmp_path: Path, stream: Path) -> None:
    first = Journald(tmp_path / "socket")
    with logging_to_the_journal(stream, first.path, LogConfig()):
        log.info("one")
        assert dict(first.take())["MESSAGE"] == b"one"
        first.close()
        with closing(Journald(tmp_path / "socket")) as second:
            log.info("two")
            assert dict(second.take())["MESSAGE"] == b"two"


@pytest.mark.parametrize("journal_stream", ["", "8:1", "nonsense"])
def test_the_journal_format_elsewhere_writes_lines_with_a_priority(
    journald: Journald, capsys: pytest.CaptureFixture[str], journal_stream: str
) -> None:
    environ = {"JOURNAL_STREAM": journal_stream}
    for kind in (LogFormat.JOURNAL, LogFormat.AUTO):
        configure(
            LogConfig(format=kind), verbosity=0, environ=environ, journal_socket=journald.path
        )
        log.warning("said")
    release()
    first, second = capsys.readouterr().err.splitlines()
    assert first == "<4>said"
    assert second.endswith("warning  said")
    with pytest.raises(BlockingIOError):
        journald.take()


# With the real journald.


@pytest.fixture
def journal() -> Iterator[Journal]:
    with running_journald() as journal:
        yield journal


class Household:
    """snoopsync, as systemd would start it: it alerts about one duplicate more, each time."""

    def __init__(self, home: Path, journal: Journal) -> None:
        self.installation = Installation(home)
        self.installation.configure()
        self.alerts = 0
        self._journal = journal

    def alert(self) -> bytes:
        """Find one. Returns the name of the new file."""
        self.alerts += 1
        name = b"odd\xff\n%d.jpg" % self.alerts
        for path in (b"%d.jpg" % self.alerts, name):
            file = os.fsencode(self.installation.pictures) + b"/" + path
            Path(os.fsdecode(file)).write_bytes(encode(photo(self.alerts)))
        environment = self.installation.environment
        self._journal.run_service(*map(os.fsdecode, command("resync")), environment=environment)
        return name


@pytest.fixture
def household(journal: Journal, tmp_path: Path) -> Household:
    return Household(tmp_path, journal)


def _bytes(value: str | list[int]) -> bytes:
    """A field, which is numbers in JSON if it is not plain text."""
    return value.encode() if isinstance(value, str) else bytes(value)


def documented(language: str, text: str) -> str:
    """The block of code with this text. No systemd gives the entries a unit here."""
    [block] = [block for block in blocks(PAGES["alerts"], language) if text in block]
    assert "-u snoopsync" in block
    return block.replace("-u snoopsync", "-t snoopsync")


def test_the_journal_finds_the_entries_of_a_real_run_by_their_fields(
    journal: Journal, household: Household
) -> None:
    name = household.alert()
    [entry] = journal.entries("SNOOPSYNC_EVENT=duplicate", "SNOOPSYNC_FOLDER=pictures")
    paths = {_bytes(entry["SNOOPSYNC_PATH"]), _bytes(entry["SNOOPSYNC_MATCH_PATH"])}
    assert paths == {name, b"1.jpg"}
    assert (entry["PRIORITY"], entry["_TRANSPORT"]) == ("4", "journal")
    assert r"odd\udcff\n1.jpg" in entry["MESSAGE"]
    assert entry["SNOOPSYNC_RANK"] == "0"
    assert entry in journal.entries("-t", "snoopsync", "-p", "warning")


@pytest.fixture
def stubs(tmp_path: Path) -> Path:
    """A directory of programs that only write down what they are given."""
    directory = tmp_path / "stubs"
    directory.mkdir()
    return directory


def stub(directory: Path, name: str, script: str) -> Path:
    """Such a program. Returns the file that ``script`` writes to, as ``$told``."""
    told = directory / f"{name}.told"
    program = directory / name
    program.write_text(f"#!/bin/sh\ntold={told}\n{script}\n")
    program.chmod(0o755)
    return told


def environment_with(stubs: Path) -> dict[str, str]:
    return {"PATH": f"{stubs}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}


def test_the_documented_webhook_gets_each_alert_as_json(
    journal: Journal, household: Household, stubs: Path
) -> None:
    """The first one too: with ``-n 0``, journalctl 252 stays silent for ever if there was none."""
    told = stub(stubs, "curl", 'printf "%s\\n" "$@" >> "$told"; echo >> "$told"')
    script = documented("sh", "curl")
    process = journal.start("sh", "-c", script, env=environment_with(stubs), start_new_session=True)
    try:

        def is_told() -> bool:
            household.alert()  # until it listens, nobody is told
            return told.exists() and told.read_text().endswith("\n\n")

        until(is_told)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
    call = told.read_text().split("\n\n")[0].splitlines()
    alert = json.loads(call[call.index("-d") + 1])
    wanted = {"MESSAGE", *(f"SNOOPSYNC_{key}" for key in ("FOLDER", "PATH", "MATCH_PATH", "RANK"))}
    assert {key for key in alert if not key.startswith("_")} == wanted
    assert call[-1].startswith("https://")


def test_the_documented_mail_has_the_alerts_since_the_last_one(
    journal: Journal, household: Household, stubs: Path, tmp_path: Path
) -> None:
    told = stub(stubs, "mail", 'printf "%s\\n" "$@" > "$told"; cat >> "$told"')
    cursor = "/var/lib/snoopsync/mailed"
    script = documented("sh", "mail")
    assert cursor in script
    script = script.replace(cursor, str(tmp_path / "mailed"))

    def mailed() -> list[str]:
        journal.entries()  # is in sync now
        journal.run("sh", "-c", script, environment=environment_with(stubs))
        options, *lines = told.read_text().partition("ada@example.org\n")
        assert "-E" in options, "no mail without a line"
        return "".join(lines).splitlines()[1:]

    household.alert()
    assert mailed()
    household.alert()
    [line] = mailed()
    assert r"odd\udcff\n2.jpg" in line
    assert mailed() == []


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd here")
def test_the_documented_unit_is_one(stubs: Path) -> None:
    unit = stubs / "snoopsync-webhook.service"
    [text] = blocks(PAGES["alerts"], "ini")
    assert "ExecStart=/usr/local/bin/snoopsync-webhook\n" in text
    stub(stubs, "snoopsync-webhook", "")
    unit.write_text(text.replace("/usr/local/bin", str(stubs)))
    done = subprocess.run(
        ["systemd-analyze", "verify", unit], capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0
    assert unit.name not in done.stderr
