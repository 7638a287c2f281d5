"""The formats of a log line."""

from __future__ import annotations

import json
import logging
import os
import re
from datetime import datetime, timedelta

import pytest

from snoopsync.config.settings import LogConfig
from snoopsync.core.events import Event, log_event
from snoopsync.core.model import RelPath, path_keys
from snoopsync.log.formats import LogFormat
from tests.log.helpers import ODD, begin, log, terminal


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


def test_json_has_one_object_for_each_line_with_the_keys_of_the_event(
    capsys: pytest.CaptureFixture[str],
) -> None:
    begin(LogConfig(format=LogFormat.JSON))
    keys = {**path_keys(RelPath("f", b"odd\xff\n.jpg")), "image_id": None, "samples": ["a", ODD]}
    log_event(log, logging.INFO, Event.ADDED, "added %s", "it", **keys)
    [line] = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert datetime.fromisoformat(line.pop("time")).utcoffset() == timedelta()
    assert line == {
        "level": "INFO",
        "logger": "snoopsync.test",
        "event": "added",
        "message": "added it",
        "folder": "f",
        "path": "odd\udcff\n.jpg",
        "image_id": None,
        "samples": ["a", ODD],
    }
    assert os.fsencode(line["path"]) == b"odd\xff\n.jpg"


def test_on_a_terminal_the_level_has_a_colour_and_the_time_is_dim() -> None:
    with terminal() as screen:
        begin(LogConfig(), environ={"TERM": "xterm"})
        log.warning("said")
        shown = screen()
    assert re.fullmatch(r"\x1b\[2m[-0-9 :]{19}\x1b\[0m \x1b\[33mwarning \x1b\[0m said\r\n", shown)


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
