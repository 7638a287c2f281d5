"""The commands that look: ``status``, ``check``, ``list``, ``duplicates``, ``search``."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import click

from snoopsync.alerts import Pair
from snoopsync.assembly import COMMAND_PATIENCE_SECONDS, open_state, opened_collection
from snoopsync.cli import results
from snoopsync.cli.context import Context, answer, json_option, reading
from snoopsync.client.outage import RetryPolicy
from snoopsync.client.retrying import RetryingCollection
from snoopsync.config.settings import Config
from snoopsync.doctor import examine
from snoopsync.errors import Refused
from snoopsync.exits import Exit
from snoopsync.model import ImageState, Place, printable
from snoopsync.protocol import Match
from snoopsync.state.images import State
from snoopsync.state.lock import holder, locked
from snoopsync.state.pairs import Pairs, Side
from snoopsync.status import read_status


@click.command()
@json_option
@click.pass_obj
def status(context: Context, as_json: bool) -> Exit:
    """Is everything mirrored, and if not, what and why?"""
    found = read_status(context.installation())
    if as_json:
        results.json_lines([found.as_message()])
    else:
        results.status(context.out, found)
    return found.exit_code


@click.command()
@json_option
@click.pass_obj
def check(context: Context, as_json: bool) -> Exit:
    """Is everything as it should be, and if not, how is it mended? Changes nothing."""
    # What the parts have to say, the findings have.
    logging.getLogger("snoopsync").addHandler(logging.NullHandler())
    code = Exit.OK
    for finding in examine(context.config_path, os.environ):
        if as_json:
            results.json_lines([results.finding_message(finding)])
        else:
            results.finding(context.out, finding)
        sys.stdout.flush()  # the next one may wait for a disk or a network
        code = code or finding.exit_code
    return code


@click.command(name="list")
@json_option
@click.option(
    "--state",
    type=click.Choice([each.value for each in ImageState]),
    help="Only images that are so.",
)
@click.pass_obj
def list_command(context: Context, as_json: bool, state: str | None) -> Exit:
    """List every known image."""
    with reading(context.installation()) as database:
        rows = State(database).images(ImageState(state) if state else None)
        if as_json:
            results.json_lines(map(results.image_message, rows))
        else:
            results.image_list(context.out, rows)
    return Exit.OK


@click.group(invoke_without_command=True)
@json_option
@click.option("--all", "everything", is_flag=True, help="Also those dismissed, and those gone.")
@click.pass_context
def duplicates(click_context: click.Context, as_json: bool, everything: bool) -> Exit:
    """List the pictures that are there twice."""
    if click_context.invoked_subcommand is not None:
        return Exit.OK
    context: Context = click_context.obj
    with reading(context.installation()) as database:
        pairs = Pairs(database).listed(everything=everything)
    if as_json:
        results.json_lines(map(results.duplicate_message, pairs))
    else:
        results.duplicates(context.out, pairs)
    return Exit.OK


@duplicates.command()
@click.argument("a")
@click.argument("b")
@click.pass_obj
def dismiss(context: Context, a: str, b: str) -> Exit:
    """Never alert about the pair of A and B again: two images, by ID or by path."""
    config = context.installation()
    with reading(config) as database:
        ids = [_image_named(config, State(database), Pairs(database), name) for name in (a, b)]
    if not _dismiss(config, Pair.of(*ids)):
        raise click.ClickException("these two are not known as duplicates of each other")
    context.out.print("dismissed")
    return Exit.OK


def _dismiss(config: Config, pair: Pair) -> bool:
    if holder(config.state) is not None:
        return answer(config, {"command": "dismiss", "a": pair.a, "b": pair.b})["known"] is True
    with locked(config.state), closing(open_state(config.state)) as database:
        return Pairs(database).dismiss(pair)


def _image_named(config: Config, state: State, pairs: Pairs, name: str) -> str:
    """The ID of an image that is given by its ID, its file, or ``FOLDER/PATH`` as it is listed."""
    with suppress(UnicodeEncodeError):  # of a file's name; an ID is a text
        if pairs.knows(name) or state.is_taken(name):
            return name
    for place in _places_named(config, name):
        record = state.record_at(place)
        if record is not None:
            return record.image_id
    raise click.ClickException(f"{printable(name)} is neither an image's ID nor a mirrored file")


def _places_named(config: Config, name: str) -> Iterator[Place]:
    path = os.path.realpath(name)
    for folder in config.folders:
        root = os.path.realpath(folder.path).rstrip("/") + "/"
        if path.startswith(root):
            yield Place(folder.name, os.fsencode(path.removeprefix(root)))
        if name.startswith(folder.name + "/"):
            yield Place(folder.name, os.fsencode(name.removeprefix(folder.name + "/")))


@click.command()
@click.argument("image", type=click.Path(dir_okay=False, path_type=Path))
@json_option
@click.pass_obj
def search(context: Context, image: Path, as_json: bool) -> Exit:
    """Find pictures like this file."""
    config = context.installation()
    with reading(config) as database, opened_collection(config, make=False) as inner:
        policy = RetryPolicy(patience_seconds=COMMAND_PATIENCE_SECONDS)
        try:
            matches = RetryingCollection(inner, policy=policy).search_images(image)["results"]
        except OSError as error:
            raise click.ClickException(f"{printable(str(image))}: {error.strerror}") from None
        except Refused as error:
            raise click.ClickException(f"{printable(str(image))}: {error.message}") from None
        found = [_found(State(database), match) for match in matches]
    if as_json:
        messages = [results.match_message(side, rank) for side, rank in found]
        results.json_lines([{"results": messages}])
    else:
        results.matches(context.out, found)
    return Exit.OK


def _found(state: State, match: Match) -> tuple[Side, int]:
    record = state.record(match["id"])
    return Side(match["id"], record.place if record else None), match["rank"]
