"""What a running service reports about itself, to commands, health checks and metrics.

The engine's thread publishes one ``ServiceReport`` in each turn. On the socket, the report is a
JSON object. The two ends may have different versions, so ``from_message`` ignores unknown keys, and
treats a value that is missing or has another type as unknown.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from snoopsync.control.channel import Message
from snoopsync.runtime.liveness import PATIENCE_SECONDS, SendProgress

#: How long to wait for the next report, in seconds. An engine that works needs milliseconds.
_FRESH_SECONDS = 2.0

_COMPARING = "comparing folders and collection"


@dataclass(frozen=True, slots=True)
class ServiceReport:
    """The state of the service, ``age_seconds`` ago. The defaults are for values that are missing
    from a message. They do not prove that anything is mirrored.

    ``reconciled``: whether everything was compared since the start. ``looking``: whether a folder
    has more to examine. ``unsettled``: how many paths changed and are not planned for.
    ``in_flight``: how many images are being sent or removed. ``last_error``: the most serious
    problem. ``unproven``: folders whose watcher does not work. ``missing``: folders that are
    missing. ``stalled``: parts that make no progress. ``scan_ages``: seconds since the last full
    scan, by folder; ``None`` before the first scan. ``to_renew``: how many images an older version
    of the collection described. ``decoders_without``: restrictions of the decoders that are not in
    force; ``None`` before the first decoder.
    """

    pid: int | None = None
    version: str | None = None
    reconciled: bool = False
    looking: bool = False
    unsettled: int = 0
    in_flight: int = 0
    reachable: bool = True
    unauthorized: bool = False
    last_error: str | None = None
    unproven: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    stalled: tuple[str, ...] = ()
    scan_ages: Mapping[str, float | None] = field(default_factory=dict)
    to_renew: int = 0
    decoders_without: tuple[str, ...] | None = None
    progress: SendProgress | None = None
    age_seconds: float = 0.0

    def as_message(self) -> Message:
        """The report as a JSON object."""
        return asdict(self)

    @classmethod
    def from_message(cls, message: object) -> ServiceReport:
        """The report from a JSON object that ``as_message`` of any version created."""
        values = message if isinstance(message, dict) else {}
        known = {
            name: read(values[name])
            for name, read in _READERS.items()
            if name in values and read(values[name]) is not _UNKNOWN
        }
        report = cls(**known)
        if known.keys() >= _PROOFS:
            return report
        # Without all of these values, nothing is proven to be mirrored.
        error = report.last_error or "its report is incomplete: restart it"
        return replace(report, reconciled=False, last_error=error)

    @property
    def activity(self) -> str:
        """What the service is doing, on one line."""
        if self.unauthorized:
            return f"nothing can be sent: {self.last_error}"
        if not self.reachable:
            return f"waiting for the collection: {self.last_error}"
        if self.progress is not None:
            return self.sending
        if not self.reconciled:
            return _COMPARING
        if self.missing:
            return f"watching; missing: {', '.join(self.missing)}"
        return "watching, everything is sent"

    @property
    def sending(self) -> str:
        """The progress of sending, on one line. Only valid while there is ``progress``."""
        return f"{'mirroring' if self.reconciled else _COMPARING}: {self.progress}"

    def scan_age_seconds(self, folder: str) -> float | None:
        """The seconds since the last full scan of a folder ended; ``None`` if they are unknown."""
        age = self.scan_ages.get(folder)
        return None if age is None else age + self.age_seconds


#: The result of reading a value that has the wrong type.
_UNKNOWN = object()


def _bool(value: object) -> object:
    return value if isinstance(value, bool) else _UNKNOWN


def _int(value: object) -> object:
    return value if isinstance(value, int) and not isinstance(value, bool) else _UNKNOWN


def _text(value: object) -> object:
    return value if isinstance(value, str) else _UNKNOWN


def _seconds(value: object) -> object:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number else _UNKNOWN


def _names(value: object) -> object:
    if not isinstance(value, list) or _UNKNOWN in map(_text, value):
        return _UNKNOWN
    return tuple(value)


def _ages(value: object) -> object:
    if not isinstance(value, dict):
        return _UNKNOWN
    return {name: age for name, age in value.items() if _seconds(age) is not _UNKNOWN}


def _progress(value: object) -> object:
    names = {each.name for each in fields(SendProgress)}
    if not isinstance(value, dict) or value.keys() != names:
        return _UNKNOWN
    return _UNKNOWN if _UNKNOWN in map(_seconds, value.values()) else SendProgress(**value)


_READERS: Mapping[str, Callable[[object], Any]] = {
    "pid": _int,
    "version": _text,
    "reconciled": _bool,
    "looking": _bool,
    "unsettled": _int,
    "in_flight": _int,
    "reachable": _bool,
    "unauthorized": _bool,
    "last_error": _text,
    "unproven": _names,
    "missing": _names,
    "stalled": _names,
    "scan_ages": _ages,
    "to_renew": _int,
    "decoders_without": _names,
    "progress": _progress,
    "age_seconds": _seconds,
}

#: The values that must be known to prove that everything is mirrored.
_PROOFS = {"reconciled", "looking", "unsettled", "in_flight", "reachable", "unauthorized"} | {
    *("unproven", "stalled")
}


class LatestReport:
    """The report of the engine's last turn. Thread-safe."""

    def __init__(self) -> None:
        self._report = ServiceReport()
        self._at = time.monotonic()
        self._turns = 0
        self._published = threading.Condition()

    @property
    def turns(self) -> int:
        """The number of turns of the engine that have ended."""
        return self._turns

    def publish(self, report: ServiceReport) -> None:
        """Store the report of a turn of the engine that has ended."""
        with self._published:
            self._report = report
            self._at = time.monotonic()
            self._turns += 1
            self._published.notify_all()

    def get(self) -> ServiceReport | None:
        """The last report; ``None`` before the first one."""
        with self._published:
            return self._aged() if self._turns else None

    def fresh(self, wake: Callable[[], None]) -> ServiceReport:
        """The report of a turn that begins after this call. If the engine publishes none within two
        seconds, because it is blocked, the last report is returned, with its ``age_seconds``."""
        deadline = time.monotonic() + _FRESH_SECONDS
        with self._published:
            # The first turn that ends may have begun before this call.
            for _ in range(2):
                turns = self._turns
                wake()
                while self._turns == turns and time.monotonic() < deadline:
                    self._published.wait(deadline - time.monotonic())
            return self._aged()

    def _aged(self) -> ServiceReport:
        return replace(self._report, age_seconds=time.monotonic() - self._at)


@dataclass(frozen=True, slots=True)
class ServiceView:
    """What the service's own health checks and metrics know about it.

    ``report``: the last report; ``None`` before the first one. ``trouble``: why the service can't
    work at all. ``stalled``: parts that make no progress. ``patience_seconds``: a part is stalled
    after this time without progress.
    """

    report: ServiceReport | None = None
    trouble: str | None = None
    stalled: tuple[str, ...] = ()
    patience_seconds: float = PATIENCE_SECONDS
