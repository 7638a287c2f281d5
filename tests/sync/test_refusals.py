"""Images that the collection refused, and formats, are sent again at the right times."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from snoopsync.core.model import RelPath
from snoopsync.core.planner import Add
from snoopsync.state.database import Database
from snoopsync.state.images import State
from snoopsync.sync.refusals import Refusals
from snoopsync.sync.transfer import Rejected
from tests.support.images_in_state import NOW, apply, due, version

COUNT = 20


class Clock:
    """The schedule's time, which a test sets."""

    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> float:
        return self.time


class Trial:
    """Twenty images of a format that the collection refuses, and one that tries it again."""

    def __init__(self, database: Database) -> None:
        self.state = State(database)
        for number in range(COUNT):
            place = RelPath("photos", b"%d.cr3" % number)
            apply(self.state, Add(place, f"nas.{number}", version(1, number)))
        self.clock = Clock()
        self.refusals = Refusals(self.state, self.clock, lambda *_args, **_keys: None)  # type: ignore[arg-type]
        self.items = due(self.state, NOW)
        for item in self.items[:3]:
            self.refusals.note_refused(Rejected.of(item, "415 unsupported", is_of_format=True))
            self.refusals.note_ended(item.record.image_id)
        self.clock.time += 30
        [self.trying] = [
            each for each in due(self.state, self.clock.time) if self.refusals.may_send(each)
        ]


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Trial]:
    with closing(Database(tmp_path / "state.sqlite3")) as database:
        yield Trial(database)


def test_an_older_request_that_is_accepted_ends_the_refusal_of_its_format(trial: Trial) -> None:
    accepted = trial.items[7].record
    trial.refusals.note_accepted(accepted.image_id, accepted.rel_path)
    trial.refusals.note_ended(trial.trying.record.image_id)
    assert trial.state.formats.refused() == []
    waiting = due(trial.state, trial.clock.time + 1)
    assert len(waiting) == COUNT
    assert all(map(trial.refusals.may_send, waiting))


def test_a_trial_that_ends_after_the_collection_was_replaced_is_no_trial(trial: Trial) -> None:
    trial.refusals.forget_formats()
    trial.refusals.note_ended(trial.trying.record.image_id)
    assert trial.state.formats.refused() == []
    assert all(map(trial.refusals.may_send, due(trial.state, trial.clock.time + 1)))
