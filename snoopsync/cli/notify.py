"""The command about notifications: ``notify test``."""

from __future__ import annotations

import logging
import time
from concurrent.futures import Future
from dataclasses import dataclass

import click

from snoopsync.cli import output as results
from snoopsync.cli.context import Context, json_option
from snoopsync.config.settings import default_owner
from snoopsync.core.exits import Exit
from snoopsync.log.setup import NOTIFYING
from snoopsync.notify.apprise_target import Target, targets_of
from snoopsync.notify.digest import Message
from snoopsync.notify.notifier import HANGS_AFTER_SECONDS
from snoopsync.runtime.workers import Workers


@click.group()
def notify() -> None:
    """Notifications: is what happens told where it should be?"""


@notify.command(name="test")
@json_option
@click.pass_obj
def test_command(context: Context, as_json: bool) -> Exit:
    """Send a test message to every place that the configuration names."""
    config = context.configuration()
    if config is None or config.notify is None:
        raise click.ClickException("nobody is to be told: the configuration has no `notify`")
    text = "This is a test. What happens from now on is told here."
    owner = config.collection.owner or default_owner()
    message = Message(f"snoopsync ({owner}): test", text, logging.INFO, time.time())
    found = _send(targets_of(config), message)
    if as_json:
        results.json_lines([{"target": each.label, "error": each.error} for each in found])
    else:
        for each in found:
            said = "taken" if each.error is None else f"not taken: {each.error}"
            line = f"{each.label}: {said}"
            context.out.print(line, markup=False, highlight=False, soft_wrap=True)
    return Exit.OK if all(each.error is None for each in found) else Exit.UNREACHABLE


@dataclass(frozen=True, slots=True)
class _Tried:
    label: str
    error: str | None


def _send(targets: tuple[Target, ...], message: Message) -> list[_Tried]:
    """Send it to all of them at once; what came of it, in their order."""
    workers = Workers(len(targets), NOTIFYING)
    futures = [
        workers.submit(lambda target=target: target.send(message, message.at))  # type: ignore[misc]
        for target in targets
    ]
    deadline = time.monotonic() + HANGS_AFTER_SECONDS
    return [
        _Tried(target.label, _result(future, deadline))
        for target, future in zip(targets, futures, strict=True)
    ]


def _result(future: Future[str | None], deadline: float) -> str | None:
    try:
        return future.result(max(0.0, deadline - time.monotonic()))
    except TimeoutError:
        return f"no answer within {HANGS_AFTER_SECONDS:.0f} s"
