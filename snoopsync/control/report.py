"""What a running service reports about itself, to commands, health checks and metrics."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from snoopsync.control.channel import Message
from snoopsync.runtime.liveness import PATIENCE_SECONDS, SendProgress

#: How long to wait for the account to be renewed. An engine that works needs milliseconds.
_FRESH_SECONDS = 2.0

_COMPARING = "comparing folders and collection"


class Account:
    """What the service says of itself, renewed by every turn of the engine."""

    def __init__(self) -> None:
        self._said: Message = {}
        self._at = time.monotonic()
        self._turns = 0
        self._renewed = threading.Condition()

    @property
    def turns(self) -> int:
        """How many turns of the engine have ended."""
        return self._turns

    def renew(self, said: Message) -> None:
        """A turn has ended, and this is how things are."""
        with self._renewed:
            self._said = said
            self._at = time.monotonic()
            self._turns += 1
            self._renewed.notify_all()

    def last(self) -> Message | None:
        """The account as it is, with ``age_seconds``; ``None`` before the first."""
        with self._renewed:
            if not self._turns:
                return None
            return self._said | {"age_seconds": time.monotonic() - self._at}

    def fresh(self, wake: Callable[[], None]) -> Message:
        """The account after a whole turn from now; with ``age_seconds``, since an engine that is
        held up can't renew it."""
        deadline = time.monotonic() + _FRESH_SECONDS
        with self._renewed:
            # The first turn to end may have begun, and looked around, before.
            for _ in range(2):
                turns = self._turns
                wake()
                while self._turns == turns and time.monotonic() < deadline:
                    self._renewed.wait(deadline - time.monotonic())
            return self._said | {"age_seconds": time.monotonic() - self._at}


def in_words(said: Message) -> str:
    """What the service is doing, on one line."""
    if said["unauthorized"]:
        return f"nothing can be sent: {said['last_error']}"
    if not said["reachable"]:
        return f"waiting for the collection: {said['last_error']}"
    if said["progress"] is not None:
        return sending(said)
    if not said["reconciled"]:
        return _COMPARING
    if said["missing"]:
        return f"watching; missing: {', '.join(said['missing'])}"
    return "watching, everything is sent"


def sending(said: Message) -> str:
    """How far the sending is, on one line, while there is ``progress``."""
    return (
        f"{'mirroring' if said['reconciled'] else _COMPARING}: {SendProgress(**said['progress'])}"
    )


@dataclass(frozen=True, slots=True)
class Live:
    """What the service shows of itself without being asked. ``account``: its last one, with
    ``age_seconds``; ``None`` before the first. ``trouble``: what keeps it from working at all.
    ``stalled``: its parts that do not get on."""

    account: Message | None = None
    trouble: str | None = None
    stalled: tuple[str, ...] = ()
    patience_seconds: float = PATIENCE_SECONDS
