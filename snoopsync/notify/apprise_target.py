"""The targets of notifications. Only this module imports Apprise.

An address contains keys and passwords, and messages of Apprise and its plugins may quote it. Every
such message is masked before anything else sees it.
"""

from __future__ import annotations

import logging
import re
import warnings
from datetime import datetime
from typing import Protocol
from urllib.parse import unquote

from snoopsync.config.secrets import Secret
from snoopsync.config.settings import Config, NotifyConfig
from snoopsync.core.errors import ConfigError, Problem
from snoopsync.notify.digest import Notification

#: A notification that is sent later than this states when its event happened.
_LATE_SECONDS = 120.0

#: Shorter parts of an address are not masked: they would match ordinary text.
_SHORTEST_MASKED = 3


class Target(Protocol):
    """A target of notifications. ``label`` names it without its address."""

    label: str
    url: Secret

    def send(self, notification: Notification, now: float) -> str | None:
        """Send a notification. Returns ``None`` if the target accepted it, else the reason.
        ``now`` is Unix time. For any thread."""


class AppriseTarget:
    """A target that is one Apprise address."""

    def __init__(self, label: str, url: Secret) -> None:
        """Raises ``ValueError`` for an address that Apprise can't use."""
        # Imported late: Apprise takes a second to load, and is an extra.
        import apprise

        self.url = url
        # Send in the calling thread and without Apprise's own time limit, which leaves a thread
        # behind that the interpreter waits for at exit.
        asset = apprise.AppriseAsset(
            app_id="snoopsync", app_desc="snoopsync", async_mode=False, service_timeout=0
        )
        # Apprise's messages about an invalid address quote the address.
        logging.getLogger("apprise").propagate = False
        capture = apprise.LogCapture(level=logging.WARNING, fmt="%(message)s")  # type: ignore[no-untyped-call]
        with capture as captured, warnings.catch_warnings():
            # The first call imports all plugins, and some use deprecated features.
            warnings.simplefilter("ignore")
            service = apprise.Apprise.instantiate(url.reveal(), asset=asset)
        if service is None:
            raise ValueError(masked(captured.getvalue().partition("\n")[0], url))
        self.label = f"{label} ({service.service_name})"
        self._apprise = apprise.Apprise(service, asset=asset)
        self._types = {
            None: apprise.NotifyType.SUCCESS,
            logging.INFO: apprise.NotifyType.INFO,
            logging.WARNING: apprise.NotifyType.WARNING,
        }
        self._failure = apprise.NotifyType.FAILURE
        self._format = apprise.NotifyFormat.TEXT

    def send(self, notification: Notification, now: float) -> str | None:
        """Send a notification, as ``Target.send``."""
        body = notification.body
        if now - notification.at > _LATE_SECONDS:
            when = datetime.fromtimestamp(notification.at).astimezone()
            body += f"\n(at {when:%H:%M} on {when:%Y-%m-%d})"
        try:
            result = self._apprise.notify(
                body,
                title=notification.title,
                notify_type=self._types.get(notification.level, self._failure),
                body_format=self._format,
            )
        except Exception as error:  # a plugin's error, whose message may quote the address
            return type(error).__name__
        if result:
            return None
        messages = [entry.message for entry in result.logs()]
        return masked(messages[-1], self.url) if messages else "the target did not accept it"


def masked(text: str, url: Secret) -> str:
    """The text with every part of the address except its scheme replaced by ``***``."""
    before, colon, after = url.reveal().partition("://")
    parts = re.split(r"[^\w.~%-]+", after if colon else before)
    parts += [unquote(part) for part in parts]
    for part in sorted(parts, key=len, reverse=True):
        if len(part) >= _SHORTEST_MASKED:
            text = re.sub(re.escape(part), "***", text, flags=re.IGNORECASE)
    return text


def targets_of(config: Config) -> tuple[AppriseTarget, ...]:
    """The configured targets. Raises ``ConfigError`` for addresses that Apprise can't use."""
    if config.notify is None:
        return ()
    targets, problems = [], []
    for number, url in enumerate(config.notify.urls):
        name = _label(config.notify, number)
        try:
            targets.append(AppriseTarget(name, url))
        except ValueError as error:
            problems.append(Problem(name, f"is not an address that Apprise can use: {error}"))
    if problems:
        raise ConfigError(str(config.source or "configuration"), tuple(problems))
    return tuple(targets)


def _label(config: NotifyConfig, number: int) -> str:
    if config.urls_file is not None:
        return f"address {number + 1} of {config.urls_file}"
    return f"notify.urls[{number}]"
