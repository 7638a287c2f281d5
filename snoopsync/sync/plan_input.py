"""Reads what the planner needs to know about some paths: records, other paths, contents, taken IDs.

A file that is new at one path may be the file that disappeared from another path. So the paths that
it may have come from are also examined, whatever the order of the events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from snoopsync.core.errors import FileChanged
from snoopsync.core.model import File, Gone, Observation, Record, RelPath, Unclear, image_ids
from snoopsync.core.planner import PlanInput, Remote
from snoopsync.folders.folder import Folder, FolderSessions
from snoopsync.folders.pending import Inbox
from snoopsync.runtime.workers import Workers
from snoopsync.state.images import State

#: For how many images with the same bytes to check whether their file has left its path.
_MAX_SAME_CONTENT = 64


@dataclass
class _InputDraft:
    """The plan input while it is being read."""

    observations: dict[RelPath, Observation]
    records: dict[RelPath, Record] = field(default_factory=dict)
    hashes: dict[RelPath, bytes] = field(default_factory=dict)


class PlanInputReader:
    """Reads the state file and the disk for the paths to plan. Files that change while they are
    read go to the ``inbox``."""

    def __init__(
        self,
        owner: str,
        folders: Mapping[str, Folder],
        state: State,
        readers: Workers,
        inbox: Inbox,
    ) -> None:
        self._owner = owner
        self._folders = folders
        self._state = state
        self._readers = readers
        self._inbox = inbox

    def read(
        self,
        observations: Mapping[RelPath, Observation],
        arriving: Callable[[], Mapping[int, tuple[RelPath, File]]],
        remote: Remote | None = None,
    ) -> PlanInput:
        """What the planner needs for the paths in ``observations``. ``arriving`` returns the
        pending files by inode, because the file of a record that is not at its path may be one of
        them. ``remote``: what is known about the collection. Files that changed meanwhile are left
        out, and a path in a folder that went missing is ``Unclear``."""
        gone = frozenset(each for each, seen in observations.items() if isinstance(seen, Gone))
        draft = _InputDraft(dict(observations))
        for rel_path in observations:
            record = self._state.record_at(rel_path)
            if record is not None:
                draft.records[rel_path] = record
        self._follow_displaced(draft, arriving)
        with FolderSessions() as sessions:
            self._follow_files(draft, sessions)
        asked = frozenset(observations)
        changed = self._hash(draft, self._undecided(draft))
        with FolderSessions() as sessions:
            self._follow_contents(draft, sessions)
        self._follow_displaced(draft, arriving)
        changed |= self._hash(draft, self._undecided(draft))
        self._prove_gone(draft, gone)
        present = {name for name, folder in self._folders.items() if folder.is_present()}
        kept = {
            rel_path: observation
            if rel_path.folder in present
            else Unclear("the folder is missing")
            for rel_path, observation in draft.observations.items()
            if rel_path not in changed
        }
        self._inbox.put(sorted(changed & asked))
        return PlanInput(
            owner=self._owner,
            asked=asked - changed,
            observations=kept,
            records={
                rel_path: record for rel_path, record in draft.records.items() if rel_path in kept
            },
            taken=self._taken_ids(draft, asked, remote or Remote()),
            hashes=draft.hashes,
            gone_for_good=gone,
            remote=remote,
        )

    def _taken_ids(
        self, draft: _InputDraft, rel_paths: Iterable[RelPath], remote: Remote
    ) -> frozenset[str]:
        """The IDs that the planner may try for new files and that are already in use."""
        taken = set()
        for rel_path in rel_paths:
            if not _has_other_file(draft, rel_path):
                continue
            for image_id in image_ids(self._owner, rel_path):
                if self._state.is_taken(image_id):
                    taken.add(image_id)
                elif image_id not in remote.unclaimed and image_id not in remote.reserved:
                    break  # the planner uses this ID or an earlier one
        return frozenset(taken)

    def _look(self, sessions: FolderSessions, record: Record) -> Observation:
        """What is at the record's path now. A file that a mount hides has not left its path. At a
        path that the configuration leaves out, another file counts as ``Gone``."""
        rel_path = record.rel_path
        folder = self._folders.get(rel_path.folder)
        if folder is None or folder.identity is None:
            return Unclear("the folder is missing")
        session = sessions.of(folder)
        observation = session.look(rel_path.path)
        if isinstance(observation, Gone) and session.is_hidden(rel_path.path, record.submount):
            return Unclear("a disk was mounted or unmounted at or above the path")
        if isinstance(observation, File) and observation.fingerprint.inode != record.seen.inode:
            return observation if folder.selection.wants(rel_path.path) else Gone()
        return observation

    def _follow_displaced(
        self, draft: _InputDraft, arriving: Callable[[], Mapping[int, tuple[RelPath, File]]]
    ) -> None:
        """For every record whose file is not at its path, add the file with the same inode if it is
        pending at another path. It takes precedence over a file with the same content."""
        found_inodes = {
            observation.fingerprint.inode
            for rel_path, observation in draft.observations.items()
            if isinstance(observation, File) and _has_other_file(draft, rel_path)
        }
        inodes = {record.seen.inode for record in _displaced(draft)} - found_inodes
        if not inodes:
            return
        by_inode = arriving()
        for inode in inodes:
            found = by_inode.get(inode)
            if found is not None and found[0] not in draft.observations:
                self._add(draft, found[0], found[1])

    def _follow_files(self, draft: _InputDraft, sessions: FolderSessions) -> None:
        """For every file that is not its path's recorded file, add the records with its inode.
        Continue with the files at their paths, until each chain or cycle of renames is complete."""
        waiting = [rel_path for rel_path in draft.observations if _has_other_file(draft, rel_path)]
        while waiting:
            observation = draft.observations[waiting.pop()]
            assert isinstance(observation, File)
            for record in self._state.records_with_inode(observation.fingerprint.inode):
                if record.rel_path not in draft.observations:
                    self._add(draft, record.rel_path, self._look(sessions, record), record)
                    if _has_other_file(draft, record.rel_path):
                        waiting.append(record.rel_path)

    def _prove_gone(self, draft: _InputDraft, rel_paths: Iterable[RelPath]) -> None:
        for rel_path in rel_paths:
            record, folder = draft.records.get(rel_path), self._folders.get(rel_path.folder)
            if record is not None and folder is not None:
                draft.observations[rel_path] = folder.prove_gone(rel_path.path, record.submount)

    def _follow_contents(self, draft: _InputDraft, sessions: FolderSessions) -> None:
        for sha256 in set(draft.hashes.values()):
            for record in self._state.records_with_content(sha256, _MAX_SAME_CONTENT):
                if record.rel_path not in draft.observations:
                    self._add(draft, record.rel_path, self._look(sessions, record), record)

    def _add(
        self,
        draft: _InputDraft,
        rel_path: RelPath,
        observation: Observation,
        record: Record | None = None,
    ) -> None:
        draft.observations[rel_path] = observation
        record = record or self._state.record_at(rel_path)
        if record is not None:
            draft.records[rel_path] = record

    def _undecided(self, draft: _InputDraft) -> list[RelPath]:
        """The files whose content must be read: those that differ from their record or have none.
        Files whose fingerprint identifies a displaced record, or whose size is unknown, need no
        reading."""
        left = {record.seen for record in _displaced(draft)}
        undecided = []
        for rel_path, observation in draft.observations.items():
            if not isinstance(observation, File) or observation.fingerprint in left:
                continue
            record = draft.records.get(rel_path)
            if record is not None and record.seen == observation.fingerprint:
                continue
            if observation.fingerprint.size and self._state.knows_size(
                observation.fingerprint.size
            ):
                undecided.append(rel_path)
        return undecided

    def _hash(self, draft: _InputDraft, rel_paths: Iterable[RelPath]) -> set[RelPath]:
        """Read the files. Returns the paths of those that changed meanwhile."""

        def hash_one(rel_path: RelPath) -> bytes | None:
            observation = draft.observations[rel_path]
            assert isinstance(observation, File)
            try:
                with self._folders[rel_path.folder].open(rel_path.path) as file:
                    same = file.fingerprint == observation.fingerprint
                    return file.hash_all() if same else None
            except FileChanged:
                return None
            except OSError:
                # The file can't be read. Sending it will fail and report the reason.
                return b""

        wanted = [rel_path for rel_path in rel_paths if rel_path not in draft.hashes]
        digests = dict(zip(wanted, self._readers.map(hash_one, wanted), strict=True))
        draft.hashes.update({rel_path: digest for rel_path, digest in digests.items() if digest})
        return {rel_path for rel_path, digest in digests.items() if digest is None}


def _displaced(draft: _InputDraft) -> list[Record]:
    """The records whose file is not at their path. A hard link at another path does not displace a
    record whose own path still has the file."""
    return [
        record
        for rel_path, record in draft.records.items()
        if isinstance(draft.observations[rel_path], Gone) or _has_other_file(draft, rel_path)
    ]


def _has_other_file(draft: _InputDraft, rel_path: RelPath) -> bool:
    """Whether the path has a file that is not the file of the path's own record."""
    observation, record = draft.observations[rel_path], draft.records.get(rel_path)
    if not isinstance(observation, File):
        return False
    return record is None or observation.fingerprint.inode != record.seen.inode
