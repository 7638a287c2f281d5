"""Logs a recurring problem a few times, and then only counts it.

Events with the same cause are one topic: for example, ten thousand files that are refused for the
same reason. A topic ends when none of its events occurs during a whole window of time. The count of
suppressed events is logged at the end of each window. While the topic continues, its windows get
longer.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from snoopsync.core.events import Event, Field, log_event

#: How many events of a topic are logged before they are only counted.
MOST_LOGGED = 20

#: The length of the first window. The length doubles after each window, up to an hour.
WINDOW_SECONDS = 60.0
_LONGEST_WINDOW_SECONDS = 3600.0

#: Topics beyond this number become one topic. Otherwise a service that writes the image's ID into
#: its refusals would create a topic for each image.
MOST_TOPICS = 50
OTHER_TOPICS = "other problems"


@dataclass(slots=True)
class _Topic:
    ends: float
    window_seconds: float
    logs_left: int
    occurred: bool = True
    suppressed: int = 0
    last_event: Event = Event.OTHER
    last_folder: Field = None


class SuppressedCount(NamedTuple):
    """How many events of a topic were suppressed. ``event`` and ``folder`` are those of the last
    suppressed event."""

    topic: str
    suppressed: int
    event: Event
    folder: Field = None


class RepeatFilter:
    """Decides which events are logged. Times are seconds of one monotonic clock. Memory use is
    bounded."""

    def __init__(self, most: int = MOST_LOGGED) -> None:
        self._most = most
        self._topics: dict[str, _Topic] = {}

    def should_log(self, name: str, now: float, event: Event, folder: Field = None) -> bool:
        """Returns whether to log this event of the topic. If not, the event is counted."""
        if name not in self._topics and len(self._topics) >= MOST_TOPICS:
            name = OTHER_TOPICS
        topic = self._topics.get(name)
        if topic is None:
            topic = _Topic(now + WINDOW_SECONDS, WINDOW_SECONDS, self._most)
            self._topics[name] = topic
        topic.occurred = True
        if topic.logs_left:
            topic.logs_left -= 1
            return True
        topic.suppressed += 1
        topic.last_event, topic.last_folder = event, folder
        return False

    def counts(self, now: float) -> Iterator[SuppressedCount]:
        """The counts of the topics whose window has ended with suppressed events. Begins the next
        window of each topic."""
        ended = [(name, topic) for name, topic in self._topics.items() if topic.ends <= now]
        for name, topic in ended:
            if not topic.occurred:
                del self._topics[name]
                continue
            if topic.suppressed:
                yield _count(name, topic)
                topic.window_seconds = min(2 * topic.window_seconds, _LONGEST_WINDOW_SECONDS)
            topic.ends, topic.suppressed, topic.occurred = now + topic.window_seconds, 0, False

    def all_counts(self) -> Iterator[SuppressedCount]:
        """The counts of all topics with suppressed events. Forgets all topics."""
        topics, self._topics = self._topics, {}
        return (_count(name, topic) for name, topic in topics.items() if topic.suppressed)


def _count(name: str, topic: _Topic) -> SuppressedCount:
    return SuppressedCount(name, topic.suppressed, topic.last_event, topic.last_folder)


class LogThrottle:
    """Logs the first events of each topic, and then only counts. Not thread-safe."""

    def __init__(self, log: logging.Logger, most: int = MOST_LOGGED) -> None:
        self._logger = log
        self._filter = RepeatFilter(most)

    def log(
        self,
        now: float,
        topic: str,
        level: int,
        event: Event,
        message: str,
        *args: object,
        **keys: Field,
    ) -> bool:
        """Log this event, unless the topic has reached its limit. Returns whether the event was
        logged."""
        # The count of a topic of images has no folder: the images may be in different folders.
        folder = None if "image_id" in keys else keys.get("folder")
        should_log = self._filter.should_log(topic, now, event, folder)
        if should_log:
            log_event(self._logger, level, event, message, *args, **keys)
        return should_log

    def log_suppressed(self, now: float) -> None:
        """Log the counts of the windows that have ended. Call this often."""
        self._log_counts(self._filter.counts(now))

    def close(self) -> None:
        """Log all remaining counts."""
        self._log_counts(self._filter.all_counts())

    def _log_counts(self, counts: Iterator[SuppressedCount]) -> None:
        for topic, count, event, folder in counts:
            keys: dict[str, Field] = {} if folder is None else {"folder": folder}
            log_event(
                self._logger,
                logging.WARNING,
                event,
                "%s (%d more)",
                *(topic, count),
                count=count,
                **keys,
            )
