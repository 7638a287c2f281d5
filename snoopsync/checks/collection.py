"""The collection: does it answer, does it take the keys, is the clock right? Or the embedded one:
can it be opened, is all installed that it needs?"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from snoopsync.checks.finding import Finding, error, ok, warning
from snoopsync.checks.state import obstacle_to
from snoopsync.config.settings import CollectionConfig
from snoopsync.core.errors import CollectionError, NotConnected, Unauthorized
from snoopsync.core.exits import Exit, exit_code
from snoopsync.core.model import printable
from snoopsync.core.text import images
from snoopsync.decoding.decoders import Decoders
from snoopsync.decoding.sandbox import NAMES, Outcome
from snoopsync.embedded.database import count_images
from snoopsync.runtime.owned_directory import is_own

if TYPE_CHECKING:
    from snoopsync.client.responses import Session

ADDRESS = "address"
CLOCK = "clock"
CREDENTIALS = "credentials"
COLLECTION = "collection"
LIBRARIES = "libraries"
DECODERS = "decoders"

#: Beyond this a clock is not kept right. The service's time has no fractions of a second, and its
#: answer was some time on the way.
_CLOCK_SLACK_SECONDS = 5.0

#: Beyond this a service takes no signature.
_CLOCK_LIMIT_SECONDS = 900.0

_SET_CLOCK = "sudo timedatectl set-ntp true (or set the clock of the service's machine)"

#: How long the service may take to answer.
_LONGEST_WAIT_SECONDS = 10.0

_ALLOW = (
    "snoopsync service install; then restart the service\n"
    "or remove the drop-in that refuses it: systemctl cat snoopsync"
)

_INSTALL = "pip install 'snoopsync[embedded]'"

#: What the embedded collection is made of: the module to import, its package, and what is not there
#: without it, if the rest is.
_LIBRARIES = (
    ("numpy", "numpy", None),
    ("PIL.AvifImagePlugin", "pillow", None),
    ("pillow_heif", "pillow-heif", "HEIC pictures are refused"),
)


@dataclass(frozen=True, slots=True)
class Reply:
    """How a service answered to its keys: who we are, or why not, and by how much our clock is
    ahead of its own, if it says."""

    session: Session | None
    error: CollectionError | None
    clock_ahead_seconds: float | None


def ask_service(settings: CollectionConfig, secret_key: str) -> Reply:
    """Ask the service who we are."""
    # Late, because requests takes 0.1 s: what has the embedded collection does without it.
    from snoopsync.client.collection import Collection
    from snoopsync.client.responses import Session

    try:
        client = Collection(
            public_key=settings.public_key or "",
            secret_key=secret_key,
            endpoint=settings.endpoint,
            timeout=min(settings.timeout_seconds, _LONGEST_WAIT_SECONDS),
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
    """Can what is sent there be read and changed on the way?"""
    from snoopsync.client.collection import is_insecure  # late, as in ask_service

    if is_insecure(endpoint):
        message = f"{endpoint} is not encrypted: all on the way can read and change what is sent"
        return warning(ADDRESS, message, "use https://")
    return ok(ADDRESS, endpoint)


def service_findings(reply: Reply) -> Iterator[Finding]:
    """What the service's answer means."""
    if reply.clock_ahead_seconds is not None:
        yield _clock(reply.clock_ahead_seconds)
    if reply.session is not None:
        name, user = printable(reply.session.collection_name), printable(reply.session.user)
        yield ok(CREDENTIALS, f"accepted, for the collection {name} of {user}")
    elif isinstance(reply.error, Unauthorized):
        mend = "correct public_key and the secret key"
        if abs(reply.clock_ahead_seconds or 0.0) > _CLOCK_LIMIT_SECONDS:
            mend = "set the clock first"
        yield error(CREDENTIALS, f"refused: {reply.error}", mend, Exit.UNAUTHORIZED)
    elif reply.error is not None:
        mend = "look at the network and at the service, or correct endpoint"
        yield error(COLLECTION, str(reply.error), mend, exit_code(reply.error))


def _clock(ahead: float) -> Finding:
    if abs(ahead) <= _CLOCK_SLACK_SECONDS:
        return ok(CLOCK, "as the service's")
    direction = "ahead of" if ahead > 0 else "behind"
    message = f"{abs(ahead):.0f} s {direction} the service's"
    if abs(ahead) > _CLOCK_LIMIT_SECONDS:
        message += ", which takes no signature of a clock so wrong"
        return error(CLOCK, message, _SET_CLOCK, Exit.UNAUTHORIZED)
    return warning(CLOCK, message, _SET_CLOCK)


def embedded_finding(path: Path, *, known: bool) -> Finding:
    """Can the embedded collection be opened? ``known``: the state file is about one."""
    text = printable(str(path))
    if not is_own(path.parent):
        # SQLite would write beside it, and what to do is said of the state's directory.
        return ok(COLLECTION, f"{text}: embedded, not looked at: its directory is not ours alone")
    if (found := obstacle_to(path)) is not None:
        problem, _, mend = found.partition(": ")
        return error(COLLECTION, f"{text}: {problem}", mend, Exit.UNREACHABLE)
    if not path.exists():
        if known:
            mend = "put it back, or snoopsync resync: it makes one, and adds every image again"
            return error(COLLECTION, f"{text} is gone", mend, Exit.UNREACHABLE)
        return ok(COLLECTION, "embedded, none yet, the first run makes it")
    try:
        return ok(COLLECTION, f"{text}: embedded, {images(count_images(path))}")
    except CollectionError as failure:
        problem, _, mend = failure.message.partition("; ")
        return error(COLLECTION, problem, mend or "look after its file", Exit.UNREACHABLE)


def missing_libraries() -> dict[str, str]:
    """The packages of the embedded collection that can't be imported, and why."""
    # In processes of their own, which one that was built for another machine may end.
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
        _, said = process.communicate()
        if process.returncode:
            last = (said.strip().splitlines() or [""])[-1]
            missing[package] = last or f"it ends Python (code {process.returncode})"
    return missing


def library_findings(missing: Mapping[str, str]) -> Iterator[Finding]:
    """What it means that these packages are missing."""
    for _, package, without in _LIBRARIES:
        if package not in missing:
            continue
        message = f"{package} can't be used: {missing[package]}"
        if without is None:
            yield error(LIBRARIES, f"{message}: no picture can be added", _INSTALL, Exit.BUG)
        else:
            yield warning(LIBRARIES, f"{message}: {without}", _INSTALL)
    if not missing:
        yield ok(LIBRARIES, ", ".join(package for _, package, _ in _LIBRARIES))


def try_decoders() -> Outcome | CollectionError:
    """Which restrictions are in force in a decoder of this process, or why there is none."""
    try:
        with closing(Decoders(1)) as decoders:
            return decoders.warm_up()
    except CollectionError as failure:
        return failure


def decoder_findings(
    tried: Outcome | CollectionError, service_lacks: Sequence[str] | None
) -> Iterator[Finding]:
    """What keeps the processes that decode pictures from doing anything else.

    ``tried`` is a decoder that this command started; ``service_lacks`` names the restrictions that
    are not in force in the decoders of the running service, ``None`` if nobody knows. Both have the
    same kernel: what only the service's decoders lack, its unit withholds.
    """
    if isinstance(tried, CollectionError):
        yield error(DECODERS, tried.message, "see the message; then report it", Exit.BUG)
        return
    if tried.missing:
        message = f"pictures are decoded without {tried}"
        mends = ["a newer kernel, or one with these enabled"] if tried.lacking_names else []
        mends += ["allow it in the container, or its host"] if tried.refused_names else []
        yield warning(DECODERS, message, "\n".join(mends))
    else:
        names = ", ".join(NAMES.values())
        yield ok(DECODERS, f"pictures are decoded in a sandbox: {names}")
    withheld = [name for name in service_lacks or () if name not in tried.missing]
    if withheld:
        message = (
            f"the service decodes pictures without {', '.join(withheld)}: its unit refuses it, and"
            " this kernel offers it"
        )
        yield warning(DECODERS, message, _ALLOW)
