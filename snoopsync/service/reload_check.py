"""Checks whether a service could run with a new configuration, without changing anything."""

from __future__ import annotations

import threading
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from pathlib import Path

from snoopsync.config.settings import Config, default_owner
from snoopsync.core.errors import (
    CollectionError,
    ConfigError,
    Problem,
    SnoopsyncError,
    StateDamaged,
    StateError,
)
from snoopsync.core.protocol import ImageCollection
from snoopsync.folders.ownership import take_owner
from snoopsync.state.database import MEMORY, Database
from snoopsync.state.images import State
from snoopsync.state.lock import locked
from snoopsync.sync.components import open_components, opened_collection


def require_usable(config: Config, current: Config, collection: ImageCollection | None) -> None:
    """Raises ``ConfigError`` if a service could not start with this configuration instead of the
    ``current`` one. ``collection`` is the one in use, if there is one."""
    if config.state != current.state:
        _require_usable_state(config)
    is_same = (config.collection, config.state) == (current.collection, current.state)
    try:
        with ExitStack() as stack:
            if collection is None or not is_same:
                collection = stack.enter_context(opened_collection(config, make=False))
            _create_components(config, collection)
    except ConfigError:
        raise
    except (SnoopsyncError, OSError, ValueError) as error:
        raise _problem(config, "configuration", error) from None


def _require_usable_state(config: Config) -> None:
    try:
        with locked(config.state):
            # A damaged file is moved aside by the service that starts with it.
            with suppress(StateDamaged), closing(Database(config.state)):
                pass
            if config.collection.embedded:
                with opened_collection(config):
                    pass
    except (StateError, CollectionError) as error:
        raise _problem(config, "state", error) from None


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


def _problem(config: Config, key: str, error: Exception) -> ConfigError:
    problem = Problem(key, f"can't be used: {error}")
    return ConfigError(str(config.source or "configuration"), (problem,))
