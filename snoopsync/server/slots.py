"""Shares a fixed number of slots fairly between keys."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque


class FairSlots:
    """A fixed number of slots that keys take turns to use. For one event loop.

    Free slots go to the keys with waiting requests in turn (round-robin): a key with ten waiting
    requests gets one slot for each slot that another key gets. If there are several slots, no key
    has all of them: a key with slow requests leaves one for the others.
    """

    def __init__(self, count: int) -> None:
        """``count`` slots, at least 1."""
        self._free = count
        self._most_per_key = max(1, count - 1)
        self._held = Counter[str]()
        #: The waiting requests by key. The key whose turn is next comes first.
        self._waiting: OrderedDict[str, deque[Slot]] = OrderedDict()

    @property
    def waiting(self) -> int:
        """The number of requests that wait for a slot. Any thread may ask."""
        return sum(len(slots) for slots in list(self._waiting.values()))

    def request(self, key: str) -> Slot:
        """Request a slot for this key. It is granted at once if one is free, else in turn. The end
        of its ``with`` releases the slot, or cancels the request."""
        slot = Slot(self, key)
        self._waiting.setdefault(key, deque()).append(slot)
        self._grant()
        return slot

    def release(self, slot: Slot) -> None:
        """Release a slot that was granted, or cancel a request that waits."""
        if slot.is_held:
            slot.is_held = False
            self._free += 1
            self._held[slot.key] -= 1
            if not self._held[slot.key]:
                del self._held[slot.key]
            self._grant()
            return
        slot.granted.cancel()
        waiting = self._waiting.get(slot.key, deque())
        if slot in waiting:
            waiting.remove(slot)
            if not waiting:
                del self._waiting[slot.key]

    def _grant(self) -> None:
        while self._free and (key := self._next_key()) is not None:
            waiting = self._waiting[key]
            slot = waiting.popleft()
            if waiting:
                self._waiting.move_to_end(key)
            else:
                del self._waiting[key]
            if not slot.granted.cancelled():  # the task that waited was cancelled
                self._free -= 1
                self._held[key] += 1
                slot.is_held = True
                slot.granted.set_result(None)

    def _next_key(self) -> str | None:
        return next((key for key in self._waiting if self._held[key] < self._most_per_key), None)


class Slot:
    """One request for a slot. The future ``granted`` is done when the slot is granted."""

    def __init__(self, slots: FairSlots, key: str) -> None:
        self._slots = slots
        self.key = key
        self.is_held = False
        self.granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def __enter__(self) -> Slot:
        return self

    def __exit__(self, *_: object) -> None:
        self._slots.release(self)
