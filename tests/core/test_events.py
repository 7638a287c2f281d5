"""One line for each thing that happened, with an event and its keys."""

from __future__ import annotations

import logging
import re

import pytest

from snoopsync.core.events import Event, event_record, fields_of, log_event
from tests.support.paths import ROOT

LOGGED = re.compile(r"\blog(ger)?\.(debug|info|warning|error|exception|critical|log)\(")

log = logging.getLogger("snoopsync.test")


def test_nothing_is_logged_but_events() -> None:
    modules = set((ROOT / "snoopsync").rglob("*.py")) - {ROOT / "snoopsync" / "core" / "events.py"}
    assert modules
    assert [str(path) for path in modules if LOGGED.search(path.read_text())] == []


def test_a_record_for_oneself_is_the_one_that_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    arguments = (log, logging.WARNING, Event.OUTAGE, "down: %s", "why")
    log_event(*arguments, error="why")
    mine = event_record(*arguments, error="why")
    [theirs] = caplog.records
    for record in (mine, theirs):
        assert record.getMessage() == "down: why"
        assert (record.name, record.levelname) == ("snoopsync.test", "WARNING")
        assert fields_of(record) == {"event": "outage", "error": "why"}


def test_a_record_without_an_event_is_somebody_elses(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("a.library").warning("said")
    assert fields_of(caplog.records[0]) == {"event": "other"}
