"""What a resync without a service does after the mirroring. None of it changes the result."""

from __future__ import annotations

import logging
from contextlib import suppress

from snoopsync.core.errors import CollectionError, NotFound
from snoopsync.core.events import Event, log_event
from snoopsync.sync.components import Components

log = logging.getLogger("snoopsync")


def finish(components: Components) -> None:
    """Search for duplicates, and send what is less important than new pictures."""
    _search_for_duplicates(components)
    _renew(components)
    _send_labels(components)


def _search_for_duplicates(components: Components) -> None:
    try:
        components.duplicate_search.run_once()
    except CollectionError as error:
        message = "the search for duplicates will continue with the next run: %s"
        log_event(log, logging.WARNING, Event.SEARCH_FAILED, message, error, error=str(error))


def _renew(components: Components) -> None:
    """Send the pictures again that an older version of the collection described."""
    try:
        if components.renewal.work_off(lambda _seconds: True):
            _search_for_duplicates(components)
    except NotFound:
        pass  # the collection does not support this
    except CollectionError as error:
        message = "the remaining pictures will be sent again with the next run: %s"
        log_event(log, logging.WARNING, Event.SEARCH_FAILED, message, error, error=str(error))


def _send_labels(components: Components) -> None:
    """Send the labels that are due. If that fails, the next run sends them."""
    with suppress(CollectionError):
        components.label_updates.work_off(lambda _seconds: True)
