"""The commands ``duplicates dismiss`` and ``duplicates restore``."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from contextlib import closing

import click

from snoopsync.cli import group_view
from snoopsync.cli.completion import complete_file
from snoopsync.cli.context import Context, names_of, reading, result_from_service
from snoopsync.cli.group_selection import comparing, folder_option, kind_option
from snoopsync.cli.named import file_links, member_named
from snoopsync.config.settings import Config
from snoopsync.core.exits import Exit
from snoopsync.core.text import counted
from snoopsync.state.database import Database
from snoopsync.state.decisions import Dismissal, Member
from snoopsync.state.groups import Group, GroupFilter, Groups
from snoopsync.state.images import State
from snoopsync.state.lock import holder, locked
from snoopsync.sync.components import open_state

#: A request to the service has at most so many images: some 100 bytes each.
_IMAGES_PER_REQUEST = 5000

_NOT_DUPLICATES = "these images are not known as duplicates of each other"


@click.command()
@click.argument("images", nargs=-1, shell_complete=complete_file)
@click.option("--group", type=int, help="All images of this group.")
@kind_option
@folder_option
@click.option("--dry-run", is_flag=True, help="Print the groups, change nothing.")
@click.pass_obj
def dismiss(
    context: Context,
    images: tuple[str, ...],
    group: int | None,
    kind: str | None,
    folder: str | None,
    dry_run: bool,
) -> Exit:
    """Mark images as not duplicates of each other, and never alert about them again.

    IMAGES are two or more images: each an ID, a file, or FOLDER/PATH as in the list. With `-`,
    their names are read from standard input, one per line, groups separated by an empty line. With
    --group, --kind or --folder, all images of these groups are dismissed. A picture that joins
    later is not covered.
    """
    config = context.installation()
    is_filtered = group is not None or kind is not None or folder is not None
    if bool(images) == is_filtered:
        raise click.UsageError("name two or more images, or use --group, --kind or --folder")
    if folder is not None:
        [folder] = names_of(config, [folder])
    with reading(config) as database, comparing(config) as compare:
        groups = Groups(database, config.folder_order, compare)
        if is_filtered:
            wanted = None if group is None else frozenset({group})
            shown = list(groups.listed(time.time(), GroupFilter(kind, folder, None, wanted)))
            if group is not None and not shown:
                raise click.ClickException(f"no open group has the number {group}")
        else:
            named = _groups_on_stdin() if images == ("-",) else [images]
            shown = [_named_group(config, database, groups, each) for each in named]
        if dry_run:
            group_view.print_groups(context.out, iter(shown), file_links(database))
            return Exit.OK
    dismissals = [_dismissal(each) for each in shown]
    _dismiss(config, dismissals)
    many = f" {counted(len(dismissals), 'group')}" if is_filtered or len(dismissals) != 1 else ""
    context.out.print(f"dismissed{many}", highlight=False)
    return Exit.OK


def _groups_on_stdin() -> list[list[str]]:
    groups: list[list[str]] = [[]]
    for line in sys.stdin.buffer.read().split(b"\n"):
        if line:
            groups[-1].append(os.fsdecode(line))
        elif groups[-1]:
            groups.append([])
    return [group for group in groups if group]


def _named_group(config: Config, database: Database, groups: Groups, names: Sequence[str]) -> Group:
    """The named images as a group. Raises ``ClickException`` unless they are in one group."""
    if len(set(names)) < 2:
        raise click.UsageError("a decision is about two or more images")
    members = {member_named(config, database, name) for name in names}
    group = groups.with_members(members, time.time())
    if group is None:
        raise click.ClickException(_NOT_DUPLICATES)
    return group


def _dismissal(group: Group) -> Dismissal:
    members = tuple(Member(each.side.image_id, each.side.content) for each in group.images)
    return Dismissal(members, int(group.name) if group.name.isdecimal() else None)


def _dismiss(config: Config, dismissals: Sequence[Dismissal]) -> None:
    if holder(config.state) is None:
        with locked(config.state), closing(open_state(config.state)) as database:
            State(database).decisions.dismiss(dismissals, time.time())
        return
    batch: list[Dismissal] = []
    for dismissal in dismissals:
        if batch and sum(len(each.members) for each in batch) >= _IMAGES_PER_REQUEST:
            _send_dismissals(config, batch)
            batch = []
        batch.append(dismissal)
    _send_dismissals(config, batch)


def _send_dismissals(config: Config, dismissals: Sequence[Dismissal]) -> None:
    if dismissals:
        decisions = [each.as_message() for each in dismissals]
        result_from_service(config, {"command": "dismiss", "decisions": decisions})


@click.command()
@click.argument("images", nargs=-1, shell_complete=complete_file)
@click.option("--group", help="All images of this group, as `duplicates --all` shows it.")
@click.pass_obj
def restore(context: Context, images: tuple[str, ...], group: str | None) -> Exit:
    """Revert a dismissal: these images count as duplicates of each other again.

    IMAGES are two or more of the dismissed images: each an ID, a file, or FOLDER/PATH as in the
    list.
    """
    config = context.installation()
    if bool(images) == (group is not None) or len(images) == 1:
        raise click.UsageError("name two or more images, or use --group")
    with reading(config) as database:
        if group is None:
            members = [member_named(config, database, name) for name in images]
        else:
            found = Groups(database, config.folder_order).everything(time.time())
            members = [
                Member(each.side.image_id, each.side.content)
                for shown in found
                if shown.name == group
                for each in shown.images
            ]
    number = int(group) if group is not None and group.isdecimal() else None
    if not _restore(config, members, number):
        raise click.ClickException("these images were not dismissed")
    context.out.print("restored")
    return Exit.OK


def _restore(config: Config, members: Sequence[Member], group: int | None) -> int:
    if holder(config.state) is None:
        with locked(config.state), closing(open_state(config.state)) as database:
            return State(database).decisions.restore(members, group)
    message = [member.as_message() for member in members]
    request = {"command": "restore", "members": message, "group": group}
    return int(result_from_service(config, request)["restored"])
