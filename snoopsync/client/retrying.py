"""The coat around a collection that tries again, so that whoever wears it meets fewer errors.

It asks an error one question, ``permanent``, and owns all the waiting. It may send a request again
because a second time does no harm: the IDs are made here, and what an earlier attempt may have
done already is taken for done.
"""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Callable, Container, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Generic, Self, TypeVar

import tenacity

from snoopsync.client.circuit_breaker import Clock, Gate, Outage, OutOfPatience, Pass, RetryPolicy
from snoopsync.client.paging import PAGE_IMAGES, listed, walk
from snoopsync.client.sources import repeatable
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
    ImageAnswer,
    ImageCollection,
    ImageSource,
    ListAnswer,
    ListedImage,
    NamesAll,
    OutdatedAnswer,
    Renewable,
    SearchAnswer,
    SearchByIdAnswer,
)
from snoopsync.runtime.counters import Call, Counters

T = TypeVar("T")

#: Statuses that a service, or the gateway before it, has when it is down as a whole. 520 to 530 are
#: those of a content delivery network that can't reach it; 511 is a network that wants a login.
_DOWN = frozenset({429, 502, 503, 504, 511, *range(520, 531)})

#: A service that takes a signature once says so of a second one with the same date: to come again
#: a second later is this request's affair alone.
_TOO_EARLY = 425

#: So many images are kept of a listing that were not known before. Each takes up to 300 bytes.
MOST_UNKNOWN_IMAGES = 2_000_000

#: The status of an image that was not there before.
_CREATED = 201


class RetryingCollection:
    """An ``ImageCollection`` around another one. Its threads share one gate (see ``outage``).

    When ``stop`` is set, calls that wait raise ``Stopped``, and so does every new one. ``clock``,
    ``random`` (0 to 1) and ``new_id`` are for tests. ``service`` is what is down, in the log, when
    these calls fail; while those of the coat that it is ``behind`` do, they wait. ``counters``
    counts the requests.
    """

    def __init__(
        self,
        inner: ImageCollection,
        *,
        stop: threading.Event | None = None,
        policy: RetryPolicy | None = None,
        clock: Clock | None = None,
        random: Callable[[], float] = random.random,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
        service: str = "the collection",
        behind: RetryingCollection | None = None,
        counters: Counters | None = None,
    ) -> None:
        self._inner = inner
        self._policy = policy or RetryPolicy()
        self._clock = clock or Clock()
        self._random = random
        self._new_id = new_id
        self._counters = counters or Counters()
        self._gate: Gate = Gate(
            self._policy,
            stop or threading.Event(),
            self._clock,
            random,
            service,
            behind._gate if behind is not None else None,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the collection inside."""
        self._inner.close()

    def tell_counts(self) -> None:
        """Log how many outages were only counted."""
        self._gate.tell_counts()

    @property
    def outage(self) -> Outage | None:
        """The outage that calls are waiting for, while there is one."""
        return self._gate.outage

    @property
    def id(self) -> str:
        """The collection's ID."""
        return self._persist(Call.SESSION, lambda _again: self._inner.id)

    @property
    def name(self) -> str:
        """The collection's name."""
        return self._persist(Call.SESSION, lambda _again: self._inner.name)

    @property
    def user(self) -> str:
        """Whose it is."""
        return self._persist(Call.SESSION, lambda _again: self._inner.user)

    def add_image(
        self, image: ImageSource, image_id: str | None = None, update_existing: bool = False
    ) -> ImageAnswer:
        """Add or update an image, as ``ImageCollection`` says.

        Without an ID one is made here, so that an attempt whose answer was lost leaves no second
        image behind. A conflict after such an attempt is with ourselves: the image is updated with
        the same bytes. A path is opened anew for every attempt, a file rewound to where it stood.
        """
        if image_id is None and not update_existing:
            image_id = self._new_id()
        with repeatable(image) as source:

            def send(again: bool) -> ImageAnswer:
                try:
                    return self._inner.add_image(source(), image_id, update_existing)
                except Conflict:
                    if not again:
                        raise
                return self._inner.add_image(source(), image_id, update_existing=True)

            return self._persist(Call.UPDATE if update_existing else Call.ADD, send)

    def get_image(self, image_id: str) -> ImageAnswer:
        """Is it there? Raises ``NotFound`` if not."""
        return self._persist(Call.GET, lambda _again: self._inner.get_image(image_id))

    def delete_image(self, image_id: str) -> ImageAnswer:
        """Remove it. Raises ``NotFound`` if it was not there before the first attempt."""

        def send(again: bool) -> ImageAnswer:
            try:
                return self._inner.delete_image(image_id)
            except NotFound:
                if not again:
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
        """One page of the listing, from the image ``start`` on, newest first."""
        return self._persist(Call.LIST, lambda _again: self._inner.get_images(start, count))

    def images(self) -> Iterator[ListedImage]:
        """Every image of the collection; each page is tried on its own."""
        return listed(lambda start: self.get_images(start, PAGE_IMAGES))

    @property
    def lists_times(self) -> bool:
        """Does naming all images tell when their bytes last changed?"""
        return not isinstance(self._inner, NamesAll)

    def image_times(
        self,
        known: Container[str] = frozenset(),
        is_wanted: Callable[[str], bool] = lambda _image_id: True,
    ) -> dict[str, str]:
        """The IDs of all images, page by page. Only the images are kept that are ``known`` or
        wanted: the known ones with the time when their bytes last changed, all others with an empty
        text.

        Raises ``ExcessiveAnswer`` for more than ``MOST_UNKNOWN_IMAGES`` that are wanted and not
        known: so a listing takes no more memory than that.
        """
        times: dict[str, str] = {}
        unknown = 0
        for image in walk(lambda start: self.get_images(start, PAGE_IMAGES)):
            image_id = image["id"]
            if image_id in known:
                times[image_id] = image["image_time"]
            elif image_id not in times and is_wanted(image_id):
                times[image_id] = ""
                unknown += 1
                if unknown > MOST_UNKNOWN_IMAGES:
                    raise ExcessiveAnswer(
                        f"the listing is refused: it has more than {MOST_UNKNOWN_IMAGES} images of"
                        " ours that the state file does not know"
                    )
        return times

    def image_ids(self, after: str, most: int) -> list[str]:
        """The IDs of all images in order, as ``NamesAll`` says. Only for a collection that does not
        list times."""
        inner = self._inner
        assert isinstance(inner, NamesAll)
        return self._persist(Call.LIST, lambda _again: inner.image_ids(after, most))

    def search_images_by_id(self, image_id: str) -> SearchByIdAnswer:
        """Images like one of the collection, itself left out. Raises ``NotFound``."""
        return self._persist(Call.SEARCH, lambda _again: self._inner.search_images_by_id(image_id))

    def search_images(self, image: ImageSource) -> SearchAnswer:
        """Images like this one."""
        with repeatable(image) as source:
            return self._persist(Call.SEARCH, lambda _again: self._inner.search_images(source()))

    def outdated(self, owner: str | None = None, after: str | None = None) -> OutdatedAnswer:
        """One page of the images that an older version has described, as ``Renewable`` says.
        Raises ``NotFound`` if the collection does not offer that."""
        inner = self._inner
        if not isinstance(inner, Renewable):
            raise NotFound("this collection does not tell what is outdated")
        return self._persist(Call.LIST, lambda _again: inner.outdated(owner, after))

    def renew_image(self, image_id: str, image: ImageSource) -> ImageAnswer:
        """Have an image described again, by its own bytes, as ``Renewable`` says."""
        inner = self._inner
        if not isinstance(inner, Renewable):
            raise NotFound("this collection describes no image again")
        with repeatable(image) as source:
            return self._persist(Call.UPDATE, lambda _again: inner.renew_image(image_id, source()))

    def insist(self, kind: Call, request: Callable[[ImageCollection], T]) -> T:
        """Send a request of the caller's making as patiently as any other. It is called for every
        attempt, after all waiting, with the collection inside; what else it raises ends it."""
        return self._persist(kind, lambda _again: request(self._inner))

    def _persist(self, kind: Call, send: Callable[[bool], T]) -> T:
        """What ``send`` returns, in the end. It is told whether an earlier attempt may have been
        carried out. Raises the last error, and ``Stopped``."""
        call = _Call(kind, send)
        tries = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_may_pass),
            stop=lambda _state: call.failures >= self._policy.attempts,
            wait=lambda _state: self._pause(call),
            sleep=self._gate.pause,
            reraise=True,
        )
        try:
            result: T = tries(self._attempt, call)
            return result
        except OutOfPatience as out:
            error = out.error
        raise error

    def _attempt(self, call: _Call[T]) -> T:
        with self._gate.passage() as sent:
            # A call that brings the service down looks like an outage to itself, and a service that
            # can't do anything like a call that it can't do. So the last attempt is kept until
            # something else was answered; its failure is the call's own then.
            is_last = 0 < call.failures == self._policy.attempts - 1
            if is_last:
                self._ask_something_light(call, sent)
            try:
                with self._counters.request(
                    call.kind, self._clock.monotonic, again=call.failures > 0
                ):
                    result = call.send()
            except CollectionError as error:
                # A probe that is answered 500 has not found the service any better.
                call.was_down = _is_down(error) or (sent.probe and not error.permanent)
                if not call.was_down:
                    self._gate.answered(sent)
                elif not is_last or error.concerns_all:
                    self._gate.failed(error, sent)
                raise
            self._gate.answered(sent)
            return result

    def _ask_something_light(self, call: _Call[T], sent: Pass) -> None:
        """Raises what a service raises that is down."""
        try:
            with self._counters.request(Call.LIST, self._clock.monotonic, again=False):
                self._inner.get_images(count=1)
        except CollectionError as error:
            if not error.permanent:
                call.was_down = True
                self._gate.failed(error, sent)
                raise
        self._gate.answered(sent)

    def _pause(self, call: _Call[T]) -> float:
        if call.was_down:
            return 0.0  # the gate has its own
        return max(call.wanted_pause, self._policy.pause(call.failures, self._random()))


class _Call(Generic[T]):
    """One call through all of its attempts."""

    def __init__(self, kind: Call, send: Callable[[bool], T]) -> None:
        self.kind = kind
        self._send = send
        self._again = False
        self.failures = 0
        self.was_down = False
        self.wanted_pause = 0.0

    def send(self) -> T:
        try:
            return self._send(self._again)
        except CollectionError as error:
            # What would fail with every other call too is no failure of this one, however often.
            if not error.concerns_all:
                self.failures += 1
            self.wanted_pause = error.retry_after or 0.0
            # Any answer can come after the deed, but for one that says that it was not considered;
            # and without a connection there was none.
            was_heard = not isinstance(error, NotConnected) and error.status != _TOO_EARLY
            self._again = self._again or was_heard
            raise


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, CollectionError) and not error.permanent


def _is_down(error: CollectionError) -> bool:
    """Is it the service that has failed, as far as one sees, and not only this request?"""
    if isinstance(error, Unavailable):
        if error.status == _TOO_EARLY:
            return False
        return error.status in _DOWN or error.retry_after is not None or error.concerns_all
    return isinstance(error, Unreachable | BadAnswer) and not error.permanent


def put_image(
    collection: ImageCollection, image_id: str, image: ImageSource, *, expected: bool
) -> ImageAnswer:
    """Make the collection hold these bytes under this ID, whether it has the ID or not.

    ``expected`` says whether it should have: the guess only decides what is tried first.
    """
    with repeatable(image) as source:
        with suppress(NotFound if expected else Conflict):
            answer = collection.add_image(source(), image_id, update_existing=expected)
            # Adding never overwrites: who has the ID may say 200 as well, and keep the old bytes.
            if expected or answer["status"] == _CREATED:
                return answer
        return collection.add_image(source(), image_id, update_existing=not expected)


def remove_image(collection: ImageCollection, image_id: str) -> bool:
    """Make the collection not hold this ID. Returns whether it did."""
    try:
        collection.delete_image(image_id)
    except NotFound:
        return False
    return True
