"""The commands ``service install`` and ``service uninstall``, which write systemd units."""

from __future__ import annotations

import errno
import os
import pwd
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import click

import snoopsync
from snoopsync.cli.context import Context
from snoopsync.cli.owner_command import program_words
from snoopsync.config.directories import config_directory
from snoopsync.config.file import SYSTEM_PATH, find_config, user_config_file
from snoopsync.core.errors import UnsafeDirectory
from snoopsync.core.exits import Exit
from snoopsync.install.readiness import Readiness, system_readiness, user_readiness
from snoopsync.install.units import (
    NOTIFY_PATH,
    SECRET_PATH,
    SYSTEM_UNITS,
    USER_UNITS,
    Installation,
    UnitError,
    is_unchanged,
    render,
    unit_text,
)
from snoopsync.runtime.owned_directory import require_guarded, resolve

_user_option = click.option(
    "--user", "for_user", is_flag=True, help="The user's own service, not the system's."
)
_root_option = click.option(
    "--root",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("/"),
    help="The root directory of another system, for example of a system image.",
)


@dataclass(frozen=True, slots=True)
class _UnitLocation:
    """The location of the units: the system's below ``root``, or the user's own."""

    for_user: bool
    root: Path

    @property
    def directory(self) -> Path:
        if self.for_user:
            directory = config_directory("systemd")
            if directory is None:
                raise click.UsageError(
                    "this user has no home directory: set $HOME or $XDG_CONFIG_HOME"
                )
            return directory / "user"
        return self.root / "etc/systemd/system"

    @property
    def units(self) -> tuple[str, ...]:
        return USER_UNITS if self.for_user else SYSTEM_UNITS

    def commands(self, verb: str) -> tuple[str, ...]:
        """The commands to run next: systemctl with ``verb``, and daemon-reload."""
        systemctl = "systemctl --user" if self.for_user else "systemctl"
        # The timer starts this service.
        names = [name for name in self.units if name != "snoopsync-resync.service"]
        return f"{systemctl} {verb} {' '.join(names)}", f"{systemctl} daemon-reload"


@click.group()
def service() -> None:
    """Install snoopsync as a systemd service."""


@service.command(short_help="Write the systemd units.")
@_user_option
@click.option("--as", "name", metavar="USER", help="Run the system's service as this user.")
@click.option("--replace", is_flag=True, help="Also replace units that were changed by hand.")
@_root_option
@click.pass_obj
def install(context: Context, for_user: bool, name: str | None, replace: bool, root: Path) -> Exit:
    """Write the systemd units for this snoopsync and its configuration.

    Prints the commands that start the service, but does not run them.
    """
    if for_user and name is not None:
        raise click.UsageError("--as and --user exclude each other: a user's service runs as you")
    location, account = _UnitLocation(for_user, root), _account(name)
    with _os_errors(for_user=for_user):
        _require_safe(location)
        _require_writable(location.directory)
        program, config = program_words(), _configuration(context, for_user=for_user)
        ready = _readiness(location, config, program[0], account)
        installation = Installation(
            program,
            config,
            ready.secret or SECRET_PATH,
            name,
            tuple(ready.groups),
            _systemd_version(),
            ready.notify_urls or NOTIFY_PATH,
        )
        _write(_rendered(location, installation), replace=replace)
    for group, path in ready.groups.items():
        click.echo(f"the service is in the group {group}, so that it can read {path}")
    for problem in ready.problems:
        click.echo(f"to do first: {problem}")
    _print_next(reversed(location.commands("enable --now")))
    return Exit.OK


@service.command(short_help="Remove the systemd units.")
@_user_option
@_root_option
def uninstall(for_user: bool, root: Path) -> Exit:
    """Remove the systemd units that service install wrote.

    The configuration and the state stay.
    """
    location = _UnitLocation(for_user, root)
    _require_safe(location)
    paths = [location.directory / unit for unit in location.units]
    existing = [path for path in paths if os.path.lexists(path)]
    if changed := [path for path in existing if not _is_unchanged(path)]:
        files = shlex.join(map(str, changed))
        raise click.ClickException(
            f"nothing was removed, because files were changed by hand; to remove them: rm {files}"
        )
    # The links that systemctl enable created, which would dangle.
    links = [
        link
        for unit in location.units
        for kind in ("wants", "requires")
        for link in location.directory.glob(f"*.{kind}/{unit}")
        if link.is_symlink()
    ]
    with _os_errors(for_user=for_user):
        for path in (*links, *existing):
            path.unlink()
            click.echo(f"removed {path}")
        for directory in {link.parent for link in links}:
            with suppress(OSError):  # the directory has other links
                directory.rmdir()
    if not existing:
        click.echo(f"no units are installed in {location.directory}")
        return Exit.OK
    _print_next(location.commands("stop"))
    return Exit.OK


def _print_next(commands: Iterable[str]) -> None:
    click.echo("next:")
    for command in commands:
        click.echo(f"  {command}")


def _account(name: str | None) -> pwd.struct_passwd | None:
    try:
        return None if name is None else pwd.getpwnam(name)
    except KeyError:
        raise click.UsageError(f"--as {name}: unknown user") from None


def _configuration(context: Context, *, for_user: bool) -> Path:
    """The configuration file for the service, which may not exist yet. Raises ``ConfigError``."""
    # Do not use root's own configuration, which the system's service can't read.
    usual = user_config_file() if for_user else SYSTEM_PATH
    found = find_config(context.config_path, os.environ, user_dir=usual.parent, system_path=usual)
    return (found or usual).absolute()


def _readiness(
    location: _UnitLocation, config: Path, program: str, account: pwd.struct_passwd | None
) -> Readiness:
    if location.for_user:
        return user_readiness(config)
    if location.root != Path("/"):
        return Readiness()  # another system can't be checked from this one
    files = (Path(program), Path(sys.executable), Path(snoopsync.__file__))
    return system_readiness(config, files, account)


def _rendered(location: _UnitLocation, installation: Installation) -> dict[Path, str]:
    try:
        return {
            location.directory / unit: render(unit_text(unit, user=location.for_user), installation)
            for unit in location.units
        }
    except UnitError as error:
        raise click.ClickException(str(error)) from None


def _systemd_version() -> int:
    """The version of this system's systemd, or 0 if there is none."""
    systemctl = shutil.which("systemctl")
    if systemctl is None:
        return 0
    done = subprocess.run([systemctl, "--version"], capture_output=True, text=True, check=False)
    version = re.match(r"systemd (\d+)", done.stdout)
    return int(version[1]) if version else 0


@contextmanager
def _os_errors(*, for_user: bool) -> Iterator[None]:
    """Turn an ``OSError`` into an error of the command."""
    try:
        yield
    except OSError as error:
        fix = ""
        if isinstance(error, PermissionError) and not for_user:
            fix = ": run this command with sudo, or install your own service with --user"
        raise click.ClickException(f"{error.filename}: {error.strerror}{fix}") from None


def _require_safe(location: _UnitLocation) -> None:
    """Raise ``UnsafeDirectory`` if another user could change what is written, or if a directory
    below ``--root`` is a link, because the link could lead into this system."""
    if location.for_user or location.root == Path("/"):
        require_guarded(resolve(location.directory))
        return
    root = resolve(location.root)
    for each in (root / "etc", root / "etc/systemd", root / "etc/systemd/system"):
        if each.is_symlink():
            raise UnsafeDirectory(f"{each} is a link and could lead out of {root}: remove it")
    require_guarded(root / "etc/systemd/system")


def _require_writable(directory: Path) -> None:
    """Raise ``PermissionError`` first, because no other problem matters then."""
    existing = next(each for each in (directory, *directory.parents) if each.exists())
    if not os.access(existing, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(existing))


def _is_unchanged(path: Path) -> bool:
    """Whether the unit is as ``service install`` wrote it. A link is not: a link to /dev/null masks
    the unit."""
    return not path.is_symlink() and is_unchanged(path.read_text("utf-8", "replace"))


def _write(texts: Mapping[Path, str], *, replace: bool) -> None:
    """Write all units, or none if one was changed by hand and ``replace`` is false."""
    changed = [path for path in texts if os.path.lexists(path) and not _is_unchanged(path)]
    if changed and not replace:
        raise click.ClickException(
            f"{', '.join(map(str, changed))}: changed by hand, so nothing was written. Move the"
            " change into a drop-in (systemctl edit), then use --replace, which keeps a copy of the"
            " old unit"
        )
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if path in changed:
            click.echo(f"kept {path.rename(_free_name(path))}")
        _write_whole(path, text)
        click.echo(f"wrote {path}")


def _free_name(path: Path) -> Path:
    """An unused path next to this one that systemd does not read as a unit."""
    names = (path.with_name(f"{path.name}.old{number or ''}") for number in count())
    return next(name for name in names if not os.path.lexists(name))


def _write_whole(path: Path, text: str) -> None:
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    try:
        with new.open("x", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(file.fileno(), 0o644)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
