"""Checks the collection. For a service: whether it responds and accepts the keys, and whether the
clock is right. For the embedded collection: whether it can be opened, and whether its libraries
work."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from snoopsync.checks.finding import Finding, error, ok, warning
from snoopsync.checks.state import write_obstacle
from snoopsync.config.settings import CollectionConfig
from snoopsync.core.addresses import is_insecure
from snoopsync.core.errors import CollectionError, NotConnected, SnoopsyncError, Unauthorized
from snoopsync.core.model import printable
from snoopsync.core.selection import EXTRA_SUFFIXES
from snoopsync.core.text import images
from snoopsync.decoding.decoders import Decoders
from snoopsync.decoding.sandbox import NAMES, Outcome
from snoopsync.runtime.owned_directory import is_own
from snoopsync.storage.sqlite.schema import count_images

if TYPE_CHECKING:
    from snoopsync.client.responses import Session

ADDRESS = "address"
CLOCK = "clock"
CREDENTIALS = "credentials"
COLLECTION = "collection"
LIBRARIES = "libraries"
EXTRAS = "extras"
DECODERS = "decoders"

#: A larger difference means that a clock is not synchronized. The network and the ``Date`` header,
#: which has whole seconds, cause smaller ones.
_CLOCK_SLACK_SECONDS = 5.0

#: With a larger difference the service rejects signatures.
_CLOCK_LIMIT_SECONDS = 900.0

_SET_CLOCK = "sudo timedatectl set-ntp true (or set the clock of the service's machine)"

#: How long to wait for the service at most.
_MAX_TIMEOUT_SECONDS = 10.0

_ALLOW = (
    "snoopsync service install; then restart the service\n"
    "or remove the drop-in that forbids it: systemctl cat snoopsync"
)

_INSTALL = "pip install 'snoopsync[embedded]'"

#: The libraries of the embedded collection: the module to import, its package, and the effect of
#: its absence, or ``None`` if the collection can't work without it.
_LIBRARIES = (
    ("numpy", "numpy", None),
    ("PIL.AvifImagePlugin", "pillow", None),
    ("pillow_heif", "pillow-heif", "HEIC pictures are refused"),
)


@dataclass(frozen=True, slots=True)
class Reply:
    """A service's response: the session or the error, and how far this machine's clock is ahead of
    the service's clock, or ``None`` if that is unknown."""

    session: Session | None
    error: CollectionError | None
    clock_ahead_seconds: float | None


def ask_service(settings: CollectionConfig, secret_key: str) -> Reply:
    """Start a session with the service."""
    # Imported late: requests takes 0.1 s, and the embedded collection does not need it.
    from snoopsync.client.collection import Collection
    from snoopsync.client.responses import Session

    try:
        client = Collection(
            public_key=settings.public_key or "",
            secret_key=secret_key,
            endpoint=settings.endpoint,
            timeout=min(settings.timeout_seconds, _MAX_TIMEOUT_SECONDS),
            ca_file=settings.ca_file,
        )
    except ValueError as failure:
        return Reply(None, NotConnected(str(failure)), None)
    with client:
        try:
            session = Session(client.id, client.name, client.user)
        except CollectionError as failure:
            return Reply(None, failure, client.clock_ahead_seconds)
        return Reply(session, None, client.clock_ahead_seconds)


def address_finding(endpoint: str) -> Finding:
    """A finding about whether the connection to this endpoint is encrypted."""
    if is_insecure(endpoint):
        message = f"{endpoint} is not encrypted: others on the network can read and change the data"
        return warning(ADDRESS, message, "use https://")
    return ok(ADDRESS, endpoint)


def service_findings(reply: Reply) -> Iterator[Finding]:
    """The findings from a service's response."""
    if reply.clock_ahead_seconds is not None:
        yield _clock(reply.clock_ahead_seconds)
    if reply.session is not None:
        name, user = printable(reply.session.collection_name), printable(reply.session.user)
        yield ok(CREDENTIALS, f"accepted (collection {name}, user {user})")
    elif isinstance(reply.error, Unauthorized):
        fix = "correct public_key and the secret key"
        if abs(reply.clock_ahead_seconds or 0.0) > _CLOCK_LIMIT_SECONDS:
            fix = "set the clock first"
        yield error(CREDENTIALS, f"refused: {reply.error}", fix, Unauthorized)
    elif reply.error is not None:
        fix = "check the network and the service, or correct endpoint"
        yield error(COLLECTION, str(reply.error), fix, type(reply.error))


def _clock(ahead: float) -> Finding:
    if abs(ahead) <= _CLOCK_SLACK_SECONDS:
        return ok(CLOCK, "agrees with the service's")
    direction = "ahead of" if ahead > 0 else "behind"
    message = f"{abs(ahead):.0f} s {direction} the service's"
    if abs(ahead) > _CLOCK_LIMIT_SECONDS:
        message += ", which rejects signatures with such a difference"
        return error(CLOCK, message, _SET_CLOCK, Unauthorized)
    return warning(CLOCK, message, _SET_CLOCK)


def embedded_finding(path: Path, *, known: bool) -> Finding:
    """A finding about whether the embedded collection can be opened. ``known``: the state file
    refers to an embedded collection."""
    shown = printable(str(path))
    if not is_own(path.parent):
        # Opening the collection would create SQLite files in an unsafe directory. The finding about
        # the state directory describes the fix.
        return ok(
            COLLECTION, f"{shown}: embedded, not checked: other users can change its directory"
        )
    if (found := write_obstacle(path)) is not None:
        return error(COLLECTION, f"{shown}: {found.problem}", found.fix, CollectionError)
    if not os.path.lexists(path):
        if known:
            fix = "restore it, or run snoopsync resync: it creates a new one and adds every image"
            return error(COLLECTION, f"{shown} is missing", fix, CollectionError)
        return ok(COLLECTION, "embedded, does not exist yet: the first run creates it")
    try:
        return ok(COLLECTION, f"{shown}: embedded, {images(count_images(path))}")
    except CollectionError as failure:
        problem, _, fix = failure.message.partition("; ")
        return error(COLLECTION, problem, fix or "restore the file", CollectionError)


def interpreter_finding() -> Finding | None:
    """A finding if this user may not run Python, which decodes the pictures in processes of its
    own."""
    if os.access(sys.executable, os.X_OK):
        return None
    fix = "install snoopsync where all users can run it, for example in /opt/snoopsync"
    message = f"this user may not run {printable(sys.executable)}: no picture can be added"
    return error(DECODERS, message, fix, SnoopsyncError)


def missing_libraries() -> dict[str, str]:
    """The packages of the embedded collection that can't be imported, each with the reason."""
    # In separate processes: importing a package that was built for another CPU can crash.
    imports = {
        package: subprocess.Popen(
            [sys.executable, "-P", "-W", "ignore", "-c", f"import {module}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        )
        for module, package, _ in _LIBRARIES
    }
    missing = {}
    for package, process in imports.items():
        _, stderr = process.communicate()
        if process.returncode:
            last = (stderr.strip().splitlines() or [""])[-1]
            missing[package] = last or f"importing it crashes Python (code {process.returncode})"
    return missing


def library_findings(missing: Mapping[str, str]) -> Iterator[Finding]:
    """The findings about the libraries. ``missing``: from ``missing_libraries``."""
    for _, package, effect in _LIBRARIES:
        if package not in missing:
            continue
        message = f"{package} can't be used: {missing[package]}"
        if effect is None:
            yield error(LIBRARIES, f"{message}: no picture can be added", _INSTALL, SnoopsyncError)
        else:
            yield warning(LIBRARIES, f"{message}: {effect}", _INSTALL)
    if not missing:
        yield ok(LIBRARIES, ", ".join(package for _, package, _ in _LIBRARIES))


def extras_finding(missing: Collection[str]) -> Finding:
    """The finding about the extras that add formats. ``missing``: from ``missing_extras``."""
    commands = (f"pip install 'snoopsync[{each}]'" for each in EXTRA_SUFFIXES if each in missing)
    found = [each for each in EXTRA_SUFFIXES if each not in missing]
    text = f"not installed: {', '.join(commands)}" if missing else ""
    return ok(EXTRAS, "; ".join(filter(None, (", ".join(found), text))))


def try_decoders() -> Outcome | CollectionError:
    """Which restrictions are in force in a decoder that this process starts, or why it can't
    start."""
    try:
        with closing(Decoders(1)) as decoders:
            return decoders.warm_up()
    except CollectionError as failure:
        return failure


def decoder_findings(
    tried: Outcome | CollectionError, service_lacks: Sequence[str] | None
) -> Iterator[Finding]:
    """Findings about whether pictures are decoded in a sandbox.

    ``tried`` is the result of a decoder that this command started. ``service_lacks`` names the
    restrictions that are not in force in the decoders of the running service; ``None`` if that is
    unknown. Both use the same kernel, so a restriction that only the service lacks is withheld by
    its unit.
    """
    if isinstance(tried, CollectionError):
        yield error(DECODERS, tried.message, "report this as a bug", SnoopsyncError)
        return
    if tried.missing:
        message = f"pictures are decoded without {tried}"
        fixes = ["use a newer kernel, or one with these enabled"] if tried.lacking_names else []
        fixes += ["allow it in the container, or its host"] if tried.refused_names else []
        yield warning(DECODERS, message, "\n".join(fixes))
    else:
        names = ", ".join(NAMES.values())
        yield ok(DECODERS, f"pictures are decoded in a sandbox: {names}")
    withheld = [name for name in service_lacks or () if name not in tried.missing]
    if withheld:
        message = (
            f"the service decodes pictures without {', '.join(withheld)}: the kernel supports this,"
            " but the service's unit forbids it"
        )
        yield warning(DECODERS, message, _ALLOW)
