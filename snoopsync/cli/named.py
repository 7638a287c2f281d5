"""Finds the images and files that an argument of a command names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import click

from snoopsync.cli.tables import FileLinks
from snoopsync.config.settings import Config
from snoopsync.core.model import Record, RelPath, printable
from snoopsync.state.database import Database
from snoopsync.state.decisions import Member
from snoopsync.state.images import State
from snoopsync.state.nodes import Nodes


class Named:
    """Finds images by their names. The folders, and the directories of the files, are resolved
    once."""

    def __init__(self, config: Config, database: Database) -> None:
        self._state = State(database)
        self._nodes = Nodes(database)
        self._roots = {
            folder.name: os.path.realpath(folder.path).rstrip("/") + "/"
            for folder in config.folders
        }
        self._directories: dict[str, str] = {}

    def record(self, name: str) -> Record | None:
        """The record of the image at a path: a file, or ``FOLDER/PATH`` as in a list."""
        records = map(self._state.record_at, self.rel_paths(name))
        return next((record for record in records if record is not None), None)

    def file(self, name: str) -> Path:
        """The file at a path; otherwise that of the image with this name in a list. A path without
        either is returned as it is."""
        record = None if os.path.lexists(name) else self.record(name)
        if record is None:
            return Path(name)
        return Path(self._roots[record.rel_path.folder], os.fsdecode(record.rel_path.path))

    def rel_paths(self, name: str) -> Iterator[RelPath]:
        """What a name may mean: the file at this path, or ``FOLDER/PATH`` as in a list."""
        path = self._real_path(name)
        for folder, root in self._roots.items():
            if f"{path}/" == root or name == folder:
                yield RelPath(folder, b"")
            if path.startswith(root):
                yield RelPath(folder, os.fsencode(path.removeprefix(root)))
            if name.startswith(folder + "/"):
                yield RelPath(folder, os.fsencode(name.removeprefix(folder + "/")))

    def member(self, name: str) -> Member:
        """The image that is named by its ID, its file, or ``FOLDER/PATH`` as in a list, with the
        bytes that it has. Raises ``ClickException`` if there is none."""
        with suppress(UnicodeEncodeError):  # a file name that is not UTF-8 is not an ID
            content = self._nodes.content_of(name)
            if content is not None:
                return Member(name, content)
        record = self.record(name)
        if record is None:
            raise click.ClickException(
                f"{printable(name)} is neither an image ID nor a mirrored file"
            )
        return Member(record.image_id, record.sha256 or b"")

    def _real_path(self, name: str) -> str:
        directory, base = os.path.split(name)
        if base in ("", ".", ".."):
            return os.path.realpath(name)
        if directory not in self._directories:
            self._directories[directory] = os.path.realpath(directory)
        path = f"{self._directories[directory].rstrip('/')}/{base}"
        is_link = os.path.islink(path)  # noqa: PTH114 - a Path for each name takes longer
        return os.path.realpath(path) if is_link else path


def file_links(database: Database) -> FileLinks:
    return FileLinks({row.name: row.path for row in State(database).folders.rows()})
