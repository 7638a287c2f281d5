"""The owner: what the ID of each image of this installation begins with.

A configured owner wins. Without one the state file remembers the owner, so a new name of the host
changes nothing. Only the very first run takes the host's name.
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

#: The name of the host that was last compared with the owner: a difference is reported once.
_HOST_FACT = "owner_host"


def known_owner(state: State) -> str | None:
    """The owner that the state file remembers, or the one of its images; ``None`` if there is
    neither."""
    return state.fact(_OWNER_FACT) or state.owner_of_images()


def owner_of(config: CollectionConfig, state: State) -> str:
    """The owner that is in force."""
    return config.owner or known_owner(state) or default_owner()


def take_owner(config: CollectionConfig, state: State) -> str:
    """Remember the owner that is in force. If it is another one than before, forget the images of
    the one before and log what that means."""
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
            "the owner is now %s, it was %s: %s of %s will stay in the collection unchanged, and"
            " the files are added as images of %s",
            *(owner, before, images(others), before, owner),
            count=others,
            owner=owner,
            before=before,
        )
    return owner


def recall_owner(state: State, embedded: ImageCollection) -> None:
    """The state file was lost: take the owner from the embedded collection, which holds the images
    of this installation only."""
    if known_owner(state) is not None:
        return
    with suppress(CollectionError):
        for image in embedded.get_images(count=1)["images"]:
            owner, dot, _ = image["id"].partition(".")
            if dot:
                state.set_fact(_OWNER_FACT, owner)


def report_host(config: CollectionConfig, state: State) -> None:
    """If the host has another name than the owner, and no owner is configured, log once that this
    changes nothing. Call after ``take_owner``."""
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
            "this host is called %s now; the images keep the owner %s. To make that explicit, set"
            " collection.owner: %s",
            *(host, owner, owner),
            owner=owner,
            host=host,
        )
