"""Honest clients, and how long they wait."""

from __future__ import annotations

import io
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from snoopsync.client.collection import Collection
from tests.support.pictures import encode, photo

#: A client rests between two rounds of calls.
_REST_SECONDS = 0.02

CALLS = ("list", "get", "add", "search")


@dataclass(slots=True)
class Times:
    """What honest clients met. ``seconds`` that each call took, and the ``errors``."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: list[str] = field(default_factory=list)

    def add(self, other: Times) -> None:
        for call, seconds in other.seconds.items():
            self.seconds[call] += seconds
        self.errors += other.errors

    def percentile(self, call: str, percent: float) -> float:
        """So many percent of these calls took no longer."""
        ordered = sorted(self.seconds[call])
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


class Honest:
    """One client with a key of its own."""

    def __init__(self, keys: tuple[str, str], endpoint: str, seed: int) -> None:
        self._keys = keys
        self._endpoint = endpoint
        self._pictures = [encode(photo(seed + number)) for number in range(10)]
        self._added = 0

    def begin(self) -> None:
        """Let there be an image to get."""
        with Collection(*self._keys, self._endpoint, timeout=20.0) as collection:
            collection.add_image(io.BytesIO(self._pictures[0]), "first")

    def work(self, over: threading.Event) -> Times:
        """All calls in turn, until ``over`` is set."""
        times = Times()
        with Collection(*self._keys, self._endpoint, timeout=20.0) as collection:
            while not over.is_set():
                self._added += 1
                picture = self._pictures[self._added % len(self._pictures)]
                image_id = f"added{self._added}"
                self._time(times, "list", collection.get_images)
                self._time(times, "get", lambda: collection.get_image("first"))
                add = partial(collection.add_image, picture, image_id)
                self._time(times, "add", add)
                self._time(times, "search", partial(collection.search_images, picture))
                over.wait(_REST_SECONDS)
        return times

    def _time(self, times: Times, call: str, work: Callable[[], object]) -> None:
        began = time.monotonic()
        try:
            work()
        except Exception as error:
            times.errors.append(f"{call}: {error!r}")
        times.seconds[call].append(time.monotonic() - began)


def all_work(clients: list[Honest], seconds: float) -> Times:
    """Let all of them work at once, for ``seconds``."""
    over, total, lock = threading.Event(), Times(), threading.Lock()

    def work(client: Honest) -> None:
        times = client.work(over)
        with lock:
            total.add(times)

    threads = [threading.Thread(target=work, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    try:
        over.wait(seconds)
    finally:
        over.set()
    for thread in threads:
        thread.join()
    return total
