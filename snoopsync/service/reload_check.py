"""Checks whether a service can run with a new configuration, before the current service stops."""

from __future__ import annotations

import threading
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from pathlib import Path

from snoopsync.config.settings import Config, default_owner
from snoopsync.core.errors import ConfigError, Problem, SnoopsyncError, StateDamaged
from snoopsync.core.protocol import ImageCollection
from snoopsync.folders.ownership import take_owner
from snoopsync.runtime.sqlite import MEMORY
from snoopsync.state.database import Database
from snoopsync.state.images import State
from snoopsync.state.lock import locked
from snoopsync.sync.components import open_components, opened_collection


def require_usable(config: Config, current: Config, collection: ImageCollection | None) -> None:
    """Raise ``ConfigError`` if a service could not start with this configuration instead of
    ``current``. ``collection``: the collection in use, or ``None``."""
    is_same = (config.collection, config.state) == (current.collection, current.state)
    key = "state"
    try:
        with ExitStack() as stack:
            if config.state != current.state:
                stack.enter_context(locked(config.state))
                # The service that starts with a damaged file moves it aside.
                with suppress(StateDamaged), closing(Database(config.state)):
                    pass
            key = "collection"
            if collection is None or not is_same:
                collection = stack.enter_context(opened_collection(config))
            _create_components(config, collection)
    except ConfigError:
        raise
    except (SnoopsyncError, OSError, ValueError) as error:
        problem = Problem(key, f"can't be used: {error}")
        raise ConfigError(str(config.source or "configuration"), (problem,)) from None


def _create_components(config: Config, collection: ImageCollection) -> None:
    """Create all components on an empty state file in memory, and close them."""
    with closing(Database(Path(MEMORY))) as database:
        # If the owner is known, nothing is logged about it.
        owner = config.collection.owner or default_owner()
        take_owner(replace(config.collection, owner=owner), State(database))
        with open_components(
            config,
            database,
            collection,
            stop=threading.Event(),
            patience_seconds=0.0,
            rehearsal=True,
        ) as components:
            components.engine.close(1.0)
