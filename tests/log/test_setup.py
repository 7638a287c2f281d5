"""The log: where its lines go, and what the options change."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import sys
import threading
from pathlib import Path

import pytest

from snoopsync.config.settings import LogConfig
from snoopsync.core.errors import ConfigError
from snoopsync.log.formats import LogFormat, LogLevel
from snoopsync.log.setup import NOTIFYING
from tests.log.helpers import ODD, begin, log, terminal


def test_warnings_of_libraries_have_the_same_format(capsys: pytest.CaptureFixture[str]) -> None:
    begin(LogConfig(format=LogFormat.JSON))
    library = logging.getLogger("a.library")
    library.warning("full: %s", "pool")
    library.info("detail")
    [line] = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert list(line) == ["time", "level", "logger", "event", "message"]
    assert (line["logger"], line["event"]) == ("a.library", "other")
    assert line["message"] == "full: pool"


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colours_can_be_refused(environ: dict[str, str]) -> None:
    with terminal() as screen:
        begin(LogConfig(), environ=environ)
        log.warning("said")
        assert "\x1b" not in screen()


def test_an_empty_no_color_allows_colours() -> None:
    with terminal() as screen:
        begin(LogConfig(), environ={"NO_COLOR": ""})
        log.warning("said")
        assert "\x1b" in screen()


def test_text_that_was_asked_for_and_files_have_no_colours(tmp_path: Path) -> None:
    with terminal() as screen:
        begin(LogConfig(format=LogFormat.TEXT, file=tmp_path / "the.log"))
        log.warning("said")
        assert "\x1b" not in screen()
        begin(LogConfig(file=tmp_path / "the.log"))
        log.warning("said")
    assert "\x1b" not in (tmp_path / "the.log").read_text()


@pytest.mark.parametrize(
    ("verbosity", "seen"),
    [
        (1, "debug info warning error"),
        (0, "info warning error"),
        (-1, "warning error"),
        (-9, "error"),
    ],
)
def test_the_options_change_the_level(
    verbosity: int, seen: str, capsys: pytest.CaptureFixture[str]
) -> None:
    begin(LogConfig(level=LogLevel.INFO), verbosity)
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        log.log(level, "said")
    assert [line.split()[2] for line in capsys.readouterr().err.splitlines()] == seen.split()


def test_the_file_may_be_rotated_away(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "made" / "too" / "the.log"
    begin(LogConfig(file=path))
    log.info("one %s", ODD)
    path.rename(path.with_name("old.log"))
    log.info("two")
    assert "one" in path.with_name("old.log").read_text()
    assert path.read_text().endswith("two\n")
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_the_file_may_be_copied_and_truncated(tmp_path: Path) -> None:
    path = tmp_path / "the.log"
    begin(LogConfig(file=path))
    log.info("one")
    shutil.copy(path, tmp_path / "old.log")
    os.truncate(path, 0)
    log.info("two")
    assert len((tmp_path / "old.log").read_text().splitlines()) == 1
    assert re.fullmatch(r"\d.* two\n", path.read_text()), "no hole where the old lines were"


def test_a_file_that_cannot_be_opened_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"log\.file"):
        begin(LogConfig(file=tmp_path))


def test_a_new_configuration_that_is_wrong_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begin(LogConfig(format=LogFormat.JSON, file=tmp_path / "the.log"))
    with pytest.raises(ConfigError):
        begin(LogConfig(file=tmp_path))
    log.info("said")
    assert json.loads(capsys.readouterr().err)["message"] == "said"
    assert json.loads((tmp_path / "the.log").read_text())["message"] == "said"


def test_a_file_that_cannot_be_written_is_logged_once_and_stops_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    begin(LogConfig(format=LogFormat.JSON, file=Path("/dev/full")))
    for number in range(3):
        log.info("line %d", number)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["message"] for line in lines if line["event"] == "other"] == [
        f"line {number}" for number in range(3)
    ]
    [trouble] = [line for line in lines if line["event"] != "other"]
    del trouble["time"]
    assert trouble == {
        "level": "ERROR",
        "logger": "snoopsync",
        "event": "log-unwritable",
        "message": "/dev/full can't be written, the log continues only here: No space left on"
        " device",
        "path": "/dev/full",
        "error": "No space left on device",
    }


def test_a_malformed_line_of_a_library_stops_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begin(LogConfig(file=tmp_path / "the.log"))
    # To our handlers alone: pytest's own takes it for a bug of the test.
    record = logging.LogRecord("a.library", logging.WARNING, "", 0, "%d", ("none",), None)
    for handler in logging.getLogger("snoopsync").handlers:
        handler.handle(record)
    log.info("said")
    assert (tmp_path / "the.log").read_text().endswith("said\n")
    assert "Logging error" in capsys.readouterr().err


def test_lines_go_to_the_current_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A progress bar puts itself in its place, and takes itself away again."""
    begin(LogConfig())
    lines: list[str] = []

    class Bar:
        write = staticmethod(lines.append)
        flush = staticmethod(lambda: None)

    monkeypatch.setattr(sys, "stderr", Bar())
    log.info("above the bar")
    assert "above the bar\n" in lines[0]


def test_library_messages_about_a_notification_are_not_logged(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It may have the address in it, with its password."""
    begin(LogConfig())

    def send() -> None:
        logging.getLogger("a.library").warning("failed: https://me:secret@host")
        log.warning("could not be sent")

    thread = threading.Thread(target=send, name=f"{NOTIFYING}-0")
    thread.start()
    thread.join()
    logging.getLogger("a.library").warning("of something else")
    said = capsys.readouterr().err
    assert "secret" not in said
    assert "could not be sent" in said
    assert "of something else" in said
