"""What is told, and when: few messages, nothing twice, and that it is over."""

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
    MOST_NAMED,
    PAUSE_SECONDS,
    Happening,
    Message,
    News,
)

WANTED = (
    Event.DUPLICATE,
    Event.DELETIONS_HELD,
    Event.FOLDER_MISSING,
    Event.CREDENTIALS_REFUSED,
)


def happening(event: Event, text: str = "", level: int = logging.WARNING, **keys: Any) -> Happening:
    fields: Mapping[str, Any] = {"event": event.value, **keys}
    return Happening(fields, text or event.value, level, at=1_000_000.0)


def duplicate(number: int, **keys: Any) -> Happening:
    pair: dict[str, Any] = {
        "folder": "photos",
        "path": f"{number}.jpg",
        "image_id": f"o.{number}",
        "match_folder": "archive",
        "match_path": "old.jpg",
        "match_id": "o.old",
        "rank": 4,
    }
    return happening(Event.DUPLICATE, "of the log", **(pair | keys))


def missing(folder: str = "photos") -> Happening:
    return happening(Event.FOLDER_MISSING, f"folder {folder} is missing: why", folder=folder)


def back(folder: str = "photos") -> Happening:
    return happening(Event.FOLDER_BACK, f"folder {folder} is back", folder=folder)


class Reader:
    """Somebody who reads what is told, and a clock."""

    def __init__(self, *wanted: Event) -> None:
        self.news = News(frozenset(wanted or WANTED), "nas")
        self.now = 100.0
        self.read: list[Message] = []

    def hear(self, *happenings: Happening) -> None:
        for each in happenings:
            self.news.hear(each, self.now)

    def after(self, seconds: float) -> list[Message]:
        """What is told within this time."""
        end, begun = self.now + seconds, len(self.read)
        while (due := self.news.next_due) is not None and due <= end:
            self.now = max(self.now, due)
            self.read += self.news.due(self.now)
        self.now = end
        return self.read[begun:]


def titles(messages: list[Message]) -> list[str]:
    return [message.title.removeprefix("snoopsync (nas): ") for message in messages]


def test_an_event_is_told_in_a_moment_and_once() -> None:
    reader = Reader()
    reader.hear(missing())
    assert reader.after(GATHER_SECONDS / 2) == []
    [message] = reader.after(GATHER_SECONDS)
    assert message == Message(
        "snoopsync (nas): folder missing",
        "folder photos is missing: why",
        logging.WARNING,
        1_000_000.0,
    )
    assert reader.after(86_400) == []


def test_what_comes_together_is_one_message() -> None:
    reader = Reader()
    reader.hear(missing("a"), missing("b"))
    reader.after(GATHER_SECONDS / 2)
    reader.hear(missing("c"))
    [message] = reader.after(GATHER_SECONDS)
    assert titles([message]) == ["folder missing (3)"]
    assert len(message.body.splitlines()) == 3


def test_what_is_not_wanted_is_not_told() -> None:
    reader = Reader(Event.FOLDER_MISSING)
    reader.hear(duplicate(1), happening(Event.OUTAGE), happening(Event.OUTAGE_OVER))
    assert reader.after(86_400) == []


def test_a_duplicate_names_both_pictures_and_their_rank() -> None:
    reader = Reader()
    reader.hear(duplicate(1))
    [message] = reader.after(GATHER_SECONDS)
    assert titles([message]) == ["1 duplicate"]
    assert message.body == "photos/1.jpg is like archive/old.jpg, rank 4"


def test_a_duplicate_of_an_image_of_no_folder_names_its_id() -> None:
    reader = Reader()
    reader.hear(duplicate(1, match_folder=None, match_path=None, rank=0))
    [message] = reader.after(GATHER_SECONDS)
    same = "photos/1.jpg is the same picture as an image of no folder here (o.old), rank 0"
    assert message.body == same


def test_beyond_ten_duplicates_are_counted() -> None:
    reader = Reader()
    reader.hear(*map(duplicate, range(500)))
    [message] = reader.after(GATHER_SECONDS)
    assert titles([message]) == ["500 duplicates"]
    lines = message.body.splitlines()
    assert len(lines) == MOST_NAMED + 1
    assert lines[-1] == "and 490 more"


def test_at_most_one_message_a_minute_and_less_while_it_goes_on() -> None:
    """A first run over a folder full of duplicates: hours of them."""
    reader = Reader()
    told_at = []
    for number in range(4 * 3600):
        reader.hear(duplicate(number))
        told_at += [reader.now for _ in reader.after(1.0)]
    pauses = [later - earlier for earlier, later in pairwise(told_at)]
    assert min(pauses) >= PAUSE_SECONDS - 1
    assert len(told_at) < 10
    reader.after(86_400)
    assert sum(int(title.split()[0]) for title in titles(reader.read)) == 4 * 3600


def test_after_a_quiet_time_the_next_one_is_told_at_once_again() -> None:
    reader = Reader()
    for number in range(100):
        reader.hear(duplicate(number))
        reader.after(60.0)
    reader.after(2 * LONGEST_PAUSE_SECONDS)
    reader.hear(duplicate(0))
    assert len(reader.after(GATHER_SECONDS)) == 1
    reader.hear(duplicate(1))
    assert len(reader.after(PAUSE_SECONDS)) == 1


def test_other_events_are_not_kept_waiting_by_duplicates() -> None:
    reader = Reader()
    for number in range(1000):
        reader.hear(duplicate(number))
        reader.after(1.0)
    reader.hear(missing())
    assert "folder missing" in titles(reader.after(GATHER_SECONDS))


def test_the_latest_about_a_folder_is_told() -> None:
    """More and more deletions are held of it."""
    reader = Reader()
    for count in (51, 80, 120):
        text = f"folder photos: {count} are held; to let them go: snoopsync approve photos"
        reader.hear(happening(Event.DELETIONS_HELD, text, folder="photos", count=count))
    [message] = reader.after(GATHER_SECONDS)
    assert titles([message]) == ["deletions held"]
    assert message.body == "folder photos: 120 are held; to let them go: snoopsync approve photos"


# That it is over.


@pytest.mark.parametrize(
    ("trouble", "end"), [(trouble, end) for end, troubles in ENDS.items() for trouble in troubles]
)
def test_the_end_of_what_was_told_is_told_as_good_news(trouble: Event, end: str) -> None:
    reader = Reader(trouble)
    reader.hear(happening(trouble, level=logging.ERROR))
    [told] = reader.after(60.0)
    reader.hear(happening(Event(end)))
    [good] = reader.after(60.0)
    assert (told.level, good.level) == (logging.ERROR, None)
    reader.hear(happening(Event(end)))
    assert reader.after(86_400) == []


def test_the_end_of_what_was_not_told_is_not_told() -> None:
    reader = Reader(Event.FOLDER_MISSING)
    reader.hear(missing("a"))
    reader.after(60.0)
    reader.hear(back("b"))
    assert reader.after(86_400) == []


def test_an_end_that_is_asked_for_by_its_name_is_always_told() -> None:
    reader = Reader(Event.FOLDER_BACK)
    reader.hear(back())
    assert titles(reader.after(60.0)) == ["folder back"]


def test_what_is_over_before_it_was_told_is_not_told() -> None:
    reader = Reader()
    reader.hear(missing(), back())
    assert reader.after(86_400) == []
    reader.hear(missing("a"), missing("b"), back("a"))
    [message] = reader.after(86_400)
    assert message.body == "folder b is missing: why"


def test_a_trouble_that_is_over_only_for_a_moment_is_not_told_again() -> None:
    reader = Reader()
    reader.hear(missing())
    reader.after(60.0)
    reader.hear(back(), missing())
    assert reader.after(86_400) == []
    reader.hear(back())
    assert titles(reader.after(60.0)) == ["folder back"]


def test_another_trouble_in_the_place_of_one_that_is_over_is_told() -> None:
    reader = Reader(Event.CREDENTIALS_REFUSED, Event.SENDING_STOPPED)
    reader.hear(happening(Event.CREDENTIALS_REFUSED))
    reader.after(60.0)
    reader.hear(happening(Event.REQUESTS_TAKEN_AGAIN), happening(Event.SENDING_STOPPED))
    assert titles(reader.after(60.0)) == ["sending stopped"]
    reader.hear(happening(Event.REQUESTS_TAKEN_AGAIN))
    assert titles(reader.after(60.0)) == ["requests taken again"]


steps = st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 200)), max_size=30)


@example([("a", 61.0), ("b", 3.0), ("a", 0.0), ("a", 3.0)])
@given(steps)
def test_whatever_comes_and_goes_the_last_word_is_the_truth(steps: list[tuple[str, float]]) -> None:
    """Of a folder, "missing" and "back" are told in turns, and the last one is how it is."""
    reader = Reader()
    is_missing = dict.fromkeys("ab", False)
    for folder, seconds in steps:
        is_missing[folder] = not is_missing[folder]
        reader.hear(missing(folder) if is_missing[folder] else back(folder))
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


# At the end, and what is odd.


def test_at_the_end_everything_is_told_at_once() -> None:
    reader = Reader()
    reader.hear(missing(), duplicate(1))
    assert len(reader.news.rest(reader.now)) == 2
    assert reader.news.next_due is None


def test_a_line_stays_a_line_and_what_is_to_be_done_stays_in_it() -> None:
    reader = Reader()
    text = f"folder photos: {'long/' * 1000}\n\udcff; to let them go: snoopsync approve photos"
    reader.hear(happening(Event.DELETIONS_HELD, text, folder="photos"))
    [message] = reader.after(60.0)
    assert len(message.body) <= LONGEST_LINE
    assert message.body.startswith("folder photos: ")
    assert message.body.endswith("\\n\\udcff; to let them go: snoopsync approve photos")


def test_a_pair_of_long_paths_is_cut_within_each() -> None:
    reader = Reader()
    reader.hear(duplicate(1, path=f"{'deep/' * 500}a.jpg", match_path=f"{'deep/' * 500}b\n.jpg"))
    [message] = reader.after(60.0)
    assert len(message.body) <= LONGEST_LINE
    assert "a.jpg is like archive/" in message.body
    assert message.body.endswith("b\\n.jpg, rank 4")


def test_memory_stays_flat_whatever_comes() -> None:
    reader = Reader(*Event)
    for number in range(2000):
        reader.hear(duplicate(number), happening(Event.UNWATCHED, folder=str(number % 7)))
    batches = reader.news._batches.values()
    assert sum(len(batch.named) for batch in batches) <= 2 * MOST_NAMED
