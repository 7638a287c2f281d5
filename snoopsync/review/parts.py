"""The parts of the page, connected. They live as long as the command runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from snoopsync.config.settings import Config
from snoopsync.decoding.decoders import Renderers
from snoopsync.folders.companions import CompanionFinder, companion_finder
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


class Parts:
    """What the routes use: the parts that are open, and those that are made from them."""

    def __init__(
        self,
        config: Config,
        source: Source,
        marks: Marks,
        thumbnails: Thumbnails,
        entry: Entry,
        *,
        has_trash: bool,
    ) -> None:
        """``has_trash``: the page may move files to the trash."""
        self.config = config
        self.source = source
        self.marks = marks
        self.thumbnails = thumbnails
        self.entry = entry
        self.has_trash = has_trash
        self.pages = Pages(has_trash=has_trash)
        self.presence = Presence(source)
        self.decider = Decider(source, marks, has_companions=config.duplicates.companions)
        self.groups = GroupLists(source, marks, self.decider, self.presence)
        self.marked = MarkedFiles(source, marks, self.presence, self.new_finder)
        self.removal = Removal(source, marks, self.marked, home_trash(), self.new_finder)

    def new_finder(self) -> CompanionFinder:
        """A finder of companions for one request."""
        return companion_finder(self.config)


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
        kept = Thumbnails(thumbnails, _THUMBNAIL_BYTES, renderers)
        yield Parts(config, source, marks, kept, entry, has_trash=has_trash)
