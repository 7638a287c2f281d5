"""Approves or discards held deletions in a state file that no service uses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from snoopsync.config.settings import Config, FolderConfig
from snoopsync.core.errors import FolderMissing
from snoopsync.core.identity import IdentityVerdict, decide
from snoopsync.core.model import FolderState
from snoopsync.folders.configured import identity_of
from snoopsync.state.images import State


def approve_held(state: State, config: Config, name: str | None, discard: bool) -> dict[str, Any]:
    """Do the same as a running service, for this folder or for all. Returns the same result:
    ``images``, how many, and ``taken``, whether the present directory is accepted as a folder that
    was missing. Raises ``FolderMissing``."""
    folders = [folder for folder in config.folders if name in (None, folder.name)]
    with state.transaction():
        if discard:
            count = sum(state.deletions.discard(folder.name) for folder in folders)
            return {"images": count, "taken": False}
        taken = name is not None and _accept(state, folders[0])
        count = sum(state.deletions.approve(folder.name) for folder in folders)
        return {"images": count, "taken": taken}


def _accept(state: State, folder: FolderConfig) -> bool:
    """Accept the present directory as the folder. Returns whether the folder was missing."""
    try:
        identity = identity_of(folder)
    except FolderMissing as error:
        raise FolderMissing(f"folder {folder.name} is missing: {error}") from None
    for row in state.folders.rows():
        verdict = decide(row.identity, identity, observed_here=False)
        is_missing = row.state is FolderState.MISSING
        if row.name == folder.name and (
            verdict is IdentityVerdict.OTHER
            or (is_missing and verdict is IdentityVerdict.CANNOT_TELL)
        ):
            state.folders.save(replace(row.with_identity(identity), accepted=True))
            return is_missing
    return False
