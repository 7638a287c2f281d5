"""Opens the collections of a service, and authorizes requests to them."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from snoopsync.core.errors import Unavailable
from snoopsync.decoding.decoders import Decoders
from snoopsync.embedded import EmbeddedCollection
from snoopsync.runtime.owned_directory import own_directory, require_own_files
from snoopsync.server.http import open_file_limit
from snoopsync.server.signature import SignedRequest, Verifier
from snoopsync.storage.hosting import HostedCollection, Hosting

#: How often it is stored that a key is in use.
_USE_SECONDS = 60.0

#: Collections that are loaded at the start may use one of so many parts of the files that the
#: process may open. Connections use half, and collections that are opened later use the rest.
_PARTS_OF_FILES = 4


class Tenants:
    """The collections of a service. For any number of threads."""

    def __init__(
        self,
        incoming: Path,
        hosting: Hosting,
        verifier: Verifier,
        decoders: Decoders,
        now: Callable[[], float],
        file_limit: Callable[[], int] = open_file_limit,
    ) -> None:
        """``incoming`` is the directory for the bodies of requests. ``now`` returns Unix seconds,
        and ``file_limit`` the number of files that the process may open."""
        self.incoming = incoming
        self._hosting = hosting
        self._verifier = verifier
        self._decoders = decoders
        self._now = now
        self._file_limit = file_limit
        #: The errors of the collections that could not be loaded at the start, by name.
        self.failed: Mapping[str, Exception] = {}
        self._lock = threading.Lock()
        self._is_closed = False
        self._open: dict[str, EmbeddedCollection] = {}
        #: When the use of each key was last stored.
        self._used_at: dict[str, float] = {}
        self._clear_incoming()

    def _clear_incoming(self) -> None:
        """Delete the uploads that a crash left behind. They belong to no image."""
        require_own_files([self.incoming])
        own_directory(self.incoming)
        for left in self.incoming.iterdir():
            left.unlink()

    def require_signature(self, request: SignedRequest) -> None:
        """Raise ``Unauthorized`` for a wrong signature. Does not block."""
        self._verifier.require_signature(request)

    def authorize(self, request: SignedRequest) -> HostedCollection:
        """Return the collection that this request may use. Raises ``Unauthorized``, and
        ``Unavailable`` for a repetition."""
        hosted = self._hosting.collection_for(request.public_key)
        self._verifier.check(request, self._now(), key_exists=hosted is not None)
        assert hosted is not None  # otherwise ``check`` has raised
        self._record_use(request.public_key)
        return hosted

    def _record_use(self, public_key: str) -> None:
        """Store once a minute that a key is in use: each time costs a durable change."""
        now = self._now()
        with self._lock:
            is_recent = now - self._used_at.get(public_key, -math.inf) < _USE_SECONDS
            if not is_recent:
                self._used_at[public_key] = now
        if not is_recent:
            self._hosting.record_use(public_key, now)

    def collection(self, hosted: HostedCollection) -> EmbeddedCollection:
        """Return the collection, which is opened at its first use."""
        with self._lock:
            if self._is_closed:
                raise Unavailable("the service is stopping")
            found = self._open.get(hosted.collection_id)
            if found is None:
                found = EmbeddedCollection(
                    self._hosting.images(hosted),
                    name=hosted.name,
                    extract_features=self._decoders.extract_features,
                )
                self._open[hosted.collection_id] = found
        return found

    def open_collections(self) -> list[EmbeddedCollection]:
        """The collections that are open. Waits for nothing."""
        # Without the lock, which is held while a collection is opened.
        return list(self._open.values())

    def load_indexes(self) -> Mapping[str, Exception]:
        """Load the indexes of all collections, so that no search has to wait for that. If their
        files would be too many, load only the collections that were used last. The others are
        loaded by their first search.

        Returns the errors of the collections that can't be loaded, by name. Raises
        ``SnoopsyncError`` if no collection can be read.
        """
        errors: dict[str, Exception] = {}
        for hosted in self._last_used():
            try:
                self.collection(hosted).load_index()
            except Exception as error:  # a damaged row may raise anything
                if self._is_closed:
                    break
                self._hosting.collections()  # raises if the cause is not this collection
                errors[hosted.name] = error
        self.failed = errors
        return errors

    def _last_used(self) -> list[HostedCollection]:
        """The collections with a valid key that was used, those first that were used last. Only as
        many as may be open at once. A collection whose keys were never used is empty."""
        used_at: dict[HostedCollection, float] = {}
        keys = self._hosting.all_keys()
        # Read after the keys: a key that was just added may have a new collection.
        collections = {each.collection_id: each for each in self._hosting.collections()}
        for key in keys:
            if key.revoked_at is None and key.last_used_at is not None:
                hosted = collections[key.collection_id]
                used_at[hosted] = max(key.last_used_at, used_at.get(hosted, 0.0))
        files = self._hosting.files_per_collection
        most = self._file_limit() // _PARTS_OF_FILES // files if files else None
        return sorted(used_at, key=used_at.__getitem__, reverse=True)[:most]

    def warm_up(self) -> None:
        """Prepare for the first picture. Raises ``Unavailable``."""
        # Imported late, because it takes longer than the rest of the start.
        import snoopsync.embedded.search  # noqa: F401

        self._decoders.warm_up()

    def check(self) -> None:
        """Raise the error that stops the service from working, if there is one."""
        self._hosting.collections()
        self._decoders.check()

    def close(self) -> None:
        """Close all collections."""
        self._is_closed = True
        with self._lock:
            for collection in self._open.values():
                collection.close()
            self._open.clear()
