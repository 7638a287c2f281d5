"""Compares images of a group that no link connects."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from snoopsync.config.settings import Config
from snoopsync.core.errors import CollectionError
from snoopsync.embedded import EmbeddedCollection
from snoopsync.state.group_rows import Likeness
from snoopsync.state.groups import Compare
from snoopsync.sync.components import opened_collection


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
