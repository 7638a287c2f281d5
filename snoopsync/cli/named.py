"""Finds the images and files that an argument of a command names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

import click

from snoopsync.cli.tables import FileLinks
from snoopsync.config.settings import Config
from snoopsync.core.model import Record, RelPath, printable
from snoopsync.state.database import Database
from snoopsync.state.decisions import Member
from snoopsync.state.images import State
from snoopsync.state.nodes import Nodes


def record_named(config: Config, state: State, name: str) -> Record | None:
    """The record of the image at a path: a file, or ``FOLDER/PATH`` as in a list."""
    records = map(state.record_at, rel_paths_named(config, name))
    return next((record for record in records if record is not None), None)


def rel_paths_named(config: Config, name: str) -> Iterator[RelPath]:
    """What a name may mean: the file at this path, or ``FOLDER/PATH`` as in a list."""
    path = os.path.realpath(name)
    for folder in config.folders:
        root = os.path.realpath(folder.path).rstrip("/") + "/"
        if f"{path}/" == root or name == folder.name:
            yield RelPath(folder.name, b"")
        if path.startswith(root):
            yield RelPath(folder.name, os.fsencode(path.removeprefix(root)))
        if name.startswith(folder.name + "/"):
            yield RelPath(folder.name, os.fsencode(name.removeprefix(folder.name + "/")))


def member_named(config: Config, database: Database, name: str) -> Member:
    """The image that is named by its ID, its file, or ``FOLDER/PATH`` as in a list, with the bytes
    that it has. Raises ``ClickException`` if there is none."""
    nodes = Nodes(database)
    with suppress(UnicodeEncodeError):  # a file name that is not UTF-8 is not an ID
        content = nodes.content_of(name)
        if content is not None:
            return Member(name, content)
    record = record_named(config, State(database), name)
    if record is None:
        raise click.ClickException(f"{printable(name)} is neither an image ID nor a mirrored file")
    return Member(record.image_id, record.sha256 or b"")


def file_links(database: Database) -> FileLinks:
    return FileLinks({row.name: row.path for row in State(database).folders.rows()})
