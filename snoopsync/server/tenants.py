"""What requests are about: the collections that are open, and who may use which."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from snoopsync.decoding.decoders import Decoders
from snoopsync.embedded import EmbeddedCollection
from snoopsync.runtime.owned_directory import own_directory, require_own_files
from snoopsync.server.registry import HostedCollection, Registry
from snoopsync.server.signature import Claim, Verifier


class Hosting:
    """The collections of a data directory. For any thread."""

    def __init__(
        self,
        data: Path,
        registry: Registry,
        verifier: Verifier,
        decoders: Decoders,
        now: Callable[[], float],
    ) -> None:
        """``now`` gives Unix seconds."""
        self.incoming = data / "incoming"
        self._registry = registry
        self._verifier = verifier
        self._decoders = decoders
        self._now = now
        self._lock = threading.Lock()
        self._open: dict[str, EmbeddedCollection] = {}
        self._clear_incoming()

    def _clear_incoming(self) -> None:
        """What was being received when the machine stopped belongs to no image."""
        require_own_files([self.incoming, self.incoming.with_name("collections")])
        own_directory(self.incoming)
        for left in self.incoming.iterdir():
            left.unlink()

    def require_signature(self, claim: Claim) -> None:
        """Raises ``Unauthorized`` for a request that no key has signed. Waits for nothing."""
        self._verifier.require_signature(claim)

    def admit(self, claim: Claim) -> HostedCollection:
        """The collection that this request may use. Raises ``Unauthorized`` and, for one that came
        before, ``Unavailable``."""
        hosted = self._registry.collection_for(claim.public_key)
        self._verifier.check(claim, self._now(), known=hosted is not None)
        assert hosted is not None  # or it would have been refused
        return hosted

    def collection(self, hosted: HostedCollection) -> EmbeddedCollection:
        """The collection itself, opened when it is first asked for."""
        with self._lock:
            found = self._open.get(hosted.collection_id)
            if found is None:
                found = EmbeddedCollection(
                    hosted.path,
                    name=hosted.name,
                    collection_id=hosted.collection_id,
                    extract_features=self._decoders.extract_features,
                )
                self._open[hosted.collection_id] = found
        return found

    def warm_up(self) -> None:
        """Do now what the first picture would wait for. Raises ``Unavailable``."""
        # Late: it takes longer than all else at the start, and nobody has to wait for it to listen.
        import snoopsync.embedded.search  # noqa: F401

        self._decoders.warm_up()

    def check(self) -> None:
        """Raises what keeps the service from working."""
        self._registry.collections()
        self._decoders.check()

    def close(self) -> None:
        """Close all of them."""
        with self._lock:
            for collection in self._open.values():
                collection.close()
            self._open.clear()
