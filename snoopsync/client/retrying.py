"""A wrapper around a collection that retries failed calls.

The wrapper decides by one property of an error, ``permanent``, and does all the waiting. Retries
are safe: the wrapper creates the IDs of new images itself, and counts a result that an earlier
attempt may have produced as a success.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from typing import Generic, Self, TypeVar

from snoopsync.client.circuit_breaker import CircuitBreaker, Outage, Permit
from snoopsync.client.paging import DEFAULT_LIMITS, ListingLimits, list_all, read_pages
from snoopsync.client.sources import rewindable
from snoopsync.core.errors import (
    BadAnswer,
    CollectionError,
    Conflict,
    ExcessiveAnswer,
    NotConnected,
    NotFound,
    Unavailable,
    Unreachable,
)
from snoopsync.core.protocol import (
    ChangesAnswer,
    IdRange,
    ImageAnswer,
    ImageCollection,
    ImageSource,
    Labelled,
    ListAnswer,
    ListedImage,
    NamesAll,
    OutdatedAnswer,
    PreparesSearches,
    Renewable,
    ReportsChanges,
    SearchAnswer,
    SearchByIdAnswer,
)
from snoopsync.runtime.counters import Call, Counters

T = TypeVar("T")

#: The statuses that mean that the whole service, or the gateway before it, is down. A content
#: delivery network that can't reach the service sends 520 to 530. A network that requires a login
#: sends 511.
_OUTAGE_STATUSES = frozenset({429, 502, 503, 504, 511, *range(520, 531)})

#: A service that accepts each signature only once refuses the same request with this status if it
#: is sent twice within a second. The request succeeds a second later, and no other one is affected.
_TOO_EARLY = 425
_TOO_EARLY_SECONDS = 1.0


class RetryingCollection:
    """An ``ImageCollection`` that retries the calls of another one.

    ``breaker`` delays the calls during an outage. Each call raises ``Stopped`` when the breaker is
    stopped. ``new_id`` creates the ID of an image that is added without one. ``counters`` counts
    the requests.
    """

    def __init__(
        self,
        inner: ImageCollection,
        breaker: CircuitBreaker | None = None,
        *,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
        limits: ListingLimits = DEFAULT_LIMITS,
        counters: Counters | None = None,
    ) -> None:
        self._inner = inner
        self._breaker = breaker or CircuitBreaker()
        self._new_id = new_id
        self._limits = limits
        self._counters = counters or Counters()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the wrapped collection."""
        self._inner.close()

    def log_suppressed(self) -> None:
        """Log how many outages were counted and not logged."""
        self._breaker.log_suppressed()

    @property
    def outage(self) -> Outage | None:
        """The current outage; ``None`` if there is none."""
        return self._breaker.outage

    @property
    def id(self) -> str:
        """The collection's ID."""
        return self.retry(Call.SESSION, lambda inner: inner.id)

    @property
    def name(self) -> str:
        """The collection's name."""
        return self.retry(Call.SESSION, lambda inner: inner.name)

    @property
    def user(self) -> str:
        """The user that the collection belongs to."""
        return self.retry(Call.SESSION, lambda inner: inner.user)

    def add_image(
        self,
        image: ImageSource,
        image_id: str | None = None,
        update_existing: bool = False,
        label: str | None = None,
    ) -> ImageAnswer:
        """Add or update an image: see ``ImageCollection``.

        An image without an ID gets one here, so that a retry after a lost answer does not add a
        second image. A conflict after a lost answer means that the earlier attempt added the image,
        which is then updated with the same bytes. Each attempt opens a path again, and rewinds a
        file to its first position.
        """
        if image_id is None and not update_existing:
            image_id = self._new_id()
        with rewindable(image) as source:

            def send(may_have_run: bool) -> ImageAnswer:
                try:
                    return self._inner.add_image(source(), image_id, update_existing, label)
                except Conflict:
                    if not may_have_run:
                        raise
                return self._inner.add_image(source(), image_id, True, label)

            return self._persist(Call.UPDATE if update_existing else Call.ADD, send)

    def get_image(self, image_id: str) -> ImageAnswer:
        """Return the answer about an image. Raises ``NotFound`` if the collection does not have
        it."""
        return self.retry(Call.GET, lambda inner: inner.get_image(image_id))

    def delete_image(self, image_id: str) -> ImageAnswer:
        """Remove an image. Raises ``NotFound`` if the collection did not have it before the first
        attempt."""

        def send(may_have_run: bool) -> ImageAnswer:
            try:
                return self._inner.delete_image(image_id)
            except NotFound:
                if not may_have_run:
                    raise
            return {
                "status": 200,
                "message": "Deleted",
                "collection_id": self._inner.id,
                "image_id": image_id,
                "image_time": "",
            }

        return self._persist(Call.DELETE, send)

    def get_images(self, start: str | None = None, count: int | None = None) -> ListAnswer:
        """Return one page of the listing, newest first, beginning with the image ``start``."""
        return self.retry(Call.LIST, lambda inner: inner.get_images(start, count))

    def images(self) -> Iterator[ListedImage]:
        """Yield every image of the collection once. Each page is retried separately."""
        return list_all(self._get_page, self._limits)

    def _get_page(self, start: str | None) -> ListAnswer:
        return self.get_images(start, self._limits.page_images)

    def prepare_searches(self, image_ids: Iterable[str]) -> None:
        """Let the collection prepare the searches for these images, if it can. Never fails: the
        searches themselves do."""
        if isinstance(self._inner, PreparesSearches):
            with suppress(CollectionError):
                self._inner.prepare_searches(image_ids)

    @property
    def lists_times(self) -> bool:
        """Whether the collection's listing contains the time when an image's bytes last changed."""
        return not isinstance(self._inner, NamesAll)

    def image_times(
        self,
        known: Container[str] = frozenset(),
        is_wanted: Callable[[str], bool] = lambda _image_id: True,
    ) -> dict[str, str]:
        """Read the whole listing. Return the IDs of the images that are ``known`` or wanted. The
        value of a known image is the time when its bytes last changed; all others have an empty
        text.

        Raises ``ExcessiveAnswer`` if more wanted images are unknown than the limit allows.
        """
        times: dict[str, str] = {}
        unknown = 0
        for image in read_pages(self._get_page, self._limits):
            image_id = image["id"]
            if image_id in known:
                times[image_id] = image["image_time"]
            elif image_id not in times and is_wanted(image_id):
                times[image_id] = ""
                unknown += 1
                if unknown > self._limits.unknown_images:
                    raise ExcessiveAnswer(
                        f"the listing is refused: it has more than {self._limits.unknown_images}"
                        " images of this owner that are not in the state file"
                    )
        return times

    def image_ids(self, after: str, most: int) -> IdRange:
        """Return the IDs of images in order: see ``NamesAll``. Only for a collection that does not
        list times."""
        inner = self._inner
        assert isinstance(inner, NamesAll)
        return self.retry(Call.LIST, lambda _inner: inner.image_ids(after, most))

    def search_images_by_id(self, image_id: str, limit: int | None = None) -> SearchByIdAnswer:
        """Return the images similar to this image of the collection, which is not among them.
        Raises ``NotFound``."""
        return self.retry(Call.SEARCH, lambda inner: inner.search_images_by_id(image_id, limit))

    def search_images(self, image: ImageSource, limit: int | None = None) -> SearchAnswer:
        """Return the images similar to this picture."""
        with rewindable(image) as source:
            return self.retry(Call.SEARCH, lambda inner: inner.search_images(source(), limit))

    def outdated(self, owner: str | None = None, after: str | None = None) -> OutdatedAnswer:
        """Return one page of the images that an older version described: see ``Renewable``. Raises
        ``NotFound`` if the collection does not offer this."""
        inner = self._inner
        if not isinstance(inner, Renewable):
            raise NotFound("this collection does not list outdated images")
        return self.retry(Call.LIST, lambda _inner: inner.outdated(owner, after))

    def changes(self, since: int | None, owner: str) -> ChangesAnswer:
        """Return one page of what other owners added: see ``ReportsChanges``. This is not retried:
        whoever asks will ask again, and it must not delay searches. Raises ``NotFound`` if the
        collection does not offer this."""
        inner = self._inner
        if not isinstance(inner, ReportsChanges):
            raise NotFound("this collection does not report changes")
        with self._count(Call.LIST):
            return inner.changes(since, owner)

    def set_label(self, image_id: str, label: str | None) -> ImageAnswer:
        """Set the label of an image: see ``Labelled``. This is not retried, so that it delays
        nothing else, except if it is too early."""
        inner = self._inner
        if not isinstance(inner, Labelled):
            raise NotFound("this collection does not offer labels")
        try:
            with self._count(Call.UPDATE):
                return inner.set_label(image_id, label)
        except Unavailable as error:
            if error.status != _TOO_EARLY:
                raise
        self._breaker.pause(_TOO_EARLY_SECONDS)
        with self._count(Call.UPDATE, again=True):
            return inner.set_label(image_id, label)

    def renew_image(self, image_id: str, image: ImageSource) -> ImageAnswer:
        """Send an image's bytes so that the collection describes them again: see ``Renewable``."""
        inner = self._inner
        if not isinstance(inner, Renewable):
            raise NotFound("this collection does not describe images again")
        with rewindable(image) as source:
            return self.retry(Call.UPDATE, lambda _inner: inner.renew_image(image_id, source()))

    def retry(self, kind: Call, request: Callable[[ImageCollection], T]) -> T:
        """Call ``request`` with the wrapped collection, retry it like any other call, and return
        its result. An error that is not a ``CollectionError`` is not retried."""
        return self._persist(kind, lambda _may_have_run: request(self._inner))

    def _persist(self, kind: Call, send: Callable[[bool], T]) -> T:
        """Call ``send``, retry it if necessary, and return its result. Its argument is whether an
        earlier attempt may have taken effect. Raises the last error, and ``Stopped``."""
        call = _Attempts(kind, send)
        try:
            return self._attempt(call)
        except CollectionError as error:
            if not _may_succeed_later(error) or self._has_no_attempt(call):
                raise
        # Imported late: most processes never retry a call.
        import tenacity

        self._breaker.pause(self._pause_after(call))
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_may_succeed_later),
            stop=lambda _state: self._has_no_attempt(call),
            wait=lambda _state: self._pause_after(call),
            sleep=self._breaker.pause,
            reraise=True,
        )
        result: T = retrying(self._attempt, call)
        return result

    def _has_no_attempt(self, call: _Attempts[T]) -> bool:
        return call.failures >= self._breaker.policy.attempts

    def _pause_after(self, call: _Attempts[T]) -> float:
        """Return the seconds to wait after a failed attempt: 0 during an outage, when the circuit
        breaker waits."""
        if call.met_outage:
            return 0.0
        return max(call.retry_after, self._breaker.delay(call.failures))

    def _attempt(self, call: _Attempts[T]) -> T:
        with self._breaker.permit() as permit:
            # A call that itself takes the service down looks like an outage, and an outage looks
            # like a call that always fails. To distinguish them, another call must succeed before
            # the last attempt. If the last attempt then fails, the cause is this call.
            is_last = 0 < call.failures == self._breaker.policy.attempts - 1
            if is_last:
                self._check_service(call, permit)
            try:
                with self._count(call.kind, again=call.failures > 0):
                    result = call.send()
            except CollectionError as error:
                # If a probe is answered with 500, the service has not recovered.
                call.met_outage = is_outage(error) or (permit.is_probe and not error.permanent)
                if not call.met_outage:
                    self._breaker.record_answer(permit)
                elif not is_last or error.concerns_all:
                    self._breaker.record_failure(error, permit)
                raise
            self._breaker.record_answer(permit)
            return result

    def _check_service(self, call: _Attempts[T], permit: Permit) -> None:
        """Send a small request. Raises the error if the service is down."""
        try:
            with self._count(Call.LIST):
                self._inner.get_images(count=1)
        except CollectionError as error:
            if not error.permanent:
                call.met_outage = True
                self._breaker.record_failure(error, permit)
                raise
        self._breaker.record_answer(permit)

    def _count(self, kind: Call, *, again: bool = False) -> AbstractContextManager[None]:
        return self._counters.request(kind, self._breaker.clock.boottime, again=again)


class _Attempts(Generic[T]):
    """The attempts of one call. ``failures``: how many attempts failed, without those for which
    every other call would have failed too. ``met_outage`` and ``retry_after`` (seconds) are about
    the last attempt."""

    def __init__(self, kind: Call, send: Callable[[bool], T]) -> None:
        self.kind = kind
        self._send = send
        self._may_have_run = False
        self.failures = 0
        self.met_outage = False
        self.retry_after = 0.0

    def send(self) -> T:
        try:
            return self._send(self._may_have_run)
        except CollectionError as error:
            if not error.concerns_all:
                self.failures += 1
            self.retry_after = error.retry_after or 0.0
            # For any other error, the service may already have carried out the request.
            did_not_run = isinstance(error, NotConnected) or error.status == _TOO_EARLY
            self._may_have_run = self._may_have_run or not did_not_run
            raise


def _may_succeed_later(error: BaseException) -> bool:
    """Whether to try again. After an outage that lasted too long, the circuit breaker has already
    waited."""
    return isinstance(error, CollectionError) and not (error.permanent or error.outage)


def is_outage(error: CollectionError) -> bool:
    """Whether this error indicates that the whole service has failed, not only this request."""
    if isinstance(error, Unavailable):
        if error.status == _TOO_EARLY:
            return False
        has_outage_status = error.status in _OUTAGE_STATUSES
        return has_outage_status or error.retry_after is not None or error.concerns_all
    return isinstance(error, Unreachable | BadAnswer) and not error.permanent
