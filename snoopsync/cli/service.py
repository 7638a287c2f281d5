"""The commands that have systemd run snoopsync: ``service install`` and ``service uninstall``."""

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
from snoopsync.cli.owner import program_words
from snoopsync.config.directories import config_directory
from snoopsync.config.file import SYSTEM_PATH, find_config, user_config_file
from snoopsync.core.errors import UnsafeDirectory
from snoopsync.core.exits import Exit
from snoopsync.install.readiness import Readiness, own_readiness, system_readiness
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

_own_option = click.option(
    "--user", "own", is_flag=True, help="Your own, for your pictures, instead of the system's."
)
_root_option = click.option(
    "--root",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("/"),
    help="The system that is meant, if it is not this one: an image of one, for example.",
)


@dataclass(frozen=True, slots=True)
class _RelPath:
    """Where the units go: the system's below ``root``, or the user's own."""

    own: bool
    root: Path

    @property
    def directory(self) -> Path:
        if self.own:
            directory = config_directory("systemd")
            if directory is None:
                raise click.UsageError(
                    "this user has no home directory: set $HOME or $XDG_CONFIG_HOME"
                )
            return directory / "user"
        return self.root / "etc/systemd/system"

    @property
    def units(self) -> tuple[str, ...]:
        return USER_UNITS if self.own else SYSTEM_UNITS

    def commands(self, verb: str) -> tuple[str, ...]:
        """The two commands that come next."""
        systemctl = "systemctl --user" if self.own else "systemctl"
        # The service of a timer is started by that.
        names = [name for name in self.units if name != "snoopsync-resync.service"]
        return f"{systemctl} {verb} {' '.join(names)}", f"{systemctl} daemon-reload"


@click.group()
def service() -> None:
    """Have systemd run snoopsync."""


@service.command(short_help="Write systemd's units.")
@_own_option
@click.option("--as", "name", metavar="USER", help="The system's service is run by this user.")
@click.option("--replace", is_flag=True, help="Units that were changed by hand too.")
@_root_option
@click.pass_obj
def install(context: Context, own: bool, name: str | None, replace: bool, root: Path) -> Exit:
    """Write systemd's units for this snoopsync and its configuration.

    Starts nothing, and says what starts it.
    """
    if own and name is not None:
        raise click.UsageError("with --user it is run by you: leave --as out")
    place, account = _RelPath(own, root), _account(name)
    with _refusals_told(own=own):
        _require_safe(place)
        _require_writable(place.directory)
        program, config = program_words(), _configuration(context, own=own)
        ready = _readiness(place, config, program[0], account)
        installation = Installation(
            program,
            config,
            ready.secret or SECRET_PATH,
            name,
            tuple(ready.groups),
            _systemd_version(),
            ready.notify_urls or NOTIFY_PATH,
        )
        _write(_rendered(place, installation), replace=replace)
    for group, path in ready.groups.items():
        click.echo(f"the service is in the group {group}, to read {path}")
    for problem in ready.problems:
        click.echo(f"still to do: {problem}")
    _tell(reversed(place.commands("enable --now")))
    return Exit.OK


@service.command()
@_own_option
@_root_option
def uninstall(own: bool, root: Path) -> Exit:
    """Remove what ``service install`` wrote. Configuration and state stay."""
    place = _RelPath(own, root)
    _require_safe(place)
    paths = [place.directory / unit for unit in place.units]
    there = [path for path in paths if os.path.lexists(path)]
    if changed := [path for path in there if not _is_ours(path)]:
        files = shlex.join(map(str, changed))
        raise click.ClickException(
            f"changed by hand, so that nothing is removed; if they are not needed: rm {files}"
        )
    # Of whoever enabled them: they lead nowhere now.
    links = [
        link
        for unit in place.units
        for kind in ("wants", "requires")
        for link in place.directory.glob(f"*.{kind}/{unit}")
        if link.is_symlink()
    ]
    with _refusals_told(own=own):
        for path in (*links, *there):
            path.unlink()
            click.echo(f"removed {path}")
        for directory in {link.parent for link in links}:
            with suppress(OSError):  # others are in it
                directory.rmdir()
    if not there:
        click.echo(f"there is none in {place.directory}")
        return Exit.OK
    _tell(place.commands("stop"))
    return Exit.OK


def _tell(commands: Iterable[str]) -> None:
    click.echo("then:")
    for command in commands:
        click.echo(f"  {command}")


def _account(name: str | None) -> pwd.struct_passwd | None:
    try:
        return None if name is None else pwd.getpwnam(name)
    except KeyError:
        raise click.UsageError(f"--as {name}: there is no such user") from None


def _configuration(context: Context, *, own: bool) -> Path:
    """The file that the service is to read, whether it is there or not. Raises ``ConfigError``."""
    # Whoever is root has a configuration of their own, which the system's service can't read.
    usual = user_config_file() if own else SYSTEM_PATH
    found = find_config(context.config_path, os.environ, user_dir=usual.parent, system_path=usual)
    return (found or usual).absolute()


def _readiness(
    place: _RelPath, config: Path, program: str, account: pwd.struct_passwd | None
) -> Readiness:
    if place.own:
        return own_readiness(config)
    if place.root != Path("/"):
        return Readiness()  # what is there can't be seen from here
    files = (Path(program), Path(sys.executable), Path(snoopsync.__file__))
    return system_readiness(config, files, account)


def _rendered(place: _RelPath, installation: Installation) -> dict[Path, str]:
    try:
        return {
            place.directory / unit: render(unit_text(unit, user=place.own), installation)
            for unit in place.units
        }
    except UnitError as error:
        raise click.ClickException(str(error)) from None


def _systemd_version() -> int:
    """The version of this system's systemd; 0 if there is none."""
    systemctl = shutil.which("systemctl")
    if systemctl is None:
        return 0
    said = subprocess.run([systemctl, "--version"], capture_output=True, text=True, check=False)
    version = re.match(r"systemd (\d+)", said.stdout)
    return int(version[1]) if version else 0


@contextmanager
def _refusals_told(*, own: bool) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        way = "" if own else ": sudo does it, or install your own service: --user"
        raise click.ClickException(f"{error.filename}: {error.strerror}{way}") from None
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from None


def _require_safe(place: _RelPath) -> None:
    """Raise ``UnsafeDirectory`` if another user decides what is written. In the files of another
    system, which ``--root`` names, no link is followed either: it would lead into this one."""
    if place.own or place.root == Path("/"):
        require_guarded(resolve(place.directory))
        return
    root = resolve(place.root)
    for each in (root / "etc", root / "etc/systemd", root / "etc/systemd/system"):
        if each.is_symlink():
            raise UnsafeDirectory(f"{each} is a link, and could lead out of {root}: remove it")
    require_guarded(root / "etc/systemd/system")


def _require_writable(directory: Path) -> None:
    """Raise ``PermissionError`` before anything else is found wrong."""
    there = next(each for each in (directory, *directory.parents) if each.exists())
    if not os.access(there, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(there))


def _is_ours(path: Path) -> bool:
    """Is it as it was written? A link is not: to /dev/null it says that there must be no unit."""
    return not path.is_symlink() and is_unchanged(path.read_text("utf-8", "replace"))


def _write(texts: Mapping[Path, str], *, replace: bool) -> None:
    """Write them; none if one was changed and may not be replaced."""
    changed = [path for path in texts if os.path.lexists(path) and not _is_ours(path)]
    if changed and not replace:
        raise click.ClickException(
            f"{', '.join(map(str, changed))}: changed by hand, so that nothing is written. Move the"
            " change into a drop-in (systemctl edit), and use --replace, which keeps the old unit"
            " beside the new one"
        )
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if path in changed:
            click.echo(f"kept {path.rename(_free_name(path))}")
        _write_whole(path, text)
        click.echo(f"wrote {path}")


def _free_name(path: Path) -> Path:
    """Where the file can be kept, and is no unit."""
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
