"""The parts of the page, connected. They live as long as the command runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from snoopsync.config.settings import Config
from snoopsync.decoding.decoders import Renderers
from snoopsync.review.app import Pages
from snoopsync.review.decisions import Decider
from snoopsync.review.entry import Entry
from snoopsync.review.groups import GroupLists
from snoopsync.review.marked import MarkedFiles
from snoopsync.review.marks import Marks, marks_path
from snoopsync.review.presence import Presence
from snoopsync.review.removal import Removal
from snoopsync.review.source import Source
from snoopsync.review.thumbnails import Thumbnails
from snoopsync.review.trash_directory import home_trash

#: The most bytes of thumbnails on disk: some 15,000 of them.
_THUMBNAIL_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Parts:
    """What the routes use."""

    config: Config
    source: Source
    marks: Marks
    decider: Decider
    groups: GroupLists
    marked: MarkedFiles
    presence: Presence
    removal: Removal
    thumbnails: Thumbnails
    entry: Entry
    pages: Pages
    has_trash: bool


@contextmanager
def opened_parts(
    config: Config, entry: Entry, thumbnails: Path, *, has_trash: bool
) -> Iterator[Parts]:
    """The parts of a page for this configuration. ``thumbnails``: the directory where they are
    kept. Raises ``StateError``."""
    with (
        closing(Source(config)) as source,
        closing(Marks(marks_path(config.state))) as marks,
        closing(Renderers()) as renderers,
    ):
        decider = Decider(source, marks)
        presence = Presence(source)
        marked = MarkedFiles(source, marks, presence)
        yield Parts(
            config=config,
            source=source,
            marks=marks,
            decider=decider,
            groups=GroupLists(source, marks, decider, presence),
            marked=marked,
            presence=presence,
            removal=Removal(source, marks, marked, home_trash()),
            thumbnails=Thumbnails(thumbnails, _THUMBNAIL_BYTES, renderers),
            entry=entry,
            pages=Pages(has_trash=has_trash),
            has_trash=has_trash,
        )
