"""The commands that host collections: ``serve`` with its subcommands, and ``keys``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import wraps
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from snoopsync.cli.context import Context, json_option
from snoopsync.cli.hiding import hide_password
from snoopsync.cli.json_lines import print_json
from snoopsync.cli.tables import Column, write_table
from snoopsync.config.directories import no_home, state_directory
from snoopsync.config.settings import LogConfig
from snoopsync.core.addresses import Address
from snoopsync.core.errors import Refused, SnoopsyncError
from snoopsync.core.exits import Exit
from snoopsync.core.model import printable
from snoopsync.core.text import counted, iso
from snoopsync.log import setup as logs

if TYPE_CHECKING:
    from rich.console import Console

    # Late, because it loads SQLite.
    from snoopsync.server.storage import Location
    from snoopsync.storage.hosting import Key

Command = TypeVar("Command", bound=Callable[..., Any])


#: The environment variable with the address of the database.
DATABASE_VARIABLE = "SNOOPSYNC_DATABASE"


def _default_data() -> Path:
    """The state directory of the systemd unit, else a directory of the user."""
    given = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given)
    directory = state_directory()
    if directory is None:
        raise no_home("--data", "XDG_STATE_HOME")
    return directory / "hosted"


def _database(_context: click.Context, _option: click.Parameter, address: str | None) -> str | None:
    """The address of the database, whose password other users cannot see from now on."""
    if address is not None:
        from snoopsync.server.storage import require_postgres

        require_postgres()
        hide_password(address)
    return address


def _location_options(command: Command) -> Command:
    """The options that say where collections are stored, as one argument ``location``."""

    @wraps(command)
    def with_location(
        *arguments: Any, data: Path, database: str | None, master_key: Path | None, **options: Any
    ) -> Any:
        location = _location(data, database, master_key)
        return command(*arguments, location=location, **options)

    options = (
        click.option(
            "--data",
            type=click.Path(file_okay=False, path_type=Path),
            default=_default_data,
            show_default="~/.local/state/snoopsync/hosted",
            help="The directory with the collections and keys; with --database, only what a node"
            " needs of its own.",
        ),
        click.option(
            "--database",
            metavar="URL",
            envvar=DATABASE_VARIABLE,
            callback=_database,
            help="The PostgreSQL database with the collections and keys: postgresql://USER@HOST/NAME."
            f" Also ${DATABASE_VARIABLE}.",
        ),
        click.option(
            "--master-key",
            type=click.Path(dir_okay=False, path_type=Path),
            help="The file with the master key, which all nodes share.",
        ),
    )
    decorated: Any = with_location
    for option in reversed(options):
        decorated = option(decorated)
    return cast("Command", decorated)


def _location(data: Path, database: str | None, master_key: Path | None) -> Location:
    from snoopsync.server.storage import Location

    return Location(data, database, master_key)


def _address(_context: click.Context, _option: click.Parameter, text: str | None) -> Address | None:
    try:
        return None if text is None else Address.parse(text, lowest_port=0)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not HOST:PORT") from None


@click.group(invoke_without_command=True)
@click.option(
    "--listen",
    default="127.0.0.1:8470",
    show_default=True,
    callback=_address,
    metavar="HOST:PORT",
    help="The address to listen on.",
)
@_location_options
@click.option(
    "--certificate",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The TLS certificate and its chain.",
)
@click.option(
    "--key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The private key of the TLS certificate.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=(os.cpu_count() or 1) + 1,  # one client can use all but one process
    show_default="the number of cores plus one",
    help="The number of processes that decode pictures.",
)
@click.option(
    "--metrics",
    callback=_address,
    metavar="HOST:PORT",
    help="Serve metrics for Prometheus on this address, without keys.",
)
@click.pass_context
def serve(
    click_context: click.Context,
    listen: Address,
    location: Location,
    certificate: Path | None,
    key: Path | None,
    workers: int,
    metrics: Address | None,
) -> Exit:
    """Host collections for other machines until stopped.

    Create the keys for a collection with: snoopsync keys add NAME.
    """
    if click_context.invoked_subcommand is not None:
        given = {"data": location.data, "database": location.database}
        click_context.default_map = {click_context.invoked_subcommand: given}
        return Exit.OK
    if (certificate is None) != (key is None):
        raise click.UsageError("--certificate and --key must be used together")
    context: Context = click_context.obj
    _start_logging(context)
    _require_extra()
    if metrics is not None:
        _require_metrics()
    # Imported late: only this command needs the libraries.
    from snoopsync.server.main import serve as run

    with logs.in_background():
        run(location, listen, certificate=certificate, key=key, decoders=workers, metrics=metrics)
    return Exit.OK


@serve.command(short_help="Back up the collections and keys.")
@click.argument("target", type=click.Path(path_type=Path))
@_location_options
@click.pass_obj
def backup(context: Context, target: Path, location: Location) -> Exit:
    """Copy the collections and keys into the new directory TARGET.

    Works while the service runs. For a database, use pg_dump.
    """
    if location.database is not None:
        raise click.UsageError("back up the database with pg_dump, and the file of the master key")
    from snoopsync.server.backup import back_up

    count = back_up(location.data, target)
    context.out.print(
        f"copied {counted(count, 'collection')} and the keys to {printable(str(target))}",
        highlight=False,
    )
    return Exit.OK


@serve.command(short_help="Create or upgrade the tables of a database.")
@click.option(
    "--database",
    metavar="URL",
    envvar=DATABASE_VARIABLE,
    callback=_database,
    required=True,
    help="The PostgreSQL database, with a role that may create tables.",
)
@click.option("--grant", metavar="ROLE", help="The role of the nodes, which may only change rows.")
@click.pass_obj
def schema(context: Context, database: str, grant: str | None) -> Exit:
    """Create or upgrade the tables of a PostgreSQL database.

    The nodes do this by themselves if their role may. With --grant, their role needs no right but
    to read and change rows.
    """
    from snoopsync.server.storage import prepare_database

    context.out.print(prepare_database(database, grant), highlight=False)
    return Exit.OK


@serve.command(name="import", short_help="Move everything from a directory to a database.")
@_location_options
@json_option
@click.pass_obj
def import_command(context: Context, location: Location, as_json: bool) -> Exit:
    """Copy the collections and keys of --data to --database, and compare them.

    Stop the service and all nodes first. After an interruption, run the command again: it
    continues. --data is not changed.
    """
    return _move(context, location, as_json, from_directory=True)


@serve.command(name="export", short_help="Move everything from a database to a directory.")
@_location_options
@json_option
@click.pass_obj
def export_command(context: Context, location: Location, as_json: bool) -> Exit:
    """Copy the collections and keys of --database to --data, and compare them.

    Stop all nodes first. After an interruption, run the command again: it continues. --database
    is not changed. --data also gets the master key.
    """
    return _move(context, location, as_json, from_directory=False)


def _move(context: Context, location: Location, as_json: bool, *, from_directory: bool) -> Exit:
    if location.database is None:
        raise click.UsageError("--database is required")
    _start_logging(context)
    from snoopsync.cli.moving import move

    move(context, location, as_json, from_directory=from_directory)
    return Exit.OK


@click.group()
def keys() -> None:
    """Manage the keys for hosted collections."""


@keys.command(short_help="Create a key pair for a collection.")
@click.argument("name")
@click.option("--label", metavar="TEXT", help="A name for the key, which `keys list` shows.")
@_location_options
@json_option
@click.pass_obj
def add(context: Context, name: str, label: str | None, location: Location, as_json: bool) -> Exit:
    """Create a key pair for the collection NAME, and the collection if it does not exist."""
    from snoopsync.server.storage import open_storage

    with open_storage(location) as storage:
        try:
            key = storage.hosting.add_key(name, label)
        except Refused as error:
            raise click.UsageError(error.message) from None
    created = {
        "collection_id": key.collection_id,
        "collection_name": key.collection_name,
        "public_key": key.public_key,
        "secret_key": storage.master_key.secret_of(key.public_key),
    }
    if as_json:
        print_json([created])
        return Exit.OK
    for label, value in created.items():
        click.echo(f"{label}: {value}")
    click.echo("store the secret key safely: it is shown only once", err=True)
    return Exit.OK


@keys.command(name="list")
@_location_options
@json_option
@click.pass_obj
def list_keys(context: Context, location: Location, as_json: bool) -> Exit:
    """List the public keys."""
    from snoopsync.server.storage import open_hosting

    with open_hosting(location) as hosting:
        known, where = hosting.all_keys(), hosting.description
    if not known:
        click.echo(f"no keys in {printable(where)}", err=True)
    if as_json:
        print_json(_key_json(key) for key in known)
        return Exit.OK
    _print_keys(context.out, known)
    return Exit.OK


@keys.command()
@click.argument("public_key")
@_location_options
@click.pass_obj
def revoke(context: Context, public_key: str, location: Location) -> Exit:
    """Revoke PUBLIC_KEY, with immediate effect. Its collection stays."""
    from snoopsync.server.storage import open_hosting

    with open_hosting(location) as hosting:
        if not hosting.revoke(public_key):
            raise click.ClickException(f"unknown or revoked key: {printable(public_key)}")
    context.out.print("revoked")
    return Exit.OK


def _key_json(key: Key) -> dict[str, Any]:
    times = {name: iso(getattr(key, name)) for name in ("created_at", "revoked_at", "last_used_at")}
    return asdict(key) | times


def _print_keys(console: Console, keys: Iterable[Key]) -> None:
    """Print the keys, one per line."""
    write_table(
        console,
        (
            Column("public key"),
            Column("ID", optional=True),
            Column("created", optional=True),
            Column("last used"),
            Column("revoked"),
            Column("collection"),
            Column("label"),
        ),
        (
            (
                key.public_key,
                key.collection_id,
                *(_day(key.created_at), _day(key.last_used_at), _day(key.revoked_at)),
                *(key.collection_name, printable(key.label or "")),
            )
            for key in keys
        ),
    )


def _day(seconds: float | None) -> str:
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def _start_logging(context: Context) -> None:
    config = LogConfig()
    if context.log_format is not None:
        config = replace(config, format=context.log_format)
    logs.configure(config, verbosity=context.verbosity, environ=os.environ)


def _require_extra() -> None:
    try:
        import h11  # noqa: F401
        import starlette  # noqa: F401
    except ImportError as error:
        raise SnoopsyncError(f"serve needs {error.name}: pip install 'snoopsync[serve]'") from None


def _require_metrics() -> None:
    if find_spec("prometheus_client") is None:
        raise SnoopsyncError("--metrics needs prometheus_client: pip install 'snoopsync[metrics]'")
