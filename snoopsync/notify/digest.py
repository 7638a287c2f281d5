"""What happened, put into words for people who do not read the log. Pure: the time is given.

Events of one name make one message: the first one waits for a moment for others to join it, and the
next message of that name for a minute. What happens to single images (they are duplicates, they are
refused) may come by the thousand: while that goes on, each message waits for twice as long as the
one before. Memory stays flat, whatever comes.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from snoopsync.core.events import Event, Field
from snoopsync.core.model import printable
from snoopsync.core.text import counted

#: How long the first event of a message waits for others.
GATHER_SECONDS = 5.0

#: How long the next message of the same name waits, and at most if it is about single images.
PAUSE_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 3600.0

#: So many events are told in one message, and the others counted.
MOST_NAMED = 10

#: A line of a message may have so many characters: some services take 4,000 in all. And a path in
#: it, where there may be two.
LONGEST_LINE = 350
_LONGEST_PATH = 140

#: What ends which troubles. It is told where the trouble was.
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

#: And what ends each of them.
_END_OF: Mapping[str, str] = {
    trouble: end for end, troubles in ENDS.items() for trouble in troubles
}


@dataclass(frozen=True, slots=True)
class Happening:
    """A line of the log: its fields, its words and its level. ``at``: Unix time."""

    fields: Mapping[str, Field]
    text: str
    level: int
    at: float

    @property
    def event(self) -> str:
        """The event's name."""
        return str(self.fields["event"])

    @property
    def is_of_an_image(self) -> bool:
        """Is it about a single image?"""
        return "image_id" in self.fields

    @property
    def subject(self) -> str:
        """The folder that it is about, if there is one. What is newer replaces what is older."""
        return str(self.fields.get("folder") or "")


@dataclass(frozen=True, slots=True)
class Message:
    """What to say. ``level`` is one of ``logging``'s, ``None`` for good news; ``at`` is Unix time,
    of the last event in it."""

    title: str
    body: str
    level: int | None
    at: float


@dataclass(slots=True)
class _Batch:
    """The events of one name that wait to be told. ``not_before``: the last message of that name
    was sent so short a time ago that the next one has to wait; ``pause_seconds``: and the one after
    it for so long."""

    due: float = 0.0
    not_before: float = -math.inf
    pause_seconds: float = PAUSE_SECONDS
    count: int = 0
    named: dict[object, Happening] = field(default_factory=dict)

    def is_forgotten(self, now: float) -> bool:
        return not self.count and now >= self.not_before

    def add(self, happening: Happening, now: float) -> None:
        if not self.count:
            self.due = max(now + GATHER_SECONDS, self.not_before)
        key = self.count if happening.is_of_an_image else happening.subject
        if key not in self.named:
            self.count += 1
        if key in self.named or len(self.named) < MOST_NAMED:
            self.named[key] = happening

    def withdraw(self, subject: str) -> bool:
        """Say nothing of this, if it was not said yet."""
        waited = self.named.pop(subject, None) is not None
        self.count -= waited
        return waited

    def take(self, now: float) -> list[Happening]:
        """What is said now."""
        happenings = list(self.named.values())
        self.not_before = now + self.pause_seconds
        if happenings[-1].is_of_an_image:
            self.pause_seconds = min(2 * self.pause_seconds, LONGEST_PAUSE_SECONDS)
        self.count = 0
        self.named = {}
        return happenings


class News:
    """Makes messages of events. Times are seconds of one clock that never goes back."""

    def __init__(self, wanted: Collection[str], owner: str) -> None:
        """``wanted``: the names of the events to tell of. ``owner``: whose they are."""
        self._wanted = wanted
        self._owner = owner
        self._batches: dict[str, _Batch] = {}
        # Each with its subject: what goes on, as far as was told or is about to be, and which of it
        # an end that waits to be told has ended.
        self._troubles: set[tuple[str, str]] = set()
        self._ended: dict[tuple[str, str], str] = {}

    def want(self, wanted: Collection[str], owner: str) -> None:
        """From now on tell of these, as theirs."""
        self._wanted = wanted
        self._owner = owner

    def concerns(self, event: object) -> bool:
        """May an event of this name have to be told? For any thread."""
        return event in self._wanted or event in ENDS

    def hear(self, happening: Happening, now: float) -> None:
        """Something has happened. What it makes untrue before it was told is not told, so that of
        a trouble and its end no two wait, which might be told the other way round."""
        event, subject = happening.event, happening.subject
        if event in ENDS:
            self._end(happening, now)
        elif event in self._wanted:
            again = self._withdrawn_end(event, subject) == event
            if not happening.is_of_an_image:
                self._troubles.add((event, subject))
            if not again:
                self._add(happening, now)

    def _end(self, happening: Happening, now: float) -> None:
        event, subject = happening.event, happening.subject
        ended = self._troubles & {(trouble, subject) for trouble in ENDS[event]}
        self._troubles -= ended
        was_told = [trouble for trouble, _ in ended if not self._withdraw(trouble, subject)]
        if was_told:
            self._ended[event, subject] = was_told[0]
        if was_told or event in self._wanted:
            self._add(happening, now)

    def _withdrawn_end(self, trouble: str, subject: str) -> str | None:
        """The trouble that was told of, and whose end is not told now that there is this one."""
        end = _END_OF.get(trouble, "")
        before = self._ended.pop((end, subject), None)
        return before if self._withdraw(end, subject) else None

    def _withdraw(self, event: str, subject: str) -> bool:
        return event in self._batches and self._batches[event].withdraw(subject)

    def _add(self, happening: Happening, now: float) -> None:
        batch = self._batches.get(happening.event)
        if batch is None or batch.is_forgotten(now):
            batch = self._batches[happening.event] = _Batch()
        batch.add(happening, now)

    @property
    def next_due(self) -> float | None:
        """When the next message is to be sent, if one waits."""
        return min((batch.due for batch in self._batches.values() if batch.count), default=None)

    def due(self, now: float) -> list[Message]:
        """The messages that are to be sent now, in the order of their times."""
        ready = [(batch.due, event) for event, batch in self._batches.items() if batch.count]
        return [self._take(event, now) for due, event in sorted(ready) if due <= now]

    def rest(self, now: float) -> list[Message]:
        """All messages that wait, before their time."""
        waiting = [event for event, batch in self._batches.items() if batch.count]
        return [self._take(event, now) for event in waiting]

    def _take(self, event: str, now: float) -> Message:
        batch = self._batches[event]
        count, happenings = batch.count, batch.take(now)
        for happening in happenings:
            self._ended.pop((event, happening.subject), None)
        lines = [_line(happening) for happening in happenings]
        if count > len(lines):
            lines.append(f"and {count - len(lines)} more")
        return Message(
            f"snoopsync ({self._owner}): {_headline(event, count)}",
            "\n".join(lines),
            None if event in ENDS else max(happening.level for happening in happenings),
            happenings[-1].at,
        )


def _headline(event: str, count: int) -> str:
    if event == Event.DUPLICATE:
        return counted(count, "duplicate")
    words = event.replace("-", " ")
    return words if count == 1 else f"{words} ({count})"


def _line(happening: Happening) -> str:
    is_pair = happening.event == Event.DUPLICATE and happening.is_of_an_image
    return _short(_duplicate(happening.fields) if is_pair else happening.text, LONGEST_LINE)


def _duplicate(fields: Mapping[str, Field]) -> str:
    kind = "the same picture as" if fields["rank"] == 0 else "like"
    image = _image(fields["folder"], fields["path"], fields["image_id"])
    match = _image(fields["match_folder"], fields["match_path"], fields["match_id"])
    return f"{image} is {kind} {match}, rank {fields['rank']}"


def _image(folder: Field, path: Field, image_id: Field) -> str:
    if path is None:
        return f"an image of no folder here ({image_id})"
    return _short(f"{folder}/{path}", _LONGEST_PATH)


def _short(text: str, most: int) -> str:
    """The text on one line, without its middle if it is longer: what is to be done is at the end of
    it, and a file's name at the end of its path."""
    text = printable(text)
    kept = (most - 3) // 2
    return text if len(text) <= most else f"{text[:kept]}...{text[-kept:]}"
