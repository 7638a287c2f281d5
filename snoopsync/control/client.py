"""Sends a request to the running service, and returns its result."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from snoopsync.control.channel import Message, ask
from snoopsync.core.errors import ServiceFailed
from snoopsync.core.exits import Exit
from snoopsync.core.model import printable


def ask_service(state: Path, request: Message) -> Iterator[Message]:
    """Send a request to the service that holds this state file. Yields the messages of its
    response. Raises ``ServiceUnavailable`` and ``ServiceFailed``."""
    for message in ask(state, request):
        if "error" in message:
            # The service may belong to another user, whom root must not trust.
            given = message.get("exit_code")
            code = given if isinstance(given, int) and given in tuple(Exit) else Exit.BUG
            raise ServiceFailed(printable(str(message["error"])), code)
        yield message


def result_from_service(state: Path, request: Message) -> Message:
    """Send a request to the running service and return the result. Raises as ``ask_service``."""
    for message in ask_service(state, request):
        if "result" in message:
            result: Message = message["result"]
            return result
    raise ServiceFailed("the service stopped before it responded", Exit.LOCKED)
