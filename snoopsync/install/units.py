"""The systemd units: the files of ``systemd/``, with what one installation has otherwise.

The files are complete as they are. A unit that is written from one says so in its first line, with
a digest of all that follows: so it can be told whether somebody has changed it since.
"""

from __future__ import annotations

import hashlib
import re
import string
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from snoopsync.config.secrets import CREDENTIAL, NOTIFY_CREDENTIAL

#: The system's units, and a user's own, by the names they are installed under.
SYSTEM_UNITS = ("snoopsync.service", "snoopsync-resync.service", "snoopsync-resync.timer")
USER_UNITS = ("snoopsync.service",)

#: Where the system's service has its secret key from, if the configuration does not say.
SECRET_PATH = Path("/etc/snoopsync/secret-key")

#: The same for the addresses of notifications.
NOTIFY_PATH = Path("/etc/snoopsync/notify-urls")

#: How a unit starts snoopsync, as it comes.
_PROGRAM = "/usr/bin/env snoopsync"

#: The first systemd that can wait longer and longer before it restarts a service.
_GROWING_PAUSE_SINCE = 254

_MARK = "# Written by `snoopsync service install`, digest {}. Change it with a drop-in.\n"
_MARKED = re.compile(re.escape(_MARK).replace(re.escape("{}"), "([0-9a-f]{16})"))

_NEVER_IN_A_PROGRAM = frozenset("\"'\\")
_PLAIN = frozenset(string.ascii_letters + string.digits + "_@%+=:,./-")


class UnitError(ValueError):
    """A unit can't say this. The message is for people."""


@dataclass(frozen=True, slots=True)
class Installation:
    """What a unit says of an installation.

    ``program`` is how snoopsync is started, with an absolute path first. ``config``: its
    configuration, ``None`` for the usual one. ``account``: who runs it, ``None`` for a user of its
    own; ``groups``: what else that one is in. ``systemd``: the version that is going to read it.
    ``secret`` and ``notify_urls``: what systemd reads for it.
    """

    program: tuple[str, ...]
    config: Path | None = None
    secret: Path = SECRET_PATH
    account: str | None = None
    groups: tuple[str, ...] = ()
    systemd: int = 252
    notify_urls: Path = NOTIFY_PATH


def unit_text(name: str, *, user: bool = False) -> str:
    """A unit as it comes with snoopsync."""
    folder = resources.files("snoopsync") / "systemd"
    if not folder.is_dir():  # a checkout, where they are beside the package
        folder = Path(__file__).parents[2] / "systemd"
    return (folder / "user" / name if user else folder / name).read_text(encoding="utf-8")


def render(text: str, installation: Installation) -> str:
    """The unit for this installation. Raises ``UnitError``."""
    first, *arguments = installation.program
    if not _NEVER_IN_A_PROGRAM.isdisjoint(first):
        raise UnitError(f"systemd starts no program with such a path: {first}")
    # Only arguments are searched for variables, the path of the program is not.
    words = [_word(first), *(_word(each.replace("$", "$$")) for each in arguments)]
    text = text.replace(f"ExecStart={_PROGRAM} ", f"ExecStart={' '.join(words)} ")
    if installation.systemd >= _GROWING_PAUSE_SINCE:
        text = text.replace("#Restart", "Restart")
    settings = _settings(installation)
    lines = []
    for line in text.splitlines():
        key = next(filter(line.startswith, settings), None)
        lines.append(f"{line}\n" if key is None else f"{key}{settings[key]}\n")
    body = "".join(lines)
    return _MARK.format(_digest(body)) + body


def _settings(installation: Installation) -> dict[str, str]:
    """How the lines begin that depend on the installation, no more than these, and go on."""
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
    """Is this a unit as ``render`` made it once, by whichever version, and nobody changed it?"""
    mark = _MARKED.match(text)
    return mark is not None and mark[1] == _digest(text[mark.end() :])


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:16]


def _word(text: str) -> str:
    """The text as one word of a unit's line."""
    escaped = _text(text)
    if _PLAIN.issuperset(escaped):
        return escaped
    return '"' + escaped.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _text(text: str) -> str:
    """The text as the rest of a unit's line."""
    # A line that ends in a backslash goes on in the next one.
    if not text.isprintable() or text.endswith("\\"):
        raise UnitError(f"{text!a} can't be written in a unit: give it another name")
    return text.replace("%", "%%")
