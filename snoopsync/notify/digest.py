"""Groups log events into notifications for people who do not read the log. Pure: the caller passes
the time.

Events with the same name share a notification. The first event waits a few seconds for others to
join it, and the next notification with that name waits a minute. Events about single images
(duplicates, refusals) can come by the thousand: while they keep coming, each pause is twice as long
as the one before. Memory use is bounded.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from snoopsync.core.duplicates import describe_duplicate
from snoopsync.core.events import Event, Field
from snoopsync.core.model import printable
from snoopsync.core.text import counted

#: How long the first event waits for others to join it.
GATHER_SECONDS = 5.0

#: The pause after a notification, and the longest one after notifications about single images.
PAUSE_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 3600.0

#: A notification names this many events and counts the others.
MAX_NAMED = 10

#: The longest line of a notification in characters, since some services take only 4,000 in all; and
#: the longest path in a line that may have two.
LONGEST_LINE = 560
_LONGEST_PATH = 140

#: Each recovery event with the problems that it ends. A recovery is reported where its problem was.
ENDS: Mapping[str, tuple[Event, ...]] = {
    Event.FOLDER_BACK: (Event.FOLDER_MISSING,),
    Event.REQUESTS_TAKEN_AGAIN: (Event.CREDENTIALS_REFUSED, Event.SENDING_STOPPED),
    Event.OUTAGE_OVER: (Event.OUTAGE,),
    Event.STATE_ROOM: (
        Event.STATE_FULL,
        Event.STATE_READ_ONLY,
        Event.COLLECTION_UNWRITABLE,
    ),
}

#: The recovery event of each problem.
_END_OF: Mapping[str, str] = {
    problem: end for end, problems in ENDS.items() for problem in problems
}


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """A log record: its keys, message and level. ``at`` is Unix time."""

    fields: Mapping[str, Field]
    text: str
    level: int
    at: float

    @property
    def event(self) -> str:
        """The event's name."""
        return str(self.fields["event"])

    @property
    def is_about_image(self) -> bool:
        """Whether the event is about a single image."""
        return "image_id" in self.fields

    @property
    def subject(self) -> str:
        """The folder that the event is about, or ``""``. A newer event about the same subject
        replaces an older one."""
        return str(self.fields.get("folder") or "")


@dataclass(frozen=True, slots=True)
class Notification:
    """A message to people. ``level`` is one of ``logging``'s, or ``None`` for a recovery; ``at`` is
    the Unix time of its last event."""

    title: str
    body: str
    level: int | None
    at: float


@dataclass(slots=True)
class _Batch:
    """The unsent events with one name. ``not_before``: the end of the pause after the last
    notification; ``pause_seconds``: the length of the next pause."""

    due: float = 0.0
    not_before: float = -math.inf
    pause_seconds: float = PAUSE_SECONDS
    count: int = 0
    named: dict[object, LoggedEvent] = field(default_factory=dict)

    def is_idle(self, now: float) -> bool:
        return not self.count and now >= self.not_before

    def add(self, event: LoggedEvent, now: float) -> None:
        if not self.count:
            self.due = max(now + GATHER_SECONDS, self.not_before)
        key = self.count if event.is_about_image else event.subject
        if key not in self.named:
            self.count += 1
        if key in self.named or len(self.named) < MAX_NAMED:
            self.named[key] = event

    def withdraw(self, subject: str) -> bool:
        """Remove the unsent event about this subject. Returns whether there was one."""
        was_unsent = self.named.pop(subject, None) is not None
        self.count -= was_unsent
        return was_unsent

    def take(self, now: float) -> list[LoggedEvent]:
        """Remove and return the events to name in a notification, and start the next pause."""
        events = list(self.named.values())
        self.not_before = now + self.pause_seconds
        if events[-1].is_about_image:
            self.pause_seconds = min(2 * self.pause_seconds, LONGEST_PAUSE_SECONDS)
        self.count = 0
        self.named = {}
        return events


class Digest:
    """Turns events into notifications. Times are seconds of one monotonic clock."""

    def __init__(self, selected: Collection[str], owner: str) -> None:
        """``selected``: the names of the events to report. ``owner``: shown in each title."""
        self._selected = selected
        self._owner = owner
        self._batches: dict[str, _Batch] = {}
        # Problems with their subjects that were reported or are about to be, and, for each unsent
        # recovery, the problem that it ended.
        self._open: set[tuple[str, str]] = set()
        self._ended: dict[tuple[str, str], str] = {}

    def configure(self, selected: Collection[str], owner: str) -> None:
        """From now on report these events, with this owner in the titles."""
        self._selected = selected
        self._owner = owner

    def uses(self, event: object) -> bool:
        """Whether an event with this name can lead to a notification. For any thread."""
        return event in self._selected or event in ENDS

    def add(self, event: LoggedEvent, now: float) -> None:
        """Add an event.

        At most one of a problem and its recovery waits unsent, so that the two are never sent in
        the wrong order: each cancels the other.
        """
        name, subject = event.event, event.subject
        if name in ENDS:
            self._add_recovery(event, now)
        elif name in self._selected:
            is_reported = self._withdraw_recovery(name, subject) == name
            if not event.is_about_image:
                self._open.add((name, subject))
            if not is_reported:
                self._enqueue(event, now)

    def _add_recovery(self, event: LoggedEvent, now: float) -> None:
        name, subject = event.event, event.subject
        ended = self._open & {(problem, subject) for problem in ENDS[name]}
        self._open -= ended
        reported = [problem for problem, _ in ended if not self._withdraw(problem, subject)]
        if reported:
            self._ended[name, subject] = reported[0]
        if reported or name in self._selected:
            self._enqueue(event, now)

    def _withdraw_recovery(self, problem: str, subject: str) -> str | None:
        """Cancel the unsent recovery from this problem. Returns the problem that it ended."""
        end = _END_OF.get(problem, "")
        reported = self._ended.pop((end, subject), None)
        return reported if self._withdraw(end, subject) else None

    def _withdraw(self, event: str, subject: str) -> bool:
        return event in self._batches and self._batches[event].withdraw(subject)

    def _enqueue(self, event: LoggedEvent, now: float) -> None:
        batch = self._batches.get(event.event)
        if batch is None or batch.is_idle(now):
            batch = self._batches[event.event] = _Batch()
        batch.add(event, now)

    @property
    def next_due(self) -> float | None:
        """When the next notification is due, or ``None``."""
        return min((batch.due for batch in self._batches.values() if batch.count), default=None)

    def take_due(self, now: float) -> list[Notification]:
        """Remove and return the notifications that are due, earliest first."""
        unsent = [(batch.due, event) for event, batch in self._batches.items() if batch.count]
        return [self._take(event, now) for due, event in sorted(unsent) if due <= now]

    def take_all(self, now: float) -> list[Notification]:
        """Remove and return all notifications, due or not."""
        unsent = [event for event, batch in self._batches.items() if batch.count]
        return [self._take(event, now) for event in unsent]

    def _take(self, name: str, now: float) -> Notification:
        batch = self._batches[name]
        count, events = batch.count, batch.take(now)
        for event in events:
            self._ended.pop((name, event.subject), None)
        lines = [_line(event) for event in events]
        if count > len(lines):
            lines.append(f"and {count - len(lines)} more")
        return Notification(
            f"snoopsync ({self._owner}): {_headline(name, count)}",
            "\n".join(lines),
            None if name in ENDS else max(event.level for event in events),
            events[-1].at,
        )


def _headline(event: str, count: int) -> str:
    if event == Event.DUPLICATE:
        return counted(count, "duplicate")
    words = event.replace("-", " ")
    return words if count == 1 else f"{words} ({count})"


def _line(event: LoggedEvent) -> str:
    is_duplicate = event.event == Event.DUPLICATE and event.is_about_image
    text = describe_duplicate(event.fields, _shortened_path) if is_duplicate else event.text
    return _shortened(text, LONGEST_LINE)


def _shortened_path(path: str) -> str:
    return _shortened(path, _LONGEST_PATH)


def _shortened(text: str, most: int) -> str:
    """The text on one line, without its middle if it is too long: the end of a message is the
    command to run, and the end of a path is the file's name."""
    text = printable(text)
    kept = (most - 3) // 2
    return text if len(text) <= most else f"{text[:kept]}...{text[-kept:]}"
