"""The owner: the prefix of the ID of each image of this installation.

A configured owner takes precedence. Without a configured owner, the state file stores the owner, so
renaming the host changes nothing. Only the very first run uses the host's name.
"""

from __future__ import annotations

import logging
from contextlib import suppress

from snoopsync.config.settings import CollectionConfig, default_owner
from snoopsync.core.errors import CollectionError
from snoopsync.core.events import Event, log_event
from snoopsync.core.protocol import ImageCollection
from snoopsync.core.text import images
from snoopsync.state.images import State

log = logging.getLogger("snoopsync")

_OWNER_FACT = "owner"

#: The host name that was last compared with the owner. Each difference is reported once.
_HOST_FACT = "owner_host"


def known_owner(state: State) -> str | None:
    """The owner that the state file stores, else the owner of its images, else ``None``."""
    return state.fact(_OWNER_FACT) or state.owner_of_images()


def owner_of(config: CollectionConfig, state: State) -> str:
    """The owner in use."""
    return config.owner or known_owner(state) or default_owner()


def take_owner(config: CollectionConfig, state: State) -> str:
    """Store the owner in use, and return it. If the owner has changed, forget the images of the
    previous owner and log the consequences."""
    before, owner = known_owner(state), owner_of(config, state)
    with state.transaction():
        others = state.intents.forget_others(owner)
        if state.fact(_OWNER_FACT) != owner:
            state.set_fact(_OWNER_FACT, owner)
    if before not in (None, owner):
        log_event(
            log,
            logging.WARNING,
            Event.OWNER_CHANGED,
            "the owner changed from %s to %s: %s of %s stay in the collection unchanged, and all"
            " files are added again as images of %s",
            *(before, owner, images(others), before, owner),
            count=others,
            owner=owner,
            before=before,
        )
    return owner


def recall_owner(state: State, embedded: ImageCollection) -> None:
    """If the state file was lost, take the owner from the embedded collection, which only holds
    images of this installation."""
    if known_owner(state) is not None:
        return
    with suppress(CollectionError):
        for image in embedded.get_images(count=1)["images"]:
            owner, dot, _ = image["id"].partition(".")
            if dot:
                state.set_fact(_OWNER_FACT, owner)


def report_host(config: CollectionConfig, state: State) -> None:
    """If the host's name differs from the owner, and no owner is configured, log once that the
    owner stays the same. Call this after ``take_owner``."""
    host = default_owner()
    if config.owner is not None or state.fact(_HOST_FACT) == host:
        return
    state.set_fact(_HOST_FACT, host)
    owner = owner_of(config, state)
    if owner != host:
        log_event(
            log,
            logging.WARNING,
            Event.OWNER_KEPT,
            "this host is now called %s; the images keep the owner %s. To make this explicit, set"
            " collection.owner: %s",
            *(host, owner, owner),
            owner=owner,
            host=host,
        )
