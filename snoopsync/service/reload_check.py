"""Checks whether a service could run with a new configuration, before the current one is left."""

from __future__ import annotations

import threading
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from pathlib import Path

from snoopsync.config.settings import Config, default_owner
from snoopsync.core.errors import ConfigError, Problem, SnoopsyncError, StateDamaged, StateError
from snoopsync.core.protocol import ImageCollection
from snoopsync.folders.ownership import take_owner
from snoopsync.runtime.sqlite import MEMORY
from snoopsync.state.database import Database
from snoopsync.state.images import State
from snoopsync.state.lock import locked
from snoopsync.sync.components import open_components, opened_collection


def require_usable(config: Config, current: Config, collection: ImageCollection | None) -> None:
    """Raises ``ConfigError`` if a service could not start with this configuration instead of the
    ``current`` one. ``collection`` is the one in use, if there is one."""
    is_same = (config.collection, config.state) == (current.collection, current.state)
    try:
        with ExitStack() as stack:
            if config.state != current.state:
                stack.enter_context(locked(config.state))
                # A damaged file is moved aside by the service that starts with it.
                with suppress(StateDamaged), closing(Database(config.state)):
                    pass
            if collection is None or not is_same:
                collection = stack.enter_context(opened_collection(config))
            _create_components(config, collection)
    except ConfigError:
        raise
    except (SnoopsyncError, OSError, ValueError) as error:
        key = "state" if isinstance(error, StateError) else "collection"
        problem = Problem(key, f"can't be used: {error}")
        raise ConfigError(str(config.source or "configuration"), (problem,)) from None


def _create_components(config: Config, collection: ImageCollection) -> None:
    """Create all the parts on an empty state file in memory, and close them again."""
    with closing(Database(Path(MEMORY))) as database:
        # With an owner that is known nothing is logged about it.
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
