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
from snoopsync.review.source import Source
from snoopsync.review.thumbnails import Thumbnails

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
    thumbnails: Thumbnails
    entry: Entry
    pages: Pages


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
        yield Parts(
            config,
            source,
            marks,
            decider,
            GroupLists(source, marks, decider),
            MarkedFiles(source, marks),
            Thumbnails(thumbnails, _THUMBNAIL_BYTES, renderers),
            entry,
            Pages(has_trash=has_trash),
        )
