"""Progress without a terminal: lines of the log."""

from __future__ import annotations

import logging

import pytest

from snoopsync.cli.progress import LINE_SECONDS, lines
from snoopsync.sync.resync import ResyncProgress


def test_without_a_terminal_progress_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    show = lines(lambda: now)
    with caplog.at_level(logging.INFO, "snoopsync.progress"):
        for step in range(21):
            now = step * LINE_SECONDS / 2
            if step <= 4:
                show(ResyncProgress("scanning", 1000 * step, 0, 0))
            else:
                show(ResyncProgress("sending", 4000, 10 * (step - 4), 1600 - 10 * (step - 4)))
    said = [record.getMessage() for record in caplog.records]
    assert said[:3] == [
        "scanning: 2000 files scanned",
        "scanning: 4000 files scanned",
        "sending: 20 of 1600 images, 2/s, 13 min left",
    ]
    assert len(said) == 10
