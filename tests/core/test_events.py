"""One line for each thing that happened, with an event and its keys."""

from __future__ import annotations

import logging
import re
import threading

import pytest

from snoopsync.core.events import Event, deferred_events, event_record, fields_of, log_event
from tests.support.paths import ROOT

LOGGED = re.compile(r"\blog(ger)?\.(debug|info|warning|error|exception|critical|log)\(")

log = logging.getLogger("snoopsync.test")


def test_nothing_is_logged_but_events() -> None:
    modules = set((ROOT / "snoopsync").rglob("*.py"))
    assert modules
    assert [str(path) for path in modules if LOGGED.search(path.read_text())] == []


def test_event_record_makes_the_record_that_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    arguments = (log, logging.WARNING, Event.OUTAGE, "down: %s", "why")
    log_event(*arguments, error="why")
    mine = event_record(*arguments, error="why")
    [theirs] = caplog.records
    for record in (mine, theirs):
        assert record.getMessage() == "down: why"
        assert (record.name, record.levelname) == ("snoopsync.test", "WARNING")
        assert fields_of(record) == {"event": "outage", "error": "why"}


def test_a_record_without_an_event_is_other(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("a.library").warning("said")
    assert fields_of(caplog.records[0]) == {"event": "other"}


def test_deferred_events_are_logged_in_their_order_when_the_outermost_block_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with deferred_events():
        with deferred_events():
            log_event(log, logging.WARNING, Event.OUTAGE, "first")
        log_event(log, logging.WARNING, Event.OUTAGE, "second")
        assert caplog.messages == []
    log_event(log, logging.WARNING, Event.OUTAGE, "third")
    assert caplog.messages == ["first", "second", "third"]


def test_deferred_events_are_logged_when_the_block_raises(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(KeyError), deferred_events():
        log_event(log, logging.WARNING, Event.OUTAGE, "before the error")
        raise KeyError
    assert caplog.messages == ["before the error"]


def test_other_threads_do_not_defer_their_events(caplog: pytest.LogCaptureFixture) -> None:
    with deferred_events():
        other = threading.Thread(target=log_event, args=(log, logging.WARNING, Event.OUTAGE, "now"))
        other.start()
        other.join()
        assert caplog.messages == ["now"]
