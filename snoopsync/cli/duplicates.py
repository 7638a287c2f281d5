"""The command ``duplicates``, which lists groups of duplicates, and its subcommands ``dismiss`` and
``restore``."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from snoopsync.cli import exit_codes, group_view
from snoopsync.cli import output as results
from snoopsync.cli.completion import complete_file
from snoopsync.cli.context import Context, json_option, names_of, reading
from snoopsync.cli.dismissals import dismiss, restore
from snoopsync.cli.group_selection import folder_option, kind_option
from snoopsync.cli.json_lines import print_json
from snoopsync.cli.named import Named, file_links
from snoopsync.cli.queries import details_option
from snoopsync.cli.surplus import surplus_files
from snoopsync.config.settings import Config
from snoopsync.core.exits import Exit
from snoopsync.core.model import printable
from snoopsync.folders.companions import companion_finder
from snoopsync.state.database import Database
from snoopsync.state.decisions import Decisions
from snoopsync.state.group_order import GroupFilter, GroupSort
from snoopsync.state.groups import Group, Groups
from snoopsync.state.pairs import Duplicate, Pairs, PairState
from snoopsync.state.searches import Searches
from snoopsync.sync.comparing import comparing


class _ListingGroup(click.Group):
    """A group that lists if its first argument is not a subcommand. Its own arguments and options
    are those of the list."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments of the list, or find the subcommand."""
        ctx.allow_interspersed_args = not (args and args[0] in self.commands)
        return super().parse_args(ctx, args)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The arguments and options of the list; none before a subcommand."""
        # click also asks with the context of a subcommand, for its usage.
        is_list = ctx.command is self and ctx.allow_interspersed_args
        return super().get_params(ctx) if is_list else []

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """The usage of the list."""
        return ["[OPTIONS]", "[PATH]..."]


def _complete_path_or_subcommand(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem[str]]:
    """Completes files and, in the place of the first argument, subcommands."""
    group = context.command
    assert isinstance(group, click.Group)
    if context.params.get("paths"):
        return complete_file(context, parameter, incomplete)
    subcommands = group.shell_complete(context, incomplete)
    return [*complete_file(context, parameter, incomplete), *subcommands]


@dataclass(frozen=True, slots=True)
class _Options:
    """What to list, and how."""

    as_json: bool
    which: GroupFilter
    sort: GroupSort
    limit: int | None
    everything: bool


@click.group(cls=_ListingGroup, invoke_without_command=True)
@click.argument("paths", nargs=-1, metavar="[PATH]...", shell_complete=_complete_path_or_subcommand)
@json_option
@kind_option
@folder_option
@click.option("--group", type=int, metavar="N", help="Only this group.")
@click.option(
    "--max-rank",
    type=click.IntRange(0),
    metavar="N",
    help="Only groups with an image of this rank or a lower one.",
)
@click.option(
    "--limit",
    type=click.IntRange(1),
    metavar="N",
    help="List at most this many groups, or pairs with --pairs.",
)
@click.option(
    "--sort",
    type=click.Choice([each.value for each in GroupSort]),
    default=GroupSort.WASTE.value,
    help="Sort by the bytes that can be freed (default), by when the group was found, or by the"
    " number of images.",
)
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Also list dismissed images, and images whose files are gone.",
)
@click.option("--pairs", is_flag=True, help="List pairs instead of groups.")
@click.option(
    "--surplus",
    is_flag=True,
    help="Print the files that can be removed: files with the same bytes as the picture to keep,"
    " and with --kind reencoded also its re-encodings.",
)
@click.option("-0", "nul", is_flag=True, help="With --surplus: end each path with a NUL byte.")
@click.option(
    "--exit-code",
    "as_exit_code",
    is_flag=True,
    help="Exit with 8 if a listed group is open, otherwise with 3 if images are still to be"
    " compared.",
)
@details_option
@click.pass_context
def duplicates(click_context: click.Context, /, **given: Any) -> Exit:
    """List groups of pictures that are the same or alike, the largest waste first.

    With PATHs, list only groups that contain one of these files, or a file in one of these
    directories. The rank measures similarity: 0 is the same picture, and larger ranks are less
    similar. The kind describes how an image differs from the picture to keep. A series is a burst
    or a bracket: its pictures are alike, but no duplicates. This command changes nothing.

    `snoopsync duplicates dismiss` marks images as not duplicates of each other, and `snoopsync
    duplicates restore` reverts that.
    """
    if click_context.invoked_subcommand is not None:
        return Exit.OK
    context: Context = click_context.obj
    config = context.installation()
    with reading(config) as database, comparing(config) as compare:
        options = _options(config, database, **given)
        groups = Groups(database, config.folder_order, compare)
        if given["surplus"]:
            is_open = _print_surplus(config, database, _listed(groups, options), given)
        elif given["pairs"]:
            is_open = _print_pairs(context, config, database, options)
        else:
            is_open = _print_groups(context, config, database, _listed(groups, options), options)
        if not given["as_exit_code"]:
            return Exit.OK
        return exit_codes.of_duplicates(is_open=is_open, to_compare=Searches(database).count_due())


def _options(
    config: Config,
    database: Database,
    *,
    paths: tuple[str, ...],
    group: int | None,
    folder: str | None,
    kind: str | None,
    max_rank: int | None,
    **flags: Any,
) -> _Options:
    if folder is not None:
        [folder] = names_of(config, [folder])
    wanted = _groups_named(config, database, paths) if paths else None
    if group is not None:
        wanted = frozenset({group}) if wanted is None else wanted & {group}
    if flags["surplus"]:
        if kind not in (None, "identical", "reencoded"):
            raise click.UsageError("--surplus takes --kind identical or reencoded only")
        kind = None  # which files are printed, not which groups are listed
    return _Options(
        flags["as_json"],
        GroupFilter(kind, folder, max_rank, wanted),
        GroupSort(flags["sort"]),
        flags["limit"],
        flags["everything"],
    )


def _listed(groups: Groups, options: _Options) -> Iterator[Group]:
    now = time.time()
    found = (
        iter(_sorted(groups.everything(now, options.which), options.sort))
        if options.everything
        else groups.listed(now, options.which, options.sort)
    )
    for number, group in enumerate(found):
        if options.limit is not None and number >= options.limit:
            return
        yield group


def _sorted(groups: Iterable[Group], sort: GroupSort) -> list[Group]:
    def key(group: Group) -> float:
        match sort:
            case GroupSort.FOUND:
                return -group.found_at
            case GroupSort.SIZE:
                return -len(group.images)
        return -group.waste_bytes

    return sorted(groups, key=key)


def _print_groups(
    context: Context,
    config: Config,
    database: Database,
    groups: Iterator[Group],
    options: _Options,
) -> bool:
    """Print the groups. Returns whether one of them is open."""
    opened = _Opened()
    noted = opened.noting(groups)
    if options.as_json:
        finder = companion_finder(config)
        print_json(group_view.group_json(group, finder) for group in noted)
    else:
        group_view.print_groups(context.out, noted, file_links(database))
    return opened.is_any


@dataclass(slots=True)
class _Opened:
    """Whether any of the groups that pass is open."""

    is_any: bool = False

    def noting(self, groups: Iterable[Group]) -> Iterator[Group]:
        for group in groups:
            self.is_any = self.is_any or group.is_open
            yield group


def _print_pairs(context: Context, config: Config, database: Database, options: _Options) -> bool:
    """Print the pairs. Returns whether one of them is open."""
    order, now, which = config.folder_order, time.time(), options.which
    opened = False

    def listed() -> Iterator[results.ListedPair]:
        nonlocal opened
        count = 0
        for pair in Pairs(database).listed(everything=options.everything):
            if not _pair_matches(pair, which):
                continue
            if options.limit is not None and count >= options.limit:
                return
            count += 1
            opened = opened or pair.state is PairState.OPEN
            yield results.ListedPair(pair, pair.keep(order, now))

    if options.as_json:
        print_json(map(results.pair_json, listed()))
    else:
        results.print_duplicates(context.out, listed(), file_links(database))
    return opened


def _pair_matches(pair: Duplicate, which: GroupFilter) -> bool:
    if which.kind is not None and pair.kind != which.kind:
        return False
    if which.max_rank is not None and pair.rank > which.max_rank:
        return False
    if which.groups is not None and pair.group not in which.groups:
        return False
    paths = (side.rel_path or side.was for side in (pair.a, pair.b))
    return which.folder is None or any(
        path is not None and path.folder == which.folder for path in paths
    )


def _print_surplus(
    config: Config, database: Database, groups: Iterator[Group], given: Mapping[str, Any]
) -> bool:
    """Print the paths of the files that can be removed. Returns whether a group is open."""
    opened = _Opened()
    decisions = Decisions(database)
    nul, with_reencoded = given["nul"], given["kind"] == "reencoded"
    for group in opened.noting(groups):
        for path in surplus_files(config, decisions, group, with_reencoded=with_reencoded):
            if not nul and b"\n" in path:
                sys.stderr.write(f"left out, because of a newline: {printable(path)}\n")
                continue
            _write(path + (b"\0" if nul else b"\n"))
    return opened.is_any


def _write(line: bytes) -> None:
    """Write bytes to standard output, which may be replaced by a stream of text."""
    sys.stdout.flush()
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
    else:
        sys.stdout.write(os.fsdecode(line))


def _groups_named(config: Config, database: Database, names: Sequence[str]) -> frozenset[int]:
    """The groups with an image that one of the names means: a file, a directory, or an ID."""
    groups, named = Groups(database, config.folder_order), Named(config, database)
    found: set[int | None] = set()
    for name in names:
        if Path(name).is_dir():
            for rel_path in named.rel_paths(name):
                found |= groups.below(rel_path)
        else:
            found.add(groups.of_content(named.member(name).content))
    return frozenset(each for each in found if each is not None)


duplicates.add_command(dismiss)
duplicates.add_command(restore)
