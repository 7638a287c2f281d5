"""Sends pictures again that an older version of the collection described.

A collection stores descriptions of pictures, not the pictures. When a new version describes
pictures in another way, it needs each picture again. They are sent at low priority, one after
another. The collection knows which pictures remain, so a restart loses nothing. The collection only
accepts such a picture if the bytes have not changed. So nothing else about the image changes, and a
file that changes meanwhile does no harm.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from enum import Enum, auto

from snoopsync.client.paging import MOST_IMAGES
from snoopsync.client.retrying import RetryingCollection
from snoopsync.core.errors import (
    BadAnswer,
    Conflict,
    FileChanged,
    NotFound,
    Refused,
    Unavailable,
    Unreachable,
)
from snoopsync.core.events import Event, log_event
from snoopsync.core.model import owns
from snoopsync.core.text import counted
from snoopsync.folders.folder import Folder
from snoopsync.state.images import State
from snoopsync.state.searches import Searches
from snoopsync.sync.low_priority import Rest

log = logging.getLogger("snoopsync.renewal")

#: The fact in the state file that pictures were described again and not searched for since.
_FACT = "renewal"
_UNDER_WAY = "under way"

#: After this many failures in a row, the pass ends.
_MAX_FAILURES = 20


class _Outcome(Enum):
    """The outcome for one image."""

    DONE = auto()
    #: The file can't be read now, or is being changed.
    LATER = auto()
    #: The image has no file here, or will be sent anyway.
    NOT_OURS = auto()


class Renewal:
    """Sends pictures to be described again. Used by one thread. Any thread may read ``left``: how
    many images of this owner are known to need it."""

    def __init__(
        self,
        owner: str,
        state: State,
        searches: Searches,
        folders: Mapping[str, Folder],
        collection: RetryingCollection,
        most_images: int = MOST_IMAGES,
    ) -> None:
        self.left = 0
        self._owner = owner
        self._state = state
        self._searches = searches
        self._folders = folders
        self._collection = collection
        self._most_images = most_images

    def work_off(self, rest: Rest) -> bool:
        """Send all remaining pictures once. Returns whether all images must be searched for again.

        Raises ``CollectionError`` if the collection can't be used, and ``NotFound`` if it does not
        support this.
        """
        began = time.monotonic()
        done = later = failures = 0
        for image_id in self._outdated():
            began_at = time.monotonic()
            try:
                outcome = self._renew(image_id)
                failures = 0
            except (Unavailable, Unreachable) as error:
                failures += 1
                if error.concerns_all or failures == _MAX_FAILURES:
                    raise  # the next pass continues with the rest
                outcome = _Outcome.LATER
            done += outcome is _Outcome.DONE
            later += outcome is _Outcome.LATER
            if outcome is not _Outcome.LATER:
                self.left -= 1
            # Leave half of the time to others.
            if not rest(time.monotonic() - began_at):
                return False
        self.left = later
        was_under_way = self._state.fact(_FACT) == _UNDER_WAY
        if not was_under_way or (later and not done):
            return False
        with self._state.transaction():
            self._searches.search_again()
            if not later:
                self._state.set_fact(_FACT, "")
        log_event(
            log,
            logging.INFO,
            Event.RENEWED,
            "%s described again, %d left; duplicates are searched for again",
            *(counted(done, "picture"), later),
            count=done,
            left=later,
            seconds=round(time.monotonic() - began, 1),
        )
        return True

    def _outdated(self) -> Iterator[str]:
        """The IDs of this owner's images that an older version described, read page by page."""
        page = self._collection.outdated(self._owner)
        self.left = page["total"] or 0
        if self.left:
            log_event(
                log,
                logging.INFO,
                Event.RENEWING,
                "the collection describes pictures in a new way: %d are sent again, one by one",
                self.left,
                count=self.left,
            )
        named = 0
        while True:
            yield from (each for each in page["ids"] if owns(self._owner, each))
            named += len(page["ids"])
            # An empty page with a next page is invalid, so stop.
            if page["next"] is None or not page["ids"] or named > self._most_images:
                return
            page = self._collection.outdated(self._owner, page["next"])

    def _renew(self, image_id: str) -> _Outcome:
        record = self._state.record(image_id)
        if record is None or record.dirty or record.marked_for_deletion:
            return _Outcome.NOT_OURS
        folder = self._folders.get(record.rel_path.folder)
        if folder is None:
            return _Outcome.NOT_OURS
        try:
            with folder.open(record.rel_path.path) as file:
                if file.fingerprint != record.seen:
                    return _Outcome.LATER
                if self._state.fact(_FACT) != _UNDER_WAY:
                    # Stored before sending, so that the new search is not forgotten.
                    self._state.set_fact(_FACT, _UNDER_WAY)
                self._collection.renew_image(image_id, file)
        except (FileChanged, OSError, Conflict):
            return _Outcome.LATER
        except NotFound:
            return _Outcome.NOT_OURS
        except Refused:
            # The new version can't read the picture. Send it in the usual way, which records the
            # reason.
            self._state.intents.send_again(image_id)
            return _Outcome.NOT_OURS
        except BadAnswer:
            return _Outcome.LATER
        return _Outcome.DONE
