"""Sends the labels that are due: after renames, and of all images when names are shared from now on
or no longer.

Labels are sent at low priority, one after another, and without the pictures. The state file knows
which ones remain, so a restart loses nothing. A label that fails stays due, and affects nothing
else.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from http import HTTPStatus
from time import monotonic

from snoopsync.client.retrying import RetryingCollection, is_outage
from snoopsync.core.errors import CollectionError, NotFound, Refused, Unauthorized, Unavailable
from snoopsync.core.events import Event, log_event
from snoopsync.core.labels import Labelling
from snoopsync.core.model import RelPath
from snoopsync.core.text import counted
from snoopsync.log.throttle import LogThrottle
from snoopsync.state.labels import Labels
from snoopsync.sync.low_priority import Rest

log = logging.getLogger("snoopsync.labels")

#: How many labels are read from the state file at once.
_BATCH = 100

#: After this many failures in a row, the pass ends.
_MAX_FAILURES = 20

#: The shortest pause after a label. A service remembers each change of a key for half an hour, and
#: accepts only some hundred thousand changes in that time. Pictures must not wait for labels.
_PAUSE_SECONDS = 0.02

#: How many problems are logged. Further ones are only counted.
_MAX_LOGGED = 5
_KEEPS_FAILING = "sending labels keeps failing"

_NOT_OFFERED = "the collection does not offer labels"


class LabelUpdates:
    """Sends the labels that are due. Used by one thread."""

    def __init__(
        self, labelling: Labelling, labels: Labels, collection: RetryingCollection
    ) -> None:
        self._labelling = labelling
        self._labels = labels
        self._collection = collection
        #: The last problem that was logged. Each one is logged once until a pass succeeds.
        self._problem = ""
        self._throttle = LogThrottle(log, _MAX_LOGGED)

    def log_suppressed(self) -> None:
        """Log how many problems were counted and not logged."""
        self._throttle.close()

    def work_off(self, rest: Rest) -> bool:
        """Send all labels that are due, with a ``rest`` after each. Always returns false: nothing
        must be searched for. Raises ``NotFound`` if the collection does not offer labels, and the
        first other error of the collection."""
        self._throttle.log_suppressed(monotonic())
        try:
            sent, error = self._send_all(rest)
            if sent:
                message = "%s sent" if self._labelling.host else "%s cleared"
                labels = counted(sent, "label")
                log_event(log, logging.INFO, Event.LABELLED, message, labels, count=sent)
            if error is not None:
                raise error
        except NotFound:
            # Without a name to send, nothing is missing.
            if self._labelling.host:
                self._log(_NOT_OFFERED, "other machines don't see the names of images")
            raise
        except CollectionError as failed:
            is_refused = isinstance(failed, Unauthorized)
            if is_refused or not failed.concerns_all:
                # Otherwise the engine reports it.
                self._log(str(failed), "labels will be sent later")
            if is_refused:
                # A service may refuse labels alone. If it refuses the keys, every other call shows
                # that, and this one must not stop them.
                raise Unavailable(failed.message) from failed
            raise
        self._problem = ""
        return False

    def _send_all(self, rest: Rest) -> tuple[int, CollectionError | None]:
        """Send the labels that are due. Returns how many were sent, and the first error."""
        sent = failures = 0
        first: CollectionError | None = None
        for image_id, rel_path in self._due():
            began = monotonic()
            try:
                is_sent = self._send(image_id, rel_path)
                sent += is_sent
                failures = 0
            except CollectionError as error:
                must_wait = error.concerns_all or error.retry_after is not None
                if must_wait or isinstance(error, NotFound):
                    raise
                if is_outage(error):
                    # If the service is down, the circuit breaker waits, and gives up in the end.
                    self._collection.get_images(count=1)
                first = first or error
                failures += 1
                if failures == _MAX_FAILURES:
                    break
            # Leave half of the time to others.
            if not rest(max(_PAUSE_SECONDS, monotonic() - began)):
                break
        return sent, first

    def _due(self) -> Iterator[tuple[str, RelPath]]:
        after = ""
        while batch := self._labels.due(after, _BATCH):
            yield from batch
            after, _ = batch[-1]

    def _send(self, image_id: str, rel_path: RelPath) -> bool:
        """Send the label of an image. Returns whether the collection has the image. Raises
        ``NotFound`` if the collection does not offer labels."""
        label = self._labelling.label_of(rel_path)
        try:
            self._collection.set_label(image_id, label)
        except Refused as error:
            if not isinstance(error, NotFound) and error.status != HTTPStatus.METHOD_NOT_ALLOWED:
                raise
            if self._is_stored(image_id):
                raise NotFound(_NOT_OFFERED) from None
            return False  # the next resync sends the image again
        self._labels.confirm(image_id, rel_path)
        return True

    def _is_stored(self, image_id: str) -> bool:
        try:
            self._collection.get_image(image_id)
        except NotFound:
            return False
        return True

    def _log(self, problem: str, consequence: str) -> None:
        if problem != self._problem:
            self._problem = problem
            self._throttle.log(
                monotonic(),
                _KEEPS_FAILING,
                logging.WARNING,
                Event.LABELS_FAILED,
                "%s: %s",
                *(problem, consequence),
                error=problem,
            )
