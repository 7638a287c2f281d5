"""The commands ``duplicates dismiss`` and ``duplicates restore``."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing

import click

from snoopsync.cli import group_view
from snoopsync.cli.completion import complete_file
from snoopsync.cli.context import Context, names_of, reading, result_from_service
from snoopsync.cli.group_selection import folder_option, kind_option
from snoopsync.cli.named import Named, file_links
from snoopsync.config.settings import Config
from snoopsync.core.exits import Exit
from snoopsync.core.text import counted
from snoopsync.state.database import Database
from snoopsync.state.decisions import Dismissal, Member
from snoopsync.state.group_members import dismissals_of_groups, dismissals_of_images
from snoopsync.state.group_order import GroupFilter
from snoopsync.state.groups import Groups
from snoopsync.state.images import State
from snoopsync.state.lock import holder, locked
from snoopsync.sync.comparing import comparing
from snoopsync.sync.components import open_state

#: After so many images, the next batch begins. An image takes some 100 bytes of a request to the
#: service, and the service does nothing else while it records a batch.
_IMAGES_AT_ONCE = 5000

_NOT_DUPLICATES = "these images are not known as duplicates of each other"


@click.command()
@click.argument("images", nargs=-1, shell_complete=complete_file)
@click.option("--group", type=int, metavar="N", help="All images of this group.")
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

    Name two or more IMAGES. Each is an ID, a file, or FOLDER/PATH as in the list. With `-`, the
    command reads their names from standard input, one per line, with an empty line between two
    groups. With --group, --kind or --folder, it dismisses all images of these groups. A picture
    that joins a group later is not covered.
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
            dismissals = _of_groups(groups, database, GroupFilter(kind, folder, None, wanted))
            if group is not None and not dismissals:
                raise click.ClickException(f"no open group has the number {group}")
        else:
            names = _groups_on_stdin() if images == ("-",) else [images]
            dismissals = _of_images(Named(config, database), database, names)
        if dry_run:
            now = time.time()
            shown = (groups.with_members(each.members, now) for each in dismissals)
            group_view.print_groups(context.out, filter(None, shown), file_links(database))
            return Exit.OK
    _dismiss(config, dismissals)
    many = f" {counted(len(dismissals), 'group')}" if is_filtered or len(dismissals) != 1 else ""
    context.out.print(f"dismissed{many}", highlight=False)
    return Exit.OK


def _of_groups(groups: Groups, database: Database, which: GroupFilter) -> list[Dismissal]:
    """A dismissal of each open group that matches."""
    if which.kind is None:
        return list(dismissals_of_groups(database, which))
    # The kinds depend on the image to keep.
    return [
        Dismissal(
            tuple(Member(each.side.image_id, each.side.content) for each in group.images),
            int(group.name),
        )
        for group in groups.listed(time.time(), which)
    ]


def _of_images(named: Named, database: Database, names: Sequence[Sequence[str]]) -> list[Dismissal]:
    """A dismissal of each of these sets of images. Raises ``ClickException`` unless all images of
    a set are in one group."""
    if any(len(set(each)) < 2 for each in names):
        raise click.UsageError("a decision is about two or more images")
    dismissals = dismissals_of_images(
        database, [list(dict.fromkeys(map(named.member, each))) for each in names]
    )
    found = [each for each in dismissals if each is not None]
    if len(found) < len(dismissals):
        raise click.ClickException(_NOT_DUPLICATES)
    return found


def _groups_on_stdin() -> list[list[str]]:
    groups: list[list[str]] = [[]]
    for line in sys.stdin.buffer.read().split(b"\n"):
        if line:
            groups[-1].append(os.fsdecode(line))
        elif groups[-1]:
            groups.append([])
    return [group for group in groups if group]


def _dismiss(config: Config, dismissals: Sequence[Dismissal]) -> None:
    if holder(config.state) is None:
        with locked(config.state), closing(open_state(config.state)) as database:
            decisions = State(database).decisions
            for batch in _batches(dismissals):
                decisions.dismiss(batch, time.time())
        return
    for batch in _batches(dismissals):
        messages = [each.as_message() for each in batch]
        result_from_service(config, {"command": "dismiss", "decisions": messages})


def _batches(dismissals: Sequence[Dismissal]) -> Iterator[list[Dismissal]]:
    """The dismissals in batches that a service carries out in one transaction each."""
    batch: list[Dismissal] = []
    images = 0
    for dismissal in dismissals:
        if batch and images >= _IMAGES_AT_ONCE:
            yield batch
            batch, images = [], 0
        batch.append(dismissal)
        images += len(dismissal.members)
    if batch:
        yield batch


@click.command()
@click.argument("images", nargs=-1, shell_complete=complete_file)
@click.option(
    "--group", metavar="N", help="All images of this group, as `duplicates --all` shows it."
)
@click.pass_obj
def restore(context: Context, images: tuple[str, ...], group: str | None) -> Exit:
    """Revert a dismissal: these images count as duplicates of each other again.

    Name two or more of the dismissed IMAGES. Each is an ID, a file, or FOLDER/PATH as in the list.
    """
    config = context.installation()
    if bool(images) == (group is not None) or len(images) == 1:
        raise click.UsageError("name two or more images, or use --group")
    with reading(config) as database:
        if group is None:
            members = list(map(Named(config, database).member, images))
        else:
            found = Groups(database, config.folder_order).everything(time.time(), name=group)
            members = [
                Member(each.side.image_id, each.side.content)
                for shown in found
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
