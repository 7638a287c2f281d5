"""Checks whether the service is running, and whether systemd starts it at boot."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from snoopsync.checks.finding import Finding, error, ok, warning
from snoopsync.core.errors import ServiceUnavailable, SnoopsyncError
from snoopsync.status.model import ServiceStatus
from snoopsync.version import __version__

SERVICE = "service"
UNIT = "systemd unit"

#: Exists only if systemd is the init process, see sd_booted(3).
BOOTED = Path("/run/systemd/system")

#: What ``systemctl is-enabled`` prints for a unit that does not exist.
_UNKNOWN = frozenset({"", "not-found"})

#: What it prints for a unit that does not start at boot.
_NOT_STARTED = frozenset({"disabled", "masked", "linked", "masked-runtime", "linked-runtime"})

_TIMEOUT_SECONDS = 5.0


def service_finding(service: ServiceStatus) -> Finding:
    """The finding about the service."""
    if service.command_pid is not None:
        return ok(SERVICE, f"not running; a resync is running (process {service.command_pid})")
    if not service.is_running:
        message = "not running, so changes are not mirrored"
        return warning(SERVICE, message, "snoopsync run, or permanently: snoopsync service install")
    running = f"running (process {service.pid})"
    if service.trouble is not None:
        fix = "fix this problem; the service then continues by itself"
        message = f"{running}, but blocked: {service.trouble}"
        return error(SERVICE, message, fix, SnoopsyncError)
    if not service.answers:
        fix = "check its log and restart it"
        return error(SERVICE, f"{running}, but does not respond", fix, ServiceUnavailable)
    version = None if service.report is None else service.report.version
    if version != __version__:
        message = f"{running}, version {version}, but this is version {__version__}"
        return warning(SERVICE, message, "restart it")
    return ok(SERVICE, running)


@dataclass(frozen=True, slots=True)
class Unit:
    """A systemd unit of snoopsync, the system's or the user's own, with the output of ``systemctl
    is-enabled`` and ``is-active``."""

    is_users: bool
    enabled: str
    active: str


def read_units(
    booted: Path = BOOTED, ask: Callable[[Sequence[str]], str] | None = None
) -> list[Unit]:
    """The units that exist; none without systemd."""
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
    """The first line of a command's output, or ``""`` if it fails to run."""
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
    """The findings about the systemd units."""
    for unit in units:
        options = "--user " if unit.is_users else ""
        systemctl = f"{'' if unit.is_users else 'sudo '}systemctl {options}"
        check = "systemd user unit" if unit.is_users else UNIT
        message = f"{unit.enabled}, {unit.active}"
        if unit.active == "failed":
            fix = f"see the reason: journalctl {options}-u snoopsync -n 50"
            yield error(check, message, fix, SnoopsyncError)
        elif unit.enabled in _NOT_STARTED:
            message += ": does not start at boot"
            yield warning(check, message, f"{systemctl}enable --now snoopsync")
        elif unit.active != "active":
            yield warning(check, message, f"{systemctl}start snoopsync")
        else:
            yield ok(check, message)
