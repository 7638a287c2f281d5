"""Routes control requests to the current service, or reports why there is none."""

from __future__ import annotations

from collections.abc import Iterator

from snoopsync.control.channel import Message
from snoopsync.control.report import ServiceView
from snoopsync.core.errors import SnoopsyncError
from snoopsync.core.exits import Exit, exit_code
from snoopsync.service.generation import Service


class ControlRouter:
    """Routes requests across generations of the service. The main thread sets ``service``, and
    ``trouble``, which is why no service can run. The methods are for any thread."""

    def __init__(self) -> None:
        self.service: Service | None = None
        self.trouble: SnoopsyncError | None = None

    def clear(self) -> None:
        """Note that no service is running, and that no trouble is known."""
        self.service = self.trouble = None

    def answer(self, command: Message) -> Iterator[Message]:
        """The response messages for a command from the socket."""
        service, trouble = self.service, self.trouble
        if trouble is not None:
            return iter([{"error": str(trouble), "exit_code": exit_code(trouble)}])
        if service is None:
            return iter([{"error": "the service is starting", "exit_code": Exit.LOCKED}])
        return service.commands.answer(command)

    def view(self) -> ServiceView:
        """The view of the service for health checks and metrics."""
        service, trouble = self.service, self.trouble
        if trouble is not None:
            return ServiceView(trouble=str(trouble))
        return ServiceView() if service is None else service.view
