"""The command ``notify test``."""

from __future__ import annotations

import logging
import time
from concurrent.futures import Future

import click

from snoopsync.cli.context import Context, json_option
from snoopsync.cli.json_lines import print_json
from snoopsync.config.settings import default_owner
from snoopsync.core.exits import Exit
from snoopsync.log.setup import NOTIFYING
from snoopsync.notify.apprise_target import Target, targets_of
from snoopsync.notify.digest import Notification
from snoopsync.notify.notifier import ATTEMPT_TIMEOUT_SECONDS
from snoopsync.runtime.workers import Workers


@click.group()
def notify() -> None:
    """Test the notifications."""


@notify.command(name="test")
@json_option
@click.pass_obj
def test_command(context: Context, as_json: bool) -> Exit:
    """Send a test notification to every configured target.

    Exit code 5: a target did not accept it.
    """
    config = context.configuration()
    if config is None or config.notify is None:
        raise click.ClickException("notifications are not configured: set notify.urls")
    owner = config.collection.owner or default_owner()
    text = "This is a test. snoopsync sends its notifications here."
    notification = Notification(f"snoopsync ({owner}): test", text, logging.INFO, time.time())
    errors = _send(targets_of(config), notification)
    if as_json:
        print_json({"target": label, "error": error} for label, error in errors)
    else:
        for label, error in errors:
            line = f"{label}: {'sent' if error is None else f'failed: {error}'}"
            context.out.print(line, markup=False, highlight=False, soft_wrap=True)
    return Exit.OK if all(error is None for _, error in errors) else Exit.UNREACHABLE


def _send(targets: tuple[Target, ...], notification: Notification) -> list[tuple[str, str | None]]:
    """Send to all targets at once. Returns the label and the error of each, in order."""
    workers = Workers(len(targets), NOTIFYING)
    futures = [
        workers.submit(lambda target=target: target.send(notification, notification.at))  # type: ignore[misc]
        for target in targets
    ]
    deadline = time.monotonic() + ATTEMPT_TIMEOUT_SECONDS
    return [
        (target.label, _error(future, deadline))
        for target, future in zip(targets, futures, strict=True)
    ]


def _error(future: Future[str | None], deadline: float) -> str | None:
    try:
        return future.result(max(0.0, deadline - time.monotonic()))
    except TimeoutError:
        return f"no answer within {ATTEMPT_TIMEOUT_SECONDS:.0f} s"
