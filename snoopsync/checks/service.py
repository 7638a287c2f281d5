"""Is the service running, and will systemd start it again?"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from snoopsync.checks.finding import Finding, error, ok, warning
from snoopsync.core.exits import Exit
from snoopsync.status.status import ServiceStatus
from snoopsync.version import __version__

SERVICE = "service"
UNIT = "systemd unit"

#: There only where systemd is the system's first process, see sd_booted(3).
BOOTED = Path("/run/systemd/system")

#: What systemctl says of a unit that there is none of.
_UNKNOWN = frozenset({"", "not-found"})

#: ... that is not started by itself.
_NOT_STARTED = frozenset({"disabled", "masked", "linked", "masked-runtime", "linked-runtime"})

_TIMEOUT_SECONDS = 5.0


def service_finding(service: ServiceStatus) -> Finding:
    """What the service says of itself."""
    if service.command_pid is not None:
        return ok(SERVICE, f"not running; a resync is under way (process {service.command_pid})")
    if not service.is_running:
        return warning(
            SERVICE,
            "not running: nothing is mirrored until it does",
            "snoopsync run, or for good: snoopsync service install",
        )
    running = f"running (process {service.pid})"
    if service.trouble is not None:
        fix = "do what it says; it goes on by itself"
        return error(SERVICE, f"{running}, and does nothing now: {service.trouble}", fix, Exit.BUG)
    if not service.answers:
        fix = "look at its log, and start it again"
        return error(SERVICE, f"{running}, and does not answer", fix, Exit.LOCKED)
    version = (service.account or {}).get("version")
    if version != __version__:
        return warning(SERVICE, f"{running}, of version {version}, and this is {__version__}",
                       "start it again")  # fmt: skip
    return ok(SERVICE, running)


@dataclass(frozen=True, slots=True)
class Unit:
    """A systemd unit of snoopsync's, the system's or the user's own; what ``systemctl is-enabled``
    and ``is-active`` say of it."""

    is_users: bool
    enabled: str
    active: str


def read_units(
    booted: Path = BOOTED, ask: Callable[[Sequence[str]], str] | None = None
) -> list[Unit]:
    """The units there are; none where there is no systemd."""
    if not booted.is_dir():
        return []
    ask = ask or _first_line
    units = []
    for is_users in (False, True):
        systemctl = ["systemctl", "--user"] if is_users else ["systemctl"]
        enabled = ask([*systemctl, "is-enabled", "snoopsync"])
        if enabled not in _UNKNOWN:
            active = ask([*systemctl, "is-active", "snoopsync"])
            units.append(Unit(is_users, enabled, active))
    return units


def _first_line(command: Sequence[str]) -> str:
    """The first line of what a command prints; nothing if it can't be had."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.partition("\n")[0].strip()


def unit_findings(units: Sequence[Unit]) -> Iterator[Finding]:
    """What systemd's account of the units means."""
    for unit in units:
        options = "--user " if unit.is_users else ""
        systemctl = f"{'' if unit.is_users else 'sudo '}systemctl {options}"
        check = "systemd user unit" if unit.is_users else UNIT
        message = f"{unit.enabled}, {unit.active}"
        if unit.active == "failed":
            fix = f"journalctl {options}-u snoopsync -n 50 says why"
            yield error(check, message, fix, Exit.BUG)
        elif unit.enabled in _NOT_STARTED:
            message += ": not started with the system"
            yield warning(check, message, f"{systemctl}enable --now snoopsync")
        elif unit.active != "active":
            yield warning(check, message, f"{systemctl}start snoopsync")
        else:
            yield ok(check, message)
