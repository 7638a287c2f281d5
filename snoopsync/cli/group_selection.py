"""Which groups of duplicates a command is about: shared by the list and by dismissals."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import click

from snoopsync.config.settings import Config
from snoopsync.core.errors import CollectionError
from snoopsync.core.protocol import KINDS
from snoopsync.embedded import EmbeddedCollection
from snoopsync.state.groups import Compare, Likeness
from snoopsync.sync.components import opened_collection

kind_option = click.option(
    "--kind",
    type=click.Choice(sorted(KINDS)),
    metavar="KIND",
    help="Only groups with an image of this kind.",
)
folder_option = click.option("--folder", help="Only groups with an image in this folder.")


@contextmanager
def comparing(config: Config) -> Iterator[Compare | None]:
    """A function that compares images of the embedded collection by their stored features, which
    opens the collection when it is first needed; ``None`` for another collection."""
    if not config.collection.embedded:
        yield None
        return
    with ExitStack() as stack:
        opened: list[EmbeddedCollection] = []

        def compare(one: str, other: str) -> Likeness | None:
            try:
                if not opened:
                    collection = stack.enter_context(opened_collection(config, make=False))
                    assert isinstance(collection, EmbeddedCollection)
                    opened.append(collection)
                score = opened[0].compare_images(one, other)
            except CollectionError:
                return None  # the collection does not have it, or can't be read
            if score is None or score.rank > config.duplicates.max_rank:
                return None
            return Likeness(score.rank, None if score.kind is None else score.kind.value)

        yield compare
