"""Finds out how a picture is related to the similar ones that a search found.

What a camera wrote is read from the files, in the sandbox, only when a search found something. A
file that cannot be read delays nothing: its pair counts as duplicates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec

from snoopsync.core.companions import CompanionRole
from snoopsync.core.duplicates import Findings
from snoopsync.core.errors import CollectionError, FileChanged
from snoopsync.core.model import Record, RelPath
from snoopsync.core.shots import (
    Relation,
    Shot,
    SimilarPicture,
    raw_beside_rendered,
    relations_of,
)
from snoopsync.decoding.decoders import shared
from snoopsync.decoding.source import PictureFile, read_picture
from snoopsync.folders.companions import CompanionFinder
from snoopsync.folders.folder import Folder
from snoopsync.state.searches import Due, Searches

#: How many shots are remembered. The pictures of a burst are found again and again.
_MOST_SHOTS = 4096


def read_in_sandbox(picture: PictureFile) -> Shot:
    """What a camera wrote into this file. Raises ``CollectionError``."""
    return shared().read_shot(picture)


def shot_relations(searches: Searches, folders: Mapping[str, Folder]) -> ShotRelations | None:
    """What determines the relations of images in these folders; ``None`` if the libraries that read
    pictures are not installed."""
    if any(find_spec(library) is None for library in ("PIL", "numpy")):
        return None
    return ShotRelations(searches, ShotReader(folders), folders)


class ShotReader:
    """Reads what cameras wrote into the files of our images. ``read``: reads one file."""

    def __init__(
        self,
        folders: Mapping[str, Folder],
        read: Callable[[PictureFile], Shot] = read_in_sandbox,
        most_shots: int = _MOST_SHOTS,
    ) -> None:
        self._folders = folders
        self._read = read
        self._most_shots = most_shots
        self._known: dict[bytes, Shot] = {}

    def shot_of(self, records: Sequence[Record]) -> Shot | None:
        """The shot of images with the same bytes, from the first file that still has these bytes;
        ``None`` if there is none."""
        for record in records:
            assert record.sha256 is not None
            shot = self._known.pop(record.sha256, None) or self._read_file(record)
            if shot is not None:
                self._known[record.sha256] = shot  # the newest is the last
                if len(self._known) > self._most_shots:
                    del self._known[next(iter(self._known))]
                return shot
        return None

    def _read_file(self, record: Record) -> Shot | None:
        folder = self._folders.get(record.rel_path.folder)
        if folder is None:
            return None
        try:
            with folder.open(record.rel_path.path) as file, read_picture(file) as picture:
                return self._read(picture) if picture.sha256 == record.sha256 else None
        except (OSError, FileChanged, CollectionError):
            return None  # or refused here, for example because an extra is not installed


class ShotRelations:
    """Determines the relations of images. Used by one thread."""

    def __init__(
        self, searches: Searches, reader: ShotReader, folders: Mapping[str, Folder]
    ) -> None:
        self._searches = searches
        self._reader = reader
        self._folders = folders

    def add_to(self, findings: Findings, due: Due) -> Findings:
        """The findings of the search for an image, with the relations that were not known yet and
        could be determined."""
        contents = {
            image.image_id: content
            for image in findings.images
            if (content := self._searches.content_of(image)) not in (None, due.sha256)
        }
        unknown = set(contents.values()) - self._searches.related(due)
        own = self._searches.files_of(due.sha256) if unknown else []
        shot = self._reader.shot_of(own)
        if shot is None:
            return findings
        relations = self._relations(SimilarPicture(_paths(own), shot), findings, contents)
        return replace(
            findings,
            images=tuple(
                replace(image, relation=relations.get(contents.get(image.image_id)))
                if contents.get(image.image_id) in unknown
                else image
                for image in findings.images
            ),
        )

    def _relations(
        self, picture: SimilarPicture, findings: Findings, contents: Mapping[str, bytes | None]
    ) -> dict[bytes | None, Relation]:
        """The relations of a picture to those with these contents, by content."""
        found: dict[bytes | None, SimilarPicture] = {}
        for image in findings.images:
            content = contents.get(image.image_id)
            if content is None or content in found:
                continue
            files = self._searches.files_of(content)
            # Where one has no metadata, only the names count.
            shot = Shot() if files and picture.shot == Shot() else self._reader.shot_of(files)
            if shot is not None:
                found[content] = SimilarPicture(_paths(files), shot, image.rank == 0)
        relations = relations_of(picture, list(found.values()))
        return {
            content: Relation.COMPANION
            if relation is Relation.DUPLICATE and self._is_of_rendered(picture, found[content])
            else relation
            for content, relation in zip(found, relations, strict=True)
        }

    def _is_of_rendered(self, one: SimilarPicture, other: SimilarPicture) -> bool:
        """Whether one of two is a RAW file, and a further picture on the disk is the one that the
        camera made from it. An export of the shot is then a duplicate of that picture alone."""
        raw = raw_beside_rendered(one, other)
        if raw is None:
            return False
        finder = CompanionFinder({name: each.path for name, each in self._folders.items()})
        return any(
            companion.role is CompanionRole.RENDERED
            and companion.rel_path not in (*one.paths, *other.paths)
            and self._folders[path.folder].selection.wants(companion.rel_path.path)
            for path in raw.paths
            for companion in finder.companions(path)
        )


def _paths(records: Sequence[Record]) -> list[RelPath]:
    return [record.rel_path for record in records]
