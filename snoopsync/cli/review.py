"""The command ``review``, which serves a page to compare duplicates and decide about them."""

from __future__ import annotations

import os
import pwd
import re
import shlex
import signal
import threading
from contextlib import nullcontext, suppress

import click

from snoopsync.cli.context import Context
from snoopsync.config.directories import cache_directory, no_home
from snoopsync.core.addresses import Address, is_loopback
from snoopsync.core.errors import SnoopsyncError
from snoopsync.core.exits import Exit

#: How often the command looks whether the page still runs.
_LOOK_SECONDS = 1.0

#: A name or an address, as in the Host header, perhaps with a port.
_HOST_NAME = re.compile(r"([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(:[0-9]{1,5})?")


def _address(_context: click.Context, _option: click.Parameter, text: str) -> Address:
    try:
        address = Address.parse(text, lowest_port=0)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not HOST:PORT") from None
    if not is_loopback(address.host):
        raise click.BadParameter(
            f"{address.host} is not loopback, and the page is for this machine only. From another"
            f" machine, use a tunnel: ssh -L {address.port}:127.0.0.1:{address.port} SERVER"
        )
    return address


def _host_names(
    _context: click.Context, _option: click.Parameter, names: tuple[str, ...]
) -> tuple[str, ...]:
    for name in names:
        if not _HOST_NAME.fullmatch(name):
            raise click.BadParameter(f"{name!r} is not NAME or NAME:PORT")
    return names


@click.command()
@click.option(
    "--listen",
    default="127.0.0.1:8471",
    show_default=True,
    callback=_address,
    metavar="HOST:PORT",
    help="The address to listen on, loopback only. With port 0, snoopsync chooses a free port.",
)
@click.option("--no-browser", is_flag=True, help="Print the address and do not open a browser.")
@click.option("--trash", is_flag=True, help="Let the page move marked files to the trash.")
@click.option(
    "--allow-host",
    "allowed_hosts",
    multiple=True,
    callback=_host_names,
    metavar="NAME",
    help="Also serve the page under this name, for a tunnel or a proxy. Can be repeated.",
)
@click.pass_obj
def review(
    context: Context,
    listen: Address,
    no_browser: bool,
    trash: bool,
    allowed_hosts: tuple[str, ...],
) -> Exit:
    """Open a page in the browser to compare duplicates and decide about them. Ctrl-C stops the
    page.

    The printed address works once, within 60 seconds. The page sends your decisions to the running
    service, or writes them to the state file if no service runs. The page deletes no files. It
    lists the marked files; with --trash, it can move them to the trash.
    """
    _require_extra()
    if os.geteuid() == 0:
        raise click.ClickException(_ROOT.format(user=_other_user(context)))
    config = context.installation()
    cache = cache_directory()
    if cache is None:
        raise no_home("$XDG_CACHE_HOME", "XDG_CACHE_HOME")
    # Imported late: only this command needs the libraries.
    from snoopsync.review.entry import TOKEN_SECONDS
    from snoopsync.review.server import entrance, open_listener, opened_in_browser, serving

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with (
        open_listener(listen) as listener,
        serving(
            config,
            listener,
            cache / "thumbnails",
            allowed_hosts=allowed_hosts,
            has_trash=trash,
        ) as (server, entry),
    ):
        address = entrance(listener, entry)
        click.echo(
            f"Open this address in your browser within {TOKEN_SECONDS:.0f} seconds: {address}\n"
            "It works once. Ctrl-C stops the page."
        )
        with nullcontext() if no_browser else opened_in_browser(address):
            while server.is_running and not stop.wait(_LOOK_SECONDS):
                pass
    return Exit.OK


_ROOT = (
    "the page does not run as root: it shows pictures, and moves files, with the rights of whoever"
    " starts it. Run it as the user who owns the pictures and whose state it is: sudo -u {user}"
    " snoopsync review"
)


def _other_user(context: Context) -> str:
    """The user who owns the first configured folder, if that is known and not root."""
    config = None
    with suppress(SnoopsyncError):  # whatever is wrong with it, root is refused
        config = context.load()
    for folder in () if config is None else config.folders:
        try:
            uid = folder.path.stat().st_uid
        except OSError:
            continue
        if uid != 0:
            return _sudo_name(uid)
    return os.environ.get("SUDO_USER") or "USER"


def _sudo_name(uid: int) -> str:
    """The user as sudo takes it: the name, or the number of a user without one."""
    try:
        return shlex.quote(pwd.getpwuid(uid).pw_name)
    except KeyError:
        return f"'#{uid}'"


def _require_extra() -> None:
    try:
        import jinja2  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise click.UsageError(
            f"review needs {error.name}: pip install 'snoopsync[review]'"
        ) from None
