"""The events of the log: one line for each event, with keys.

The message of a line is for people and may change. The event and its keys are for programs and do
not change. The documentation lists all events and what to do about each.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from functools import partial

#: The type of the values of an event's keys.
Field = str | int | float | None | Sequence[str]


class Event(StrEnum):
    """All events."""

    # The service.
    STARTED = "started"
    STOPPED = "stopped"
    RELOADED = "reloaded"
    RELOAD_REFUSED = "reload-refused"
    NO_SOCKET = "no-socket"
    CONTROL_GROUP = "control-group"
    REQUESTS_ABANDONED = "requests-abandoned"
    CLOCK_JUMPED = "clock-jumped"
    LOG_UNWRITABLE = "log-unwritable"
    LOG_LINES_LOST = "log-lines-lost"

    # Images.
    ADDED = "added"
    UPDATED = "updated"
    RENAMED = "renamed"
    DELETED = "deleted"
    FORMAT_REFUSED = "format-refused"
    FORMAT_ACCEPTED = "format-accepted"
    REFUSED = "refused"
    DUPLICATE = "duplicate"
    DELETIONS_HELD = "deletions-held"
    DELETIONS_RELEASED = "deletions-released"
    PLANNED = "planned"

    # A full resync.
    PROGRESS = "progress"
    RESTLESS = "restless"
    IN_ORDER = "in-order"
    ORPHANS = "orphans"
    NOT_PRUNED = "not-pruned"
    FOREIGN_CHANGES = "foreign-changes"
    COMPARISON_FAILED = "comparison-failed"
    RECOGNITION_FAILED = "recognition-failed"
    UNRECOGNIZED = "unrecognized"

    # Folders.
    WATCHING = "watching"
    FOLDER_MISSING = "folder-missing"
    FOLDER_BACK = "folder-back"
    FOLDER_RENAMED = "folder-renamed"
    FOLDERS_DROPPED = "folders-dropped"
    FOLDERS_REMEMBERED = "folders-remembered"
    LEFT_OUT = "left-out"
    FOLDER_RECOGNISED = "folder-recognised"
    UNREADABLE = "unreadable"
    UNWATCHED = "unwatched"
    EVENTS_LOST = "events-lost"
    WATCHER_RESTARTED = "watcher-restarted"

    # The collection.
    OUTAGE = "outage"
    OUTAGE_OVER = "outage-over"
    CREDENTIALS_REFUSED = "credentials-refused"
    INTERRUPTED = "interrupted"
    SENDING_STOPPED = "sending-stopped"
    REQUESTS_TAKEN_AGAIN = "requests-taken-again"
    SEARCH_FAILED = "search-failed"
    RENEWING = "renewing"
    RENEWED = "renewed"
    LABELLED = "labelled"
    LABELS_FAILED = "labels-failed"
    NOT_ENCRYPTED = "not-encrypted"
    OWNER_CHANGED = "owner-changed"
    OWNER_KEPT = "owner-kept"

    # The state file.
    DECODERS_UNRESTRICTED = "decoders-unrestricted"
    STATE_DAMAGED = "state-damaged"
    STATE_REPLACED = "state-replaced"
    STATE_FULL = "state-full"
    STATE_READ_ONLY = "state-read-only"
    COLLECTION_UNWRITABLE = "collection-unwritable"
    STATE_ROOM = "state-room"
    STATE_UPGRADED = "state-upgraded"

    # A service that hosts collections.
    HOSTING = "hosting"
    REQUEST = "request"
    HOSTING_TROUBLE = "hosting-trouble"
    CERTIFICATE_EXPIRES = "certificate-expires"

    # Beside the service.
    NOTIFICATIONS_FAIL = "notifications-fail"
    NOTIFICATIONS_SENT_AGAIN = "notifications-sent-again"
    NOTIFICATION_DROPPED = "notification-dropped"
    NOTIFICATIONS_LOST = "notifications-lost"
    METRICS = "metrics"
    METRICS_EXPOSED = "metrics-exposed"

    # Messages of libraries.
    OTHER = "other"


def log_event(
    log: logging.Logger, level: int, event: Event, message: str, *args: object, **keys: Field
) -> None:
    """Log an event: ``message % args`` for people, ``event`` and ``keys`` for programs. Inside
    ``deferred_events``, the event is logged when that ends."""
    write = partial(log.log, level, message, *args, extra=_extra(event, keys))
    if _this_thread.deferred is None:
        write()
    else:
        _this_thread.deferred.append(write)


class _Thread(threading.local):
    #: The events to log when ``deferred_events`` ends; ``None`` outside of it.
    deferred: list[Callable[[], None]] | None = None


_this_thread = _Thread()


@contextmanager
def deferred_events() -> Iterator[None]:
    """Collect the events of this thread, and log them when the outermost of these contexts ends.

    Put it around a lock or a transaction: a log handler may wait for a disk or a pipe, and other
    threads must not wait for the lock meanwhile.
    """
    if _this_thread.deferred is not None:
        yield
        return
    _this_thread.deferred = []
    try:
        yield
    finally:
        events, _this_thread.deferred = _this_thread.deferred, None
        for write in events:
            write()


def event_record(
    log: logging.Logger, level: int, event: Event, message: str, *args: object, **keys: Field
) -> logging.LogRecord:
    """The record that ``log_event`` would log, to pass to a handler or a formatter."""
    return log.makeRecord(log.name, level, "", 0, message, args, None, extra=_extra(event, keys))


def _extra(event: Event, keys: Mapping[str, Field]) -> dict[str, Mapping[str, Field]]:
    return {"fields": {"event": event.value, **keys}}


def fields_of(record: logging.LogRecord) -> Mapping[str, Field]:
    """The keys of a record's event, and the event itself under the key ``event``."""
    fields: Mapping[str, Field] | None = getattr(record, "fields", None)
    return {"event": Event.OTHER.value} if fields is None else fields
