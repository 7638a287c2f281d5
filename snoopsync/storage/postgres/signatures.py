"""The signatures that all nodes have accepted."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter

from snoopsync.storage.hosting import (
    MAX_SIGNATURES_PER_KEY,
    WINDOW_SECONDS,
    send_again,
    too_many_changes,
)
from snoopsync.storage.postgres.history import TABLE
from snoopsync.storage.postgres.pool import Pool

#: How often signatures are removed whose date is too old anyway.
_CLEANING_SECONDS = 30


class PostgresSignatures:
    """A ``SignatureHistory`` that all nodes share. For any number of threads.

    Each node counts by itself how many signatures of a key it has accepted, because counting rows
    would take longer than the change.
    """

    def __init__(self, pool: Pool, most_signatures: int = MAX_SIGNATURES_PER_KEY) -> None:
        """A node accepts ``most_signatures`` of a key before it has to wait."""
        self._pool = pool
        self._most_signatures = most_signatures
        self._lock = threading.Lock()
        #: How many signatures of a key were accepted, by the second of their date.
        self._accepted: dict[str, Counter[int]] = {}
        self._cleaned_at = 0

    @property
    def remembers_since(self) -> float:
        """When the database got its present history: a failover or a backup may have lost
        signatures from before."""
        return self._pool.history.began

    def accept(self, public_key: str, signature: str, sent_at: float, now: float) -> None:
        """As in ``SignatureHistory``."""
        second = int(sent_at)
        oldest = int(now - WINDOW_SECONDS) - 1
        self._require_few(public_key, oldest, now)
        has_to_clean = self._has_to_clean(int(now))
        digest = hashlib.blake2b(signature.encode(), digest_size=16).digest()
        with self._pool.connection() as connection:
            if has_to_clean:
                connection.execute("DELETE FROM signature WHERE second < %s", (oldest,))
            added = connection.execute(
                "INSERT INTO signature (second, public_key, digest) VALUES (%s, %s, %s)"
                f" ON CONFLICT DO NOTHING RETURNING {TABLE}",
                (second, public_key, digest),
            ).fetchone()
            if added is not None:
                self._pool.history.notice_restore(connection, added[0])
        if added is None:
            raise send_again("this request was sent before")
        with self._lock:
            self._accepted.setdefault(public_key, Counter())[second] += 1

    def _require_few(self, public_key: str, oldest: int, now: float) -> None:
        with self._lock:
            counts = self._accepted.get(public_key)
            if counts is None or counts.total() < self._most_signatures:
                return
            for second in [each for each in counts if each < oldest]:
                del counts[second]
            if counts.total() >= self._most_signatures:
                raise too_many_changes(
                    self._most_signatures, min(counts) + 2 + WINDOW_SECONDS - now
                )

    def _has_to_clean(self, now: int) -> bool:
        with self._lock:
            if abs(now - self._cleaned_at) < _CLEANING_SECONDS:
                return False
            self._cleaned_at = now
            oldest = int(now - WINDOW_SECONDS) - 1
            for key, counts in list(self._accepted.items()):
                for second in [each for each in counts if each < oldest]:
                    del counts[second]
                if not counts:
                    del self._accepted[key]
            return True
