"""Routes control requests to the current service, or reports why there is none."""

from __future__ import annotations

from collections.abc import Iterator

from snoopsync.control.channel import Message
from snoopsync.control.report import ServiceView
from snoopsync.core.errors import SnoopsyncError
from snoopsync.core.exits import Exit, exit_code
from snoopsync.service.service import Service


class ControlRouter:
    """Outlives every generation of the service. ``service`` and ``trouble``, what keeps the service
    from running, are set by the main thread; the methods are for any thread."""

    def __init__(self) -> None:
        self.service: Service | None = None
        self.trouble: SnoopsyncError | None = None

    def clear(self) -> None:
        """There is no service now, and no known trouble."""
        self.service = self.trouble = None

    def answer(self, command: Message) -> Iterator[Message]:
        """The messages that answer a command from the socket."""
        service, trouble = self.service, self.trouble
        if trouble is not None:
            return iter([{"error": str(trouble), "exit_code": exit_code(trouble)}])
        if service is None:
            return iter([{"error": "the service is starting", "exit_code": Exit.LOCKED}])
        return service.commands.answer(command)

    def view(self) -> ServiceView:
        """How the service looks to health checks and metrics."""
        service, trouble = self.service, self.trouble
        if trouble is not None:
            return ServiceView(trouble=str(trouble))
        return ServiceView() if service is None else service.view
