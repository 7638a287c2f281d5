"""Which events become notifications, and when: few, none twice, with recoveries."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from snoopsync.core.events import Event
from snoopsync.notify.digest import (
    ENDS,
    GATHER_SECONDS,
    LONGEST_LINE,
    LONGEST_PAUSE_SECONDS,
    MAX_NAMED,
    PAUSE_SECONDS,
    Digest,
    LoggedEvent,
    Notification,
)

WANTED = (
    Event.DUPLICATE,
    Event.DELETIONS_HELD,
    Event.FOLDER_MISSING,
    Event.CREDENTIALS_REFUSED,
)


def logged(event: Event, text: str = "", level: int = logging.WARNING, **keys: Any) -> LoggedEvent:
    fields: Mapping[str, Any] = {"event": event.value, **keys}
    return LoggedEvent(fields, text or event.value, level, at=1_000_000.0)


def duplicate(number: int, **keys: Any) -> LoggedEvent:
    pair: dict[str, Any] = {
        "folder": "photos",
        "path": f"{number}.jpg",
        "image_id": f"o.{number}",
        "match_folder": "archive",
        "match_path": "old.jpg",
        "match_id": "o.old",
        "rank": 4,
    }
    return logged(Event.DUPLICATE, "of the log", **(pair | keys))


def missing(folder: str = "photos") -> LoggedEvent:
    return logged(Event.FOLDER_MISSING, f"folder {folder} is missing: why", folder=folder)


def back(folder: str = "photos") -> LoggedEvent:
    return logged(Event.FOLDER_BACK, f"folder {folder} is back", folder=folder)


class Reader:
    """Reads the notifications, and has a clock."""

    def __init__(self, *wanted: Event) -> None:
        self.digest = Digest(frozenset(wanted or WANTED), "nas")
        self.now = 100.0
        self.read: list[Notification] = []

    def add(self, *events: LoggedEvent) -> None:
        for each in events:
            self.digest.add(each, self.now)

    def after(self, seconds: float) -> list[Notification]:
        """The notifications within this time."""
        end, begun = self.now + seconds, len(self.read)
        while (due := self.digest.next_due) is not None and due <= end:
            self.now = max(self.now, due)
            self.read += self.digest.take_due(self.now)
        self.now = end
        return self.read[begun:]


def titles(notifications: list[Notification]) -> list[str]:
    return [each.title.removeprefix("snoopsync (nas): ") for each in notifications]


def test_an_event_is_reported_once_after_a_few_seconds() -> None:
    reader = Reader()
    reader.add(missing())
    assert reader.after(GATHER_SECONDS / 2) == []
    [message] = reader.after(GATHER_SECONDS)
    assert message == Notification(
        "snoopsync (nas): folder missing",
        "folder photos is missing: why",
        logging.WARNING,
        1_000_000.0,
    )
    assert reader.after(86_400) == []


def test_events_with_one_name_share_a_notification() -> None:
    reader = Reader()
    reader.add(missing("a"), missing("b"))
    reader.after(GATHER_SECONDS / 2)
    reader.add(missing("c"))
    [message] = reader.after(GATHER_SECONDS)
    assert titles([message]) == ["folder missing (3)"]
    assert len(message.body.splitlines()) == 3


def test_events_that_are_not_selected_are_not_reported() -> None:
    reader = Reader(Event.FOLDER_MISSING)
    reader.add(duplicate(1), logged(Event.OUTAGE), logged(Event.OUTAGE_OVER))
    assert reader.after(86_400) == []


def test_a_duplicate_names_both_pictures_and_their_rank() -> None:
    reader = Reader()
    reader.add(duplicate(1))
    [message] = reader.after(GATHER_SECONDS)
    assert titles([message]) == ["1 duplicate"]
    assert message.body == "photos/1.jpg is like archive/old.jpg, rank 4"


def test_a_duplicate_names_the_one_to_keep_and_how_many_more_there_are() -> None:
    reader = Reader()
    more = {"kind": "reencoded", "keep": "o.old", "reason": "more-pixels", "others": 2}
    reader.add(duplicate(1, **more, group="7"))
    [message] = reader.after(GATHER_SECONDS)
    assert message.body == (
        "photos/1.jpg is like archive/old.jpg, rank 4, re-encoded; keep archive/old.jpg"
        " (more pixels); 2 more (snoopsync duplicates --group 7)"
    )


def test_a_duplicate_of_an_image_without_a_file_names_its_id() -> None:
    reader = Reader()
    reader.add(duplicate(1, match_folder=None, match_path=None, rank=0))
    [message] = reader.after(GATHER_SECONDS)
    same = "photos/1.jpg is the same picture as an image without a file here (o.old), rank 0"
    assert message.body == same


def test_more_than_ten_duplicates_are_counted() -> None:
    reader = Reader()
    reader.add(*map(duplicate, range(500)))
    [message] = reader.after(GATHER_SECONDS)
    assert titles([message]) == ["500 duplicates"]
    lines = message.body.splitlines()
    assert len(lines) == MAX_NAMED + 1
    assert lines[-1] == "and 490 more"


def test_pauses_grow_while_duplicates_keep_coming() -> None:
    """A first run over a folder full of duplicates: hours of them."""
    reader = Reader()
    sent_at = []
    for number in range(4 * 3600):
        reader.add(duplicate(number))
        sent_at += [reader.now for _ in reader.after(1.0)]
    pauses = [later - earlier for earlier, later in pairwise(sent_at)]
    assert min(pauses) >= PAUSE_SECONDS - 1
    assert len(sent_at) < 10
    reader.after(86_400)
    assert sum(int(title.split()[0]) for title in titles(reader.read)) == 4 * 3600


def test_after_a_quiet_time_pauses_are_short_again() -> None:
    reader = Reader()
    for number in range(100):
        reader.add(duplicate(number))
        reader.after(60.0)
    reader.after(2 * LONGEST_PAUSE_SECONDS)
    reader.add(duplicate(0))
    assert len(reader.after(GATHER_SECONDS)) == 1
    reader.add(duplicate(1))
    assert len(reader.after(PAUSE_SECONDS)) == 1


def test_duplicates_do_not_delay_other_events() -> None:
    reader = Reader()
    for number in range(1000):
        reader.add(duplicate(number))
        reader.after(1.0)
    reader.add(missing())
    assert "folder missing" in titles(reader.after(GATHER_SECONDS))


def test_the_latest_event_about_a_folder_replaces_earlier_ones() -> None:
    """The number of held deletions grows."""
    reader = Reader()
    for count in (51, 80, 120):
        text = f"folder photos: {count} are held; to let them go: snoopsync approve photos"
        reader.add(logged(Event.DELETIONS_HELD, text, folder="photos", count=count))
    [message] = reader.after(GATHER_SECONDS)
    assert titles([message]) == ["deletions held"]
    assert message.body == "folder photos: 120 are held; to let them go: snoopsync approve photos"


# Recoveries.


@pytest.mark.parametrize(
    ("problem", "end"), [(problem, end) for end, problems in ENDS.items() for problem in problems]
)
def test_the_recovery_from_a_reported_problem_is_reported_once(problem: Event, end: str) -> None:
    reader = Reader(problem)
    reader.add(logged(problem, level=logging.ERROR))
    [reported] = reader.after(60.0)
    reader.add(logged(Event(end)))
    [recovery] = reader.after(60.0)
    assert (reported.level, recovery.level) == (logging.ERROR, None)
    reader.add(logged(Event(end)))
    assert reader.after(86_400) == []


def test_the_recovery_from_an_unreported_problem_is_not_reported() -> None:
    reader = Reader(Event.FOLDER_MISSING)
    reader.add(missing("a"))
    reader.after(60.0)
    reader.add(back("b"))
    assert reader.after(86_400) == []


def test_a_selected_recovery_event_is_always_reported() -> None:
    reader = Reader(Event.FOLDER_BACK)
    reader.add(back())
    assert titles(reader.after(60.0)) == ["folder back"]


def test_a_problem_that_ends_before_it_is_reported_is_not_reported() -> None:
    reader = Reader()
    reader.add(missing(), back())
    assert reader.after(86_400) == []
    reader.add(missing("a"), missing("b"), back("a"))
    [message] = reader.after(86_400)
    assert message.body == "folder b is missing: why"


def test_a_problem_that_returns_at_once_is_not_reported_again() -> None:
    reader = Reader()
    reader.add(missing())
    reader.after(60.0)
    reader.add(back(), missing())
    assert reader.after(86_400) == []
    reader.add(back())
    assert titles(reader.after(60.0)) == ["folder back"]


def test_a_problem_that_replaces_another_is_reported() -> None:
    reader = Reader(Event.CREDENTIALS_REFUSED, Event.SENDING_STOPPED)
    reader.add(logged(Event.CREDENTIALS_REFUSED))
    reader.after(60.0)
    reader.add(logged(Event.REQUESTS_TAKEN_AGAIN), logged(Event.SENDING_STOPPED))
    assert titles(reader.after(60.0)) == ["sending stopped"]
    reader.add(logged(Event.REQUESTS_TAKEN_AGAIN))
    assert titles(reader.after(60.0)) == ["requests taken again"]


steps = st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 200)), max_size=30)


@example([("a", 61.0), ("b", 3.0), ("a", 0.0), ("a", 3.0)])
@given(steps)
def test_the_last_notification_about_a_folder_is_true(steps: list[tuple[str, float]]) -> None:
    """The notifications about a folder alternate between "missing" and "back"."""
    reader = Reader()
    is_missing = dict.fromkeys("ab", False)
    for folder, seconds in steps:
        is_missing[folder] = not is_missing[folder]
        reader.add(missing(folder) if is_missing[folder] else back(folder))
        reader.after(seconds)
    reader.after(86_400)
    for folder in "ab":
        words = [
            line
            for message in reader.read
            for line in message.body.splitlines()
            if line.startswith(f"folder {folder} ")
        ]
        assert [" is missing" in line for line in words] == [
            number % 2 == 0 for number in range(len(words))
        ]
        assert is_missing[folder] == bool(words and " is missing" in words[-1])


# Edge cases.


def test_take_all_returns_notifications_before_they_are_due() -> None:
    reader = Reader()
    reader.add(missing(), duplicate(1))
    assert len(reader.digest.take_all(reader.now)) == 2
    assert reader.digest.next_due is None


def test_a_long_message_is_one_line_and_keeps_its_end() -> None:
    reader = Reader()
    text = f"folder photos: {'long/' * 1000}\n\udcff; to let them go: snoopsync approve photos"
    reader.add(logged(Event.DELETIONS_HELD, text, folder="photos"))
    [message] = reader.after(60.0)
    assert len(message.body) <= LONGEST_LINE
    assert message.body.startswith("folder photos: ")
    assert message.body.endswith("\\n\\udcff; to let them go: snoopsync approve photos")


def test_long_paths_of_a_pair_are_each_shortened() -> None:
    reader = Reader()
    reader.add(duplicate(1, path=f"{'deep/' * 500}a.jpg", match_path=f"{'deep/' * 500}b\n.jpg"))
    [message] = reader.after(60.0)
    assert len(message.body) <= LONGEST_LINE
    assert "a.jpg is like archive/" in message.body
    assert message.body.endswith("b\\n.jpg, rank 4")


def test_memory_use_is_bounded() -> None:
    reader = Reader(*Event)
    for number in range(2000):
        reader.add(duplicate(number), logged(Event.UNWATCHED, folder=str(number % 7)))
    batches = reader.digest._batches.values()
    assert sum(len(batch.named) for batch in batches) <= 2 * MAX_NAMED
