"""The log: one line an event, whatever is in it, and none is lost to a rotation."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from snoopsync.config.settings import LogConfig, LogFormat, LogLevel
from snoopsync.errors import ConfigError
from snoopsync.logs import configure

ODD = "a\nb\x1b[2Jc\u202ed\udcff"

log = logging.getLogger("snoopsync.test")


@pytest.fixture(autouse=True)
def own_log() -> Iterator[None]:
    logger = logging.getLogger("snoopsync")
    yield
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    logger.setLevel(logging.NOTSET)
    logger.propagate = True


def begin(config: LogConfig, verbosity: int = 0, **environ: str) -> None:
    configure(config, verbosity=verbosity, environ=environ)


@pytest.mark.parametrize("kind", [LogFormat.TEXT, LogFormat.JSON, LogFormat.JOURNAL])
def test_an_odd_name_never_makes_two_lines_of_one(
    kind: LogFormat, capsys: pytest.CaptureFixture[str]
) -> None:
    begin(LogConfig(format=kind))
    log.warning("added %s", ODD)
    log.info("next")
    first, second = capsys.readouterr().err.splitlines()
    assert "next" in second
    assert first.isprintable()
    assert "a\\nb\\x1b[2Jc\\u202ed\\udcff" in first or json.loads(first)["message"].endswith(ODD)


def test_json_has_an_object_a_line_with_the_keys_of_the_event(
    capsys: pytest.CaptureFixture[str],
) -> None:
    begin(LogConfig(format=LogFormat.JSON))
    log.info("said %d", 1)
    log.warning("ignored", extra={"fields": {"event": "duplicate", "path": ODD}})
    plain, event = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert list(plain) == ["time", "level", "logger", "message"]
    assert (plain["level"], plain["message"]) == ("INFO", "said 1")
    assert list(event) == ["time", "level", "logger", "event", "path"]
    assert (event["logger"], event["path"]) == ("snoopsync.test", ODD)


@pytest.mark.parametrize("kind", [LogFormat.JSON, LogFormat.JOURNAL])
def test_a_traceback_is_on_the_same_line_for_programs(
    kind: LogFormat, capsys: pytest.CaptureFixture[str]
) -> None:
    begin(LogConfig(format=kind))
    try:
        raise ValueError("why")
    except ValueError:
        log.exception("what")
    [line] = capsys.readouterr().err.splitlines()
    assert "what" in line
    assert "ValueError: why" in line


def test_the_journal_gets_priorities_when_standard_error_is_its(tmp_path: Path) -> None:
    with (tmp_path / "journal").open("w") as journal, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", journal)
        stat = os.fstat(journal.fileno())
        begin(LogConfig(), JOURNAL_STREAM=f"{stat.st_dev}:{stat.st_ino}")
        log.error("bad")
        begin(LogConfig(), JOURNAL_STREAM="8:1")
        log.info("good")
    first, second = (tmp_path / "journal").read_text().splitlines()
    assert first == "<3>bad"
    assert second.endswith("info     good")


@pytest.mark.parametrize(
    ("verbosity", "seen"),
    [
        (1, "debug info warning error"),
        (0, "info warning error"),
        (-1, "warning error"),
        (-9, "error"),
    ],
)
def test_the_level_moves_with_the_options(
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


def test_a_file_that_cannot_be_opened_is_the_configurations_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"log\.file"):
        begin(LogConfig(file=tmp_path))


def test_a_file_that_cannot_be_written_is_said_once_and_stops_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    begin(LogConfig(file=Path("/dev/full")))
    for number in range(3):
        log.info("line %d", number)
    lines = capsys.readouterr().err.splitlines()
    assert sum("line" in line for line in lines) == 3
    assert sum("/dev/full" in line for line in lines) == 1
    assert not any("Traceback" in line for line in lines)


def test_lines_go_where_standard_error_is_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """A progress bar puts itself in its place, and takes itself away again."""
    begin(LogConfig())
    lines: list[str] = []

    class Bar:
        write = staticmethod(lines.append)
        flush = staticmethod(lambda: None)

    monkeypatch.setattr(sys, "stderr", Bar())
    log.info("above the bar")
    assert "above the bar\n" in lines[0]
