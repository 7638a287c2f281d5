"""Commands from the socket, while no service can answer them."""

from __future__ import annotations

from snoopsync.control.report import ServiceView
from snoopsync.core.errors import StateFull
from snoopsync.core.exits import Exit
from snoopsync.service.control_router import ControlRouter


def test_a_starting_service_says_so() -> None:
    router = ControlRouter()
    assert list(router.answer({"command": "report"})) == [
        {"error": "the service is starting", "exit_code": Exit.LOCKED}
    ]
    assert router.view() == ServiceView()


def test_a_blocked_service_says_why_until_the_trouble_is_over() -> None:
    router = ControlRouter()
    router.trouble = StateFull("the disk is full")
    assert list(router.answer({"command": "approve"})) == [
        {"error": "the disk is full", "exit_code": Exit.BUG}
    ]
    assert router.view() == ServiceView(trouble="the disk is full")
    router.clear()
    assert router.view() == ServiceView()
