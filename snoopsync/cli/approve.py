"""The command ``approve``: sends the deletions that are held, or discards them."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import click

from snoopsync.cli import output as results
from snoopsync.cli.context import Context, answer, complete_folder, names_of, reading
from snoopsync.config.settings import Config, FolderConfig
from snoopsync.control.channel import Message
from snoopsync.core.errors import FolderMissing
from snoopsync.core.exits import Exit
from snoopsync.core.identity import IdentityVerdict, decide
from snoopsync.core.model import FolderState
from snoopsync.core.text import images
from snoopsync.folders.configured import identity_of
from snoopsync.state.images import State
from snoopsync.state.lock import holder, locked
from snoopsync.sync.components import open_state


@click.command()
@click.argument("folder", required=False, shell_complete=complete_folder)
@click.option(
    "--discard", is_flag=True, help="Forget these images instead: they stay in the collection."
)
@click.option("--dry-run", is_flag=True, help="Print these images, change nothing.")
@click.pass_obj
def approve(context: Context, folder: str | None, discard: bool, dry_run: bool) -> Exit:
    """Let held deletions go out, of one FOLDER or of all.

    Deletions are held when they are many, or would empty a folder. See which with: snoopsync list
    --state held.

    A FOLDER that is missing because another directory is in its place: take that directory.
    """
    config = context.installation()
    name = next(iter(names_of(config, [folder]))) if folder is not None else None
    if dry_run:
        with reading(config) as database:
            results.held(context.out, State(database), names_of(config, [folder] if folder else []))
        return Exit.OK
    if holder(config.state) is not None:
        question = {"command": "approve", "folder": name, "discard": discard}
        done, when = answer(config, question), "now"
    else:
        with locked(config.state), closing(open_state(config.state)) as database:
            done, when = _approve(State(database), config, name, discard), "by the next run"
    count, taken = done["images"], done["taken"]
    if taken:
        context.out.print(f"folder {name} is the directory that is there now", highlight=False)
    if not count:
        if not taken:
            context.out.print("no deletion is held")
    elif discard:
        context.out.print(
            f"{images(count)} forgotten; in the collection they stay", highlight=False
        )
    else:
        context.out.print(f"{images(count)} to be deleted {when}", highlight=False)
    return Exit.OK


def _approve(state: State, config: Config, name: str | None, discard: bool) -> Message:
    """What a service answers, without one. Raises ``FolderMissing``."""
    folders = [folder for folder in config.folders if name in (None, folder.name)]
    with state.transaction():
        if discard:
            count = sum(state.deletions.discard(folder.name) for folder in folders)
            return {"images": count, "taken": False}
        taken = name is not None and _take(state, folders[0])
        count = sum(state.deletions.approve(folder.name) for folder in folders)
        return {"images": count, "taken": taken}


def _take(state: State, folder: FolderConfig) -> bool:
    """Take the directory that is there now for the folder. Was it another one?"""
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
