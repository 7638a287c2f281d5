"""The signatures that this process has accepted, in memory."""

from __future__ import annotations

import hashlib
import threading

from snoopsync.core.errors import Unavailable
from snoopsync.storage.hosting import (
    MAX_SIGNATURES_PER_KEY,
    WINDOW_SECONDS,
    send_again,
    too_many_changes,
)


class MemorySignatures:
    """A ``SignatureHistory`` of one process. For any number of threads."""

    def __init__(
        self, remembers_since: float, most_signatures: int = MAX_SIGNATURES_PER_KEY
    ) -> None:
        """``remembers_since`` is Unix seconds: when the process started. ``most_signatures`` are
        remembered for each key."""
        self._remembers_since = remembers_since
        self._most_signatures = most_signatures
        self._histories: dict[str, _History] = {}

    @property
    def remembers_since(self) -> float:
        """When the process started."""
        return self._remembers_since

    def accept(self, public_key: str, signature: str, sent_at: float, now: float) -> None:
        """As in ``SignatureHistory``."""
        history = self._histories.setdefault(public_key, _History(self._most_signatures))
        history.add(signature, now, int(sent_at))


class _History:
    """The accepted signatures of one key, until their date is too old anyway."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._count = 0
        self._cleaned_at = 0
        #: Grouped by the second of their date, so that they are removed together.
        self._accepted: dict[int, set[bytes]] = {}

    def add(self, signature: str, now: float, second: int) -> None:
        digest = hashlib.blake2b(signature.encode(), digest_size=16).digest()
        with self._lock:
            self._remove_old(now)
            if digest in self._accepted.get(second, ()):
                raise send_again("this request was sent before")
            if self._count >= self._most:
                raise self._too_many(now)
            self._accepted.setdefault(second, set()).add(digest)
            self._count += 1

    def _remove_old(self, now: float) -> None:
        if int(now) == self._cleaned_at:
            return
        self._cleaned_at = int(now)
        old = [each for each in self._accepted if each + 1 + WINDOW_SECONDS < now]
        for second in old:
            self._count -= len(self._accepted.pop(second))

    def _too_many(self, now: float) -> Unavailable:
        wait = min(self._accepted) + 2 + WINDOW_SECONDS - now
        return too_many_changes(self._most, wait)
