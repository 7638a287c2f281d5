"""Reads what the planner has to know about some paths: records, other paths, contents, taken IDs.

A file that is new at one path may be the file that left another path. So the paths that it may have
come from are looked at too, in whatever order the changes were seen.
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

#: For how many images with the same bytes it is checked whether their file has left its path.
_MOST_TWINS = 64


@dataclass
class _Scene:
    """The plan input while it is read."""

    observations: dict[RelPath, Observation]
    records: dict[RelPath, Record] = field(default_factory=dict)
    hashes: dict[RelPath, bytes] = field(default_factory=dict)


class PlanInputReader:
    """Reads the state file and the disk around the paths that are to be decided on. Files that
    change while they are read go to the ``inbox``."""

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
        """What the planner needs for the paths in ``observations``. ``arriving`` returns, by inode,
        the files that were seen and are not decided on: a record whose file is not at its path may
        be one of them. ``remote``: what is known of the collection. Paths whose folder went missing
        meanwhile, and files that changed, are left out."""
        gone = frozenset(each for each, seen in observations.items() if isinstance(seen, Gone))
        scene = _Scene(dict(observations))
        for rel_path in observations:
            record = self._state.record_at(rel_path)
            if record is not None:
                scene.records[rel_path] = record
        self._follow_homeless(scene, arriving)
        with FolderSessions() as views:
            self._follow_files(scene, views)
        asked = frozenset(observations)
        changed = self._hash(scene, self._undecided(scene))
        with FolderSessions() as views:
            self._follow_contents(scene, views)
        self._follow_homeless(scene, arriving)
        changed |= self._hash(scene, self._undecided(scene))
        self._prove_gone(scene, gone)
        present = {name for name, folder in self._folders.items() if folder.is_present()}
        kept = {
            rel_path: observation
            if rel_path.folder in present
            else Unclear("the folder is missing")
            for rel_path, observation in scene.observations.items()
            if rel_path not in changed
        }
        self._inbox.put(sorted(changed & asked))
        return PlanInput(
            owner=self._owner,
            asked=asked - changed,
            observations=kept,
            records={
                rel_path: record for rel_path, record in scene.records.items() if rel_path in kept
            },
            taken=self._taken_ids(scene, asked, remote or Remote()),
            hashes=scene.hashes,
            gone_for_good=gone,
            remote=remote,
        )

    def _taken_ids(
        self, scene: _Scene, rel_paths: Iterable[RelPath], remote: Remote
    ) -> frozenset[str]:
        """The IDs that are given out already, of those that the planner may try for new files."""
        taken = set()
        for rel_path in rel_paths:
            if not _is_open(scene, rel_path):
                continue
            for image_id in image_ids(self._owner, rel_path):
                if self._state.is_taken(image_id):
                    taken.add(image_id)
                elif image_id not in remote.unclaimed and image_id not in remote.reserved:
                    break  # the planner gives out this one at the latest
        return frozenset(taken)

    def _look(self, views: FolderSessions, record: Record) -> Observation:
        """Is the record's file still at its path? A file that a mount hides has not left it. At a
        path that the configuration leaves out, no other file is of interest."""
        rel_path = record.rel_path
        folder = self._folders.get(rel_path.folder)
        if folder is None or folder.identity is None:
            return Unclear("the folder is not there")
        view = views.of(folder)
        observation = view.look(rel_path.path)
        if isinstance(observation, Gone) and view.is_hidden(rel_path.path, record.submount):
            return Unclear("a disk was mounted or unmounted there")
        if isinstance(observation, File) and observation.fingerprint.inode != record.seen.inode:
            return observation if folder.selection.wants(rel_path.path) else Gone()
        return observation

    def _follow_homeless(
        self, scene: _Scene, arriving: Callable[[], Mapping[int, tuple[RelPath, File]]]
    ) -> None:
        """For every record whose file is not at its path: the file with its inode, if that is about
        to come to rest at another path. It has a better claim than a file with the same content."""
        found_inodes = {
            observation.fingerprint.inode
            for rel_path, observation in scene.observations.items()
            if isinstance(observation, File) and _is_open(scene, rel_path)
        }
        inodes = {record.seen.inode for record in _homeless(scene)} - found_inodes
        if not inodes:
            return
        by_inode = arriving()
        for inode in inodes:
            found = by_inode.get(inode)
            if found is not None and found[0] not in scene.observations:
                self._add(scene, found[0], found[1])

    def _follow_files(self, scene: _Scene, views: FolderSessions) -> None:
        """For every file that is not its record's own: the records that had its inode, and so on
        from the files at their paths, until a chain or a ring of renames is complete."""
        waiting = [rel_path for rel_path in scene.observations if _is_open(scene, rel_path)]
        while waiting:
            observation = scene.observations[waiting.pop()]
            assert isinstance(observation, File)
            for record in self._state.records_with_inode(observation.fingerprint.inode):
                if record.rel_path not in scene.observations:
                    self._add(scene, record.rel_path, self._look(views, record), record)
                    if _is_open(scene, record.rel_path):
                        waiting.append(record.rel_path)

    def _prove_gone(self, scene: _Scene, rel_paths: Iterable[RelPath]) -> None:
        for rel_path in rel_paths:
            record, folder = scene.records.get(rel_path), self._folders.get(rel_path.folder)
            if record is not None and folder is not None:
                scene.observations[rel_path] = folder.prove_gone(rel_path.path, record.submount)

    def _follow_contents(self, scene: _Scene, views: FolderSessions) -> None:
        for sha256 in set(scene.hashes.values()):
            for record in self._state.records_with_content(sha256, _MOST_TWINS):
                if record.rel_path not in scene.observations:
                    self._add(scene, record.rel_path, self._look(views, record), record)

    def _add(
        self,
        scene: _Scene,
        rel_path: RelPath,
        observation: Observation,
        record: Record | None = None,
    ) -> None:
        scene.observations[rel_path] = observation
        record = record or self._state.record_at(rel_path)
        if record is not None:
            scene.records[rel_path] = record

    def _undecided(self, scene: _Scene) -> list[RelPath]:
        """The files whose content has to be known: those that differ from their record, or have
        none, unless their identity already says which record is theirs, or their size is new."""
        left = {record.seen for record in _homeless(scene)}
        undecided = []
        for rel_path, observation in scene.observations.items():
            if not isinstance(observation, File) or observation.fingerprint in left:
                continue
            record = scene.records.get(rel_path)
            if record is not None and record.seen == observation.fingerprint:
                continue
            if observation.fingerprint.size and self._state.knows_size(
                observation.fingerprint.size
            ):
                undecided.append(rel_path)
        return undecided

    def _hash(self, scene: _Scene, rel_paths: Iterable[RelPath]) -> set[RelPath]:
        """Read the files. Returns the paths of those that changed meanwhile."""

        def hash_one(rel_path: RelPath) -> bytes | None:
            observation = scene.observations[rel_path]
            assert isinstance(observation, File)
            try:
                with self._folders[rel_path.folder].open(rel_path.path) as file:
                    same = file.fingerprint == observation.fingerprint
                    return file.hash_all() if same else None
            except FileChanged:
                return None
            except OSError:
                # The file can't be read: sending it fails with the reason.
                return b""

        wanted = [rel_path for rel_path in rel_paths if rel_path not in scene.hashes]
        digests = dict(zip(wanted, self._readers.map(hash_one, wanted), strict=True))
        scene.hashes.update({rel_path: digest for rel_path, digest in digests.items() if digest})
        return {rel_path for rel_path, digest in digests.items() if digest is None}


def _homeless(scene: _Scene) -> list[Record]:
    """The records whose file is not at their path. A hard link's record is none of them, though its
    file can be seen at a path that another record's file has come to."""
    return [
        record
        for rel_path, record in scene.records.items()
        if isinstance(scene.observations[rel_path], Gone) or _is_open(scene, rel_path)
    ]


def _is_open(scene: _Scene, rel_path: RelPath) -> bool:
    """Is there a file that is not the one of the path's own record?"""
    observation, record = scene.observations[rel_path], scene.records.get(rel_path)
    if not isinstance(observation, File):
        return False
    return record is None or observation.fingerprint.inode != record.seen.inode
