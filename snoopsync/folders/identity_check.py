"""Decides whether the directory at a folder's path is the folder: by its ``Identity``, or by a
sample of its files, which a separate thread compares.
"""

from __future__ import annotations

from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from dataclasses import dataclass

from snoopsync.core.errors import FolderMissing
from snoopsync.core.identity import Identity, IdentityVerdict, Sample, decide
from snoopsync.folders.folder import Folder
from snoopsync.folders.sample import SAMPLE_FILES, in_thread, take_sample
from snoopsync.state.folders import FolderRow
from snoopsync.state.images import State

#: How often a directory that is not the folder is compared again while it stays the same.
REFUSED_SECONDS = 30.0

#: A disk that returns no bytes for this long while its files are compared does not respond.
STALLED_SECONDS = 60.0

#: How long each call of ``go_on`` waits for the end of the comparison.
_LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether the directory is the folder. ``sample``: the compared sample, or ``None``."""

    identity: Identity
    verdict: IdentityVerdict
    sample: Sample | None = None


@dataclass(slots=True)
class _Comparison:
    """A running comparison. ``bytes_read`` shows its progress, and last changed at ``since``
    (monotonic seconds)."""

    identity: Identity
    sample: Future[Sample]
    since: float
    bytes_read: int = 0


class IdentityCheck:
    """Checks the identity of one folder. Used by one thread. ``now`` is monotonic seconds."""

    def __init__(self, folder: Folder, state: State) -> None:
        self._folder = folder
        self._state = state
        # Kept in this process only, because mount IDs mean nothing in another process.
        self._observed: Identity | None = None
        self._comparison: _Comparison | None = None
        self._refused: tuple[Identity, float] | None = None
        self._abandoned: Future[Sample] | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether a sample is being compared."""
        return self._comparison is not None

    def take(self, identity: Identity) -> None:
        """Remember that this directory is the folder."""
        self._observed = identity
        self._refused = None
        self.stop()

    def stop(self) -> None:
        """Abandon the comparison."""
        if self._comparison is not None and not self._comparison.sample.done():
            self._abandoned = self._comparison.sample
        self._comparison = None

    def begin(self, row: FolderRow, identity: Identity, now: float) -> Finding | None:
        """Check whether this directory is the folder of the row. ``None`` means that this is not
        known yet: call ``go_on`` while ``is_under_way``, else call this again later."""
        if self._comparison is not None:
            if self._comparison.identity == identity:
                return None
            self.stop()
        accepted = row.identity if row.accepted else None
        if accepted is not None and accepted[:3] == identity[:3]:
            return Finding(identity, IdentityVerdict.SAME)
        verdict = self._decide(row, identity)
        if verdict is IdentityVerdict.SAME:
            return Finding(identity, verdict)
        records = self._state.sample(row.name, SAMPLE_FILES)
        if not records:
            verdict = self._decide(row, identity, Sample())
        if verdict is not IdentityVerdict.CANNOT_TELL:
            return Finding(identity, verdict)
        if not self._was_refused(identity, now):
            folder = self._folder
            sample = in_thread(
                lambda: take_sample(records, folder.open, folder.disk, folder.path), "recognise"
            )
            self._comparison = _Comparison(identity, sample, now)
        return None

    def go_on(self, row: FolderRow, now: float) -> Finding | None:
        """Wait a moment for the running comparison. Returns ``None`` if it has not ended, or if its
        directory is no longer at the path. Raises ``FolderMissing``."""
        comparison = self._comparison
        if comparison is None:
            return None
        identity = comparison.identity
        wait_for([comparison.sample], _LOOK_SECONDS)
        if not comparison.sample.done():
            if comparison.bytes_read != self._folder.bytes_read:
                comparison.bytes_read, comparison.since = self._folder.bytes_read, now
            elif now > comparison.since + STALLED_SECONDS:
                self.stop()
                raise FolderMissing("its disk does not respond")
            return None
        self.stop()
        if self._folder.identify() != identity:
            return None
        sample = comparison.sample.result()
        verdict = self._decide(row, identity, sample)
        if verdict is not IdentityVerdict.SAME:
            self._refused = identity, now
        return Finding(identity, verdict, sample)

    def _was_refused(self, identity: Identity, now: float) -> bool:
        if self._abandoned is not None and not self._abandoned.done():
            return True
        if self._refused is None:
            return False
        refused, at = self._refused
        return refused == identity and now < at + REFUSED_SECONDS

    def _decide(
        self, row: FolderRow, identity: Identity, sample: Sample | None = None
    ) -> IdentityVerdict:
        if self._observed is not None:
            return decide(self._observed, identity, observed_here=True, sample=sample)
        return decide(row.identity, identity, observed_here=False, sample=sample)
