"""Which stored pictures are like this one: an index in memory that follows the store.

Importing this imports numpy and Pillow.

An image's moment is never given twice, so the index need only ask for what is after the last one
it has seen; and a code whose image is gone or has changed, here or in another process, can never
be taken for another's: it is dropped when a search comes upon it.
"""

from __future__ import annotations

import threading

import numpy as np

from snoopsync.embedded.decode import features_of
from snoopsync.embedded.features import CODE_BYTES, Features
from snoopsync.embedded.index import CodeIndex
from snoopsync.embedded.source import Body
from snoopsync.embedded.store import Store, StoredCodes, StoredImage

#: The largest distance, in bits, that is still a match: the last one at which 90 million pairs of
#: distinct photographs had no false one.
MAX_RANK = 75

_FOLLOW_ROWS = 2_048


class Likeness:
    """Finds stored pictures by what they look like. Any thread may."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._index = CodeIndex()
        self._seen = 0

    def __len__(self) -> int:
        """How many codes are in memory."""
        with self._lock:
            return len(self._index)

    def look_at(self, body: Body) -> Features:
        """What this picture looks like. Raises ``Refused`` if it can't be decoded."""
        return features_of(body)

    def matches(self, features: Features) -> list[tuple[StoredImage, int]]:
        """The images like this one, each with its rank, the most alike first.

        Rank 0 is the same picture; above that it is the distance in bits, of whichever form of the
        one, with or without its borders, comes nearest to the other.
        """
        ranks = {moment: max(1, bits) for moment, bits in self._near(features).items()}
        ranks.update(dict.fromkeys(self._store.same_as(features), 0))
        found = self._store.at(list(ranks))
        for gone in ranks.keys() - {stored.moment for stored in found}:
            self.forget(gone)
        ranked = [(stored, ranks[stored.moment]) for stored in found]
        return sorted(ranked, key=lambda pair: (pair[1], pair[0].image_id))

    def forget(self, moment: int) -> None:
        """The image of this moment is gone from the store."""
        with self._lock:
            self._index.remove(moment)

    def _near(self, features: Features) -> dict[int, int]:
        if not features.codes:
            return {}
        queries = np.frombuffer(features.codes + features.trimmed, np.uint8)
        with self._lock:
            self._follow()
            return self._index.search(queries.reshape(-1, CODE_BYTES), MAX_RANK)

    def _follow(self) -> None:
        while rows := self._store.codes_after(self._seen, _FOLLOW_ROWS):
            self._add(rows)
            self._seen = rows[-1].moment

    def _add(self, rows: list[StoredCodes]) -> None:
        pairs = [(row.moment, code) for row in rows for code in (row.code, row.trimmed) if code]
        self._index.add(
            np.array([moment for moment, _ in pairs], np.int64),
            np.frombuffer(b"".join(code for _, code in pairs), np.uint8).reshape(-1, CODE_BYTES),
        )
