"""The command ``approve``, which sends or discards held deletions."""

from __future__ import annotations

from contextlib import closing

import click

from snoopsync.cli import output as results
from snoopsync.cli.context import (
    Context,
    complete_folder,
    names_of,
    reading,
    result_from_service,
)
from snoopsync.core.exits import Exit
from snoopsync.core.text import images
from snoopsync.state.images import State
from snoopsync.state.lock import holder, locked
from snoopsync.sync.approving import approve_held
from snoopsync.sync.components import open_state


@click.command()
@click.argument("folder", required=False, shell_complete=complete_folder)
@click.option(
    "--discard", is_flag=True, help="Keep these images in the collection, and forget them."
)
@click.option("--dry-run", is_flag=True, help="Print the held images, change nothing.")
@click.pass_obj
def approve(context: Context, folder: str | None, discard: bool, dry_run: bool) -> Exit:
    """Send the held deletions of one FOLDER, or of all folders.

    Deletions are held if there are many, or if they would empty a folder. List them with: snoopsync
    list --state held.

    If a FOLDER is missing because another directory is in its place, this command accepts that
    directory as the folder.
    """
    config = context.installation()
    name = next(iter(names_of(config, [folder]))) if folder is not None else None
    if dry_run:
        with reading(config) as database:
            results.print_held(
                context.out, State(database), names_of(config, [folder] if folder else [])
            )
        return Exit.OK
    if holder(config.state) is not None:
        request = {"command": "approve", "folder": name, "discard": discard}
        done, when = result_from_service(config, request), "now"
    else:
        with locked(config.state), closing(open_state(config.state)) as database:
            done, when = approve_held(State(database), config, name, discard), "by the next run"
    count, is_accepted = done["images"], done["taken"]
    if is_accepted:
        context.out.print(f"folder {name}: the present directory is accepted", highlight=False)
    if discard and count:
        line = f"{images(count)} forgotten, and kept in the collection"
        context.out.print(line, highlight=False)
    elif count:
        context.out.print(f"{images(count)} will be deleted {when}", highlight=False)
    elif not is_accepted:
        context.out.print("no deletions are held")
    return Exit.OK
