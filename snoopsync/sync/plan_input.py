"""Gathers what the planner has to know about some places: records, other places, contents.

A file that is new at one place may be the one that has left another, so the places that its
record may have come from are looked at too, whatever order the news arrived in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from snoopsync.core.errors import FileChanged
from snoopsync.core.model import File, Gone, Place, Record, Sight, Unclear
from snoopsync.core.planner import World
from snoopsync.folders.folder import Folder, FolderViews
from snoopsync.runtime.workers import Workers
from snoopsync.state.images import State

#: How many images with the same bytes are asked whether their file has left its place.
_MOST_TWINS = 64


@dataclass
class _Scene:
    """A world in the making."""

    sights: dict[Place, Sight]
    records: dict[Place, Record] = field(default_factory=dict)
    hashes: dict[Place, bytes] = field(default_factory=dict)


class Gatherer:
    """Reads the state file and the disk around the places that are to be decided on."""

    def __init__(
        self, owner: str, folders: Mapping[str, Folder], state: State, readers: Workers
    ) -> None:
        self._owner = owner
        self._folders = folders
        self._state = state
        self._readers = readers

    def gather(
        self,
        sights: Mapping[Place, Sight],
        gone_for_good: frozenset[Place],
        arriving: Callable[[], Mapping[int, tuple[Place, File]]],
    ) -> World:
        """The world around the places in ``sights``. ``arriving`` gives, by inode, files that were
        seen but have not come to rest: a record whose file is not at its place may be there.
        Places whose folder went missing meanwhile, and files that changed, are not in it."""
        scene = _Scene(dict(sights))
        for place in sights:
            record = self._state.record_at(place)
            if record is not None:
                scene.records[place] = record
        self._follow_homeless(scene, arriving)
        with FolderViews() as views:
            self._follow_files(scene, views)
        asked = frozenset(sights)
        changed = self._hash(scene, self._undecided(scene))
        with FolderViews() as views:
            self._follow_contents(scene, views)
        self._follow_homeless(scene, arriving)
        changed |= self._hash(scene, self._undecided(scene))
        self._prove_gone(scene, gone_for_good)
        present = {name for name, folder in self._folders.items() if folder.is_present()}
        kept = {
            place: sight if place.folder in present else Unclear("the folder is missing")
            for place, sight in scene.sights.items()
            if place not in changed
        }
        return World(
            owner=self._owner,
            asked=asked - changed,
            sights=kept,
            records={place: record for place, record in scene.records.items() if place in kept},
            taken=self._state.is_taken,
            hashes=scene.hashes,
            gone_for_good=gone_for_good,
        )

    def _look(self, views: FolderViews, record: Record) -> Sight:
        """Is the record's file still at its place? One that a mount hides has not left it. At a
        place that the configuration leaves out, no other file is of interest."""
        place = record.place
        folder = self._folders.get(place.folder)
        if folder is None or folder.identity is None:
            return Unclear("the folder is not there")
        view = views.of(folder)
        sight = view.look(place.path)
        if isinstance(sight, Gone) and view.is_hidden(place.path, record.submount):
            return Unclear("a disk was mounted or unmounted there")
        if isinstance(sight, File) and sight.fingerprint.inode != record.seen.inode:
            return sight if folder.selection.wants(place.path) else Gone()
        return sight

    def _follow_homeless(
        self, scene: _Scene, arriving: Callable[[], Mapping[int, tuple[Place, File]]]
    ) -> None:
        """For every record whose file is not at its place: the file with its inode, if one is on
        its way to rest elsewhere. It has a better claim than one with the same content."""
        homeless = _homeless(scene)
        if not homeless:
            return
        by_inode = arriving()
        for record in homeless:
            found = by_inode.get(record.seen.inode)
            if found is not None and found[0] not in scene.sights:
                self._add(scene, found[0], found[1])

    def _follow_files(self, scene: _Scene, views: FolderViews) -> None:
        """For every file that is not its record's own: the records that had its inode, and so on
        from the files at their places, until a chain or a ring of renames is complete."""
        waiting = [place for place in scene.sights if _is_open(scene, place)]
        while waiting:
            sight = scene.sights[waiting.pop()]
            assert isinstance(sight, File)
            for record in self._state.records_with_inode(sight.fingerprint.inode):
                if record.place not in scene.sights:
                    self._add(scene, record.place, self._look(views, record), record)
                    if _is_open(scene, record.place):
                        waiting.append(record.place)

    def _prove_gone(self, scene: _Scene, places: Iterable[Place]) -> None:
        for place in places:
            record, folder = scene.records.get(place), self._folders.get(place.folder)
            if record is not None and folder is not None:
                scene.sights[place] = folder.prove_gone(place.path, record.submount)

    def _follow_contents(self, scene: _Scene, views: FolderViews) -> None:
        for sha256 in set(scene.hashes.values()):
            for record in self._state.records_with_content(sha256, _MOST_TWINS):
                if record.place not in scene.sights:
                    self._add(scene, record.place, self._look(views, record), record)

    def _add(self, scene: _Scene, place: Place, sight: Sight, record: Record | None = None) -> None:
        scene.sights[place] = sight
        record = record or self._state.record_at(place)
        if record is not None:
            scene.records[place] = record

    def _undecided(self, scene: _Scene) -> list[Place]:
        """The files whose content has to be known: those that differ from their record, or have
        none, unless their identity already says which record is theirs, or their size is new."""
        left = {record.seen for record in _homeless(scene)}
        undecided = []
        for place, sight in scene.sights.items():
            if not isinstance(sight, File) or sight.fingerprint in left:
                continue
            record = scene.records.get(place)
            if record is not None and record.seen == sight.fingerprint:
                continue
            if sight.fingerprint.size and self._state.knows_size(sight.fingerprint.size):
                undecided.append(place)
        return undecided

    def _hash(self, scene: _Scene, places: Iterable[Place]) -> set[Place]:
        """Read the files; the places of those that were not the same before and after."""

        def hash_one(place: Place) -> bytes | None:
            sight = scene.sights[place]
            assert isinstance(sight, File)
            try:
                with self._folders[place.folder].open(place.path) as file:
                    same = file.fingerprint == sight.fingerprint
                    return file.hash_all() if same else None
            except FileChanged:
                return None
            except OSError:
                # It can't be read: sending it will say so, and why.
                return b""

        wanted = [place for place in places if place not in scene.hashes]
        digests = dict(zip(wanted, self._readers.map(hash_one, wanted), strict=True))
        scene.hashes.update({place: digest for place, digest in digests.items() if digest})
        return {place for place, digest in digests.items() if digest is None}


def _homeless(scene: _Scene) -> list[Record]:
    """The records whose file is not at their place. A hard link's record is none of them, though
    its file can be seen at a place that another record's file has come to."""
    return [
        record
        for place, record in scene.records.items()
        if isinstance(scene.sights[place], Gone) or _is_open(scene, place)
    ]


def _is_open(scene: _Scene, place: Place) -> bool:
    """Is a file there that is not the one of the place's own record?"""
    sight, record = scene.sights[place], scene.records.get(place)
    if not isinstance(sight, File):
        return False
    return record is None or sight.fingerprint.inode != record.seen.inode
