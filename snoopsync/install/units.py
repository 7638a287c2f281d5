"""The systemd units: the files in ``systemd/``, adapted to an installation.

The files are complete units. A unit that ``service install`` writes has a first line with a digest
of the rest, which shows whether the unit was changed since.
"""

from __future__ import annotations

import hashlib
import re
import string
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from snoopsync.config.secrets import CREDENTIAL, NOTIFY_CREDENTIAL

#: The system's units and a user's own, by file name.
SYSTEM_UNITS = ("snoopsync.service", "snoopsync-resync.service", "snoopsync-resync.timer")
USER_UNITS = ("snoopsync.service",)

#: The file with the secret key of the system's service, if the configuration names none.
SECRET_PATH = Path("/etc/snoopsync/secret-key")

#: The file with the addresses for notifications, if the configuration names none.
NOTIFY_PATH = Path("/etc/snoopsync/notify-urls")

#: The command in the files that starts snoopsync.
_PROGRAM = "/usr/bin/env snoopsync"

#: The first version of systemd with increasing restart delays (``RestartSteps=``).
_RESTART_STEPS_SINCE = 254

_MARK = "# Written by `snoopsync service install`, digest {}. Change it with a drop-in.\n"
_MARKED = re.compile(re.escape(_MARK).replace(re.escape("{}"), "([0-9a-f]{16})"))

_NEVER_IN_A_PROGRAM = frozenset("\"'\\")
_PLAIN = frozenset(string.ascii_letters + string.digits + "_@%+=:,./-")


class UnitError(ValueError):
    """A unit can't express a value. The message is for people."""


@dataclass(frozen=True, slots=True)
class Installation:
    """The settings of an installation that a unit contains.

    ``program``: the command that starts snoopsync, with an absolute path first. ``config``: the
    configuration file, ``None`` for the usual one. ``account``: the user that runs the service,
    ``None`` for a user of its own; ``groups``: its supplementary groups. ``systemd``: the version
    of systemd. ``secret`` and ``notify_urls``: the files that systemd passes as credentials.
    """

    program: tuple[str, ...]
    config: Path | None = None
    secret: Path = SECRET_PATH
    account: str | None = None
    groups: tuple[str, ...] = ()
    systemd: int = 252
    notify_urls: Path = NOTIFY_PATH


def unit_text(name: str, *, user: bool = False) -> str:
    """The text of a unit that comes with snoopsync."""
    folder = resources.files("snoopsync") / "systemd"
    if not folder.is_dir():  # in a checkout they are next to the package
        folder = Path(__file__).parents[2] / "systemd"
    return (folder / "user" / name if user else folder / name).read_text(encoding="utf-8")


def render(text: str, installation: Installation) -> str:
    """The text of a unit for this installation. Raises ``UnitError``."""
    first, *arguments = installation.program
    if not _NEVER_IN_A_PROGRAM.isdisjoint(first):
        raise UnitError(f"systemd can't start a program with this path: {first}")
    # systemd expands variables in arguments, but not in the path of the program.
    words = [_word(first), *(_word(each.replace("$", "$$")) for each in arguments)]
    text = text.replace(f"ExecStart={_PROGRAM} ", f"ExecStart={' '.join(words)} ")
    if installation.systemd >= _RESTART_STEPS_SINCE:
        text = text.replace("#Restart", "Restart")
    settings = _settings(installation)
    lines = []
    for line in text.splitlines():
        key = next(filter(line.startswith, settings), None)
        lines.append(f"{line}\n" if key is None else f"{key}{settings[key]}\n")
    body = "".join(lines)
    return _MARK.format(_digest(body)) + body


def _settings(installation: Installation) -> dict[str, str]:
    """The lines that depend on the installation: how each begins, and how it continues."""
    settings = {
        f"LoadCredential={CREDENTIAL}:": _text(str(installation.secret)),
        f"LoadCredential={NOTIFY_CREDENTIAL}:": _text(str(installation.notify_urls)),
    }
    if installation.config is not None:
        settings["Environment="] = _word(f"SNOOPSYNC_CONFIG={installation.config}")
    if installation.account is not None:
        settings |= {"User=": _word(installation.account), "DynamicUser=": "no"}
    if installation.groups:
        settings["SupplementaryGroups="] = " ".join(map(_word, installation.groups))
    return settings


def is_unchanged(text: str) -> bool:
    """Whether this is the unchanged output of ``render``, from any version."""
    mark = _MARKED.match(text)
    return mark is not None and mark[1] == _digest(text[mark.end() :])


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:16]


def _word(text: str) -> str:
    """The text as one word of a line in a unit."""
    escaped = _text(text)
    if _PLAIN.issuperset(escaped):
        return escaped
    return '"' + escaped.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _text(text: str) -> str:
    """The text as the rest of a line in a unit."""
    # A line that ends with a backslash continues on the next line.
    if not text.isprintable() or text.endswith("\\"):
        raise UnitError(f"{text!a} can't be written in a unit: rename it")
    return text.replace("%", "%%")
