"""Clients that change a collection, and remember what they were told."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from snoopsync.client.circuit_breaker import CircuitBreaker
from snoopsync.client.collection import Collection
from snoopsync.client.retrying import RetryingCollection
from snoopsync.core.errors import CollectionError, NotFound
from tests.support.pictures import encode, photo

_SIZE = (96, 72)

#: A client rests between two rounds of calls.
_REST_SECONDS = 0.005


def picture(number: int) -> bytes:
    """A picture unlike that of any other number."""
    return encode(photo(number, _SIZE))


@dataclass(slots=True)
class Ledger:
    """What a client knows of its images: those that the service said it has, those that it said
    are deleted, and those about which it gave no clear answer. The value is the picture's
    number."""

    stored: dict[str, int] = field(default_factory=dict)
    deleted: dict[str, int] = field(default_factory=dict)
    unknown: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Answers:
    """What a client met in one phase. ``answered_at``: when each answer came (monotonic seconds).
    ``stale``: answers that contradict earlier ones."""

    answered_at: list[float] = field(default_factory=list)
    slowest_seconds: float = 0.0
    changes: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    stale: list[str] = field(default_factory=list)

    def add(self, other: Answers) -> None:
        self.answered_at += other.answered_at
        self.slowest_seconds = max(self.slowest_seconds, other.slowest_seconds)
        self.changes += other.changes
        self.errors += other.errors
        self.stale += other.stale

    @contextmanager
    def call(self) -> Iterator[None]:
        """Count what comes of one request. Raises its error."""
        began = time.monotonic()
        try:
            yield
        except CollectionError as error:
            status = getattr(error, "status", None)
            self.errors[str(status or type(error).__name__)] += 1
            raise
        finally:
            self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - began)
        self.answered_at.append(time.monotonic())


class Client:
    """Adds, searches, lists and deletes. ``retries``: as the service of snoopsync does."""

    def __init__(
        self, keys: tuple[str, str], endpoint: str, number: int, seed: int, *, retries: bool
    ) -> None:
        self.ledger = Ledger()
        self.retries = retries
        self._keys = keys
        self._endpoint = endpoint
        self._name = f"client{number}"
        self._dice = random.Random(f"{seed} {number}")
        self._next = 1_000_000 * (1000 * seed + number)

    def work(self, over: threading.Event) -> Answers:
        """All calls in turn, until ``over`` is set."""
        answers = Answers()
        plain = Collection(*self._keys, self._endpoint, timeout=20.0)
        with RetryingCollection(plain, CircuitBreaker()) if self.retries else plain as collection:
            rounds: tuple[Callable[[RetryingCollection | Collection, Answers], None], ...]
            rounds = (self._add, self._search, self._add, self._list, self._delete)
            while not over.is_set():
                for call in rounds:
                    try:
                        call(collection, answers)
                    except CollectionError:
                        over.wait(0.1)  # it is counted
                    if over.wait(_REST_SECONDS):
                        break
        return answers

    def _add(self, collection: RetryingCollection | Collection, answers: Answers) -> None:
        self._next += 1
        number, image_id = self._next, f"{self._name}.{self._next}"
        self.ledger.unknown[image_id] = number
        with answers.call():
            collection.add_image(picture(number), image_id)
        answers.changes += 1
        self.ledger.stored[image_id] = self.ledger.unknown.pop(image_id)

    def _delete(self, collection: RetryingCollection | Collection, answers: Answers) -> None:
        image_id = self._any()
        if image_id is None:
            return
        number = self.ledger.unknown[image_id] = self.ledger.stored.pop(image_id)
        with answers.call():
            collection.delete_image(image_id)
        answers.changes += 1
        self.ledger.deleted[image_id] = self.ledger.unknown.pop(image_id)
        with answers.call():
            found = collection.search_images(picture(number), 10)["results"]
        if image_id in {each["id"] for each in found}:
            answers.stale.append(f"{image_id} was found after its deletion")

    def _search(self, collection: RetryingCollection | Collection, answers: Answers) -> None:
        image_id = self._any()
        if image_id is None:
            return
        with answers.call():
            found = collection.search_images(picture(self.ledger.stored[image_id]), 10)["results"]
        if image_id not in {each["id"] for each in found}:
            answers.stale.append(f"{image_id} was not found by its picture")

    def _list(self, collection: RetryingCollection | Collection, answers: Answers) -> None:
        newest = next(reversed(self.ledger.stored), None)
        if newest is None:
            return
        with answers.call():
            listed = collection.get_images(count=1000)["images"]
        if newest not in {each["id"] for each in listed}:
            answers.stale.append(f"{newest} was not listed after its addition")

    def _any(self) -> str | None:
        stored = self.ledger.stored
        return self._dice.choice(list(stored)) if stored else None


def all_work(clients: list[Client], fault: Callable[[threading.Event], None]) -> list[Answers]:
    """Let all clients work until ``fault`` returns. Its event is set if a client breaks."""
    over, broken, found = threading.Event(), threading.Event(), [Answers() for _ in clients]

    def work(number: int) -> None:
        try:
            found[number] = clients[number].work(over)
        except BaseException:
            broken.set()
            raise

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(clients))]
    for thread in threads:
        thread.start()
    try:
        fault(broken)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert not broken.is_set(), "a client has a bug"
    return found


def losses(endpoint: str, keys: tuple[str, str], clients: list[Client], most: int) -> list[str]:
    """What a node does not have although it was confirmed, or has although its deletion was. The
    pictures of up to ``most`` images of each kind are searched for."""
    stored = {name: each for client in clients for name, each in client.ledger.stored.items()}
    deleted = {name: each for client in clients for name, each in client.ledger.deleted.items()}
    unknown = {name for client in clients for name in client.ledger.unknown}
    with Collection(*keys, endpoint, timeout=20.0) as collection:
        listed = {each["id"] for each in collection.images()}
        lost = [f"{each} is not listed" for each in stored.keys() - listed]
        lost += [f"{each} is listed after its deletion" for each in deleted.keys() & listed]
        lost += [f"{each} was never added" for each in listed - stored.keys() - unknown]
        dice = random.Random(len(stored))
        for images, are_stored in ((stored, True), (deleted, False)):
            for name in dice.sample(sorted(images), min(most, len(images))):
                found = collection.search_images(picture(images[name]), 10)["results"]
                if (name in {each["id"] for each in found}) is not are_stored:
                    lost.append(f"{name} is {'not ' if are_stored else ''}found by its picture")
                with _not_found(not are_stored):
                    collection.get_image(name)
    return lost


@contextmanager
def _not_found(is_expected: bool) -> Iterator[None]:
    try:
        yield
    except NotFound:
        if not is_expected:
            raise
