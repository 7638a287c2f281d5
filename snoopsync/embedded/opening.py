"""Opens the embedded collection in a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from snoopsync.embedded.collection import EmbeddedCollection, random_id
from snoopsync.runtime.workers import CORES
from snoopsync.storage.sqlite.images import SqliteImageStore
from snoopsync.storage.sqlite.schema import BUSY_SECONDS

#: How many threads should add images at once: some give pictures to the decoders, the others wait
#: for a commit, which they share.
ADDING_THREADS = 4 * min(CORES, 4)


def open_embedded(
    path: Path,
    *,
    busy_seconds: float = BUSY_SECONDS,
    new_id: Callable[[], str] = random_id,
    **options: Any,
) -> EmbeddedCollection:
    """The collection in this file. A missing file is created with access for this user only, and
    with an ID from ``new_id``.

    ``busy_seconds``: how long a change waits for another process. ``options`` are those of
    ``EmbeddedCollection``. Raises ``Unavailable`` if the file can't be used.
    """
    store = SqliteImageStore(path, new_id, busy_seconds)
    return EmbeddedCollection(store, new_id=new_id, **options)
