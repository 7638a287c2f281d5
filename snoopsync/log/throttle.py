"""The same trouble is said to the log a few times, and then only counted.

A topic is what lines have in common: ten thousand files that are refused for one reason are one
topic. It is over when nothing was heard of it for a whole window of time; a count is told when it
is, and while it goes on from time to time, less and less often.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from snoopsync.core.events import Event, Field, log_event

#: How often a topic is said before it is only counted.
MOST_SAID = 20

#: The length of the first window. Each next one is twice as long, up to an hour.
WINDOW_SECONDS = 60.0
_LONGEST_WINDOW_SECONDS = 3600.0

#: More topics than these at a time have nothing in common but that they are many (a service that
#: writes the image's ID into its refusal, say): they are one.
MOST_TOPICS = 50
OTHERS = "other troubles"


@dataclass(slots=True)
class _Topic:
    ends: float
    seconds: float
    may_be_said: int
    was_heard: bool = True
    counted: int = 0
    last_event: Event = Event.OTHER
    last_folder: Field = None


class Count(NamedTuple):
    """How many times more a topic came than it was said, and the event that the last one was, with
    its folder if it has one."""

    topic: str
    more: int
    event: Event
    folder: Field = None


class Repeats:
    """Tells what is news from what has been said often enough. Times are seconds of one clock that
    never goes back. Memory stays flat, whatever comes."""

    def __init__(self, most: int = MOST_SAID) -> None:
        self._most = most
        self._topics: dict[str, _Topic] = {}

    def is_news(self, topic: str, now: float, event: Event, folder: Field = None) -> bool:
        """Should this event be said? If not, it is counted."""
        if topic not in self._topics and len(self._topics) >= MOST_TOPICS:
            topic = OTHERS
        known = self._topics.get(topic)
        if known is None:
            known = _Topic(now + WINDOW_SECONDS, WINDOW_SECONDS, self._most)
            self._topics[topic] = known
        known.was_heard = True
        if known.may_be_said:
            known.may_be_said -= 1
            return True
        known.counted += 1
        known.last_event, known.last_folder = event, folder
        return False

    def counts(self, now: float) -> Iterator[Count]:
        """Of the topics whose windows have ended, those that were not always said in them."""
        ended = [(name, topic) for name, topic in self._topics.items() if topic.ends <= now]
        for name, topic in ended:
            if not topic.was_heard:
                del self._topics[name]
                continue
            if topic.counted:
                yield _count(name, topic)
                topic.seconds = min(2 * topic.seconds, _LONGEST_WINDOW_SECONDS)
            topic.ends, topic.counted, topic.was_heard = now + topic.seconds, 0, False

    def all_counts(self) -> Iterator[Count]:
        """What was not said until now, by topic. All are forgotten."""
        topics, self._topics = self._topics, {}
        return (_count(name, topic) for name, topic in topics.items() if topic.counted)


def _count(name: str, topic: _Topic) -> Count:
    return Count(name, topic.counted, topic.last_event, topic.last_folder)


class LogThrottle:
    """Logs the events of each topic a few times, and then counts them. For one thread at a time."""

    def __init__(self, log: logging.Logger, most: int = MOST_SAID) -> None:
        self._log = log
        self._repeats = Repeats(most)

    def say(
        self,
        now: float,
        topic: str,
        level: int,
        event: Event,
        message: str,
        *args: object,
        **keys: Field,
    ) -> bool:
        """Log it, unless its topic has been said often enough. Was it logged?"""
        # A topic of single images is of no folder: they may be of many.
        folder = None if "image_id" in keys else keys.get("folder")
        news = self._repeats.is_news(topic, now, event, folder)
        if news:
            log_event(self._log, level, event, message, *args, **keys)
        return news

    def tell_counts(self, now: float) -> None:
        """Log how often was not said what has ended, or goes on for long. To be called often."""
        for count in self._repeats.counts(now):
            self._tell(count)

    def close(self) -> None:
        """Log every count that is left."""
        for count in self._repeats.all_counts():
            self._tell(count)

    def _tell(self, count: Count) -> None:
        topic, more, event, folder = count
        keys: dict[str, Field] = {} if folder is None else {"folder": folder}
        log_event(
            self._log, logging.WARNING, event, "%s (%d more)", topic, more, count=more, **keys
        )
