"""Where notifications can go: the only import of Apprise.

An address has keys and passwords in it, and so may whatever Apprise and its plugins say. No word of
theirs gets out with a part of the address in it.
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
from snoopsync.notify.digest import Message

#: A message that is sent so long after what it is about says when that was.
_LATE_SECONDS = 120.0

#: Parts of an address that are shorter can't be told from other text.
_LEAST_SECRET = 3


class Target(Protocol):
    """Where messages go. ``label`` names it without its address."""

    label: str
    url: Secret

    def send(self, message: Message, now: float) -> str | None:
        """Send it; ``None`` if it was taken, else why not. ``now`` is Unix time. For any thread."""


class AppriseTarget:
    """One address of Apprise's."""

    def __init__(self, label: str, url: Secret) -> None:
        """Raises ``ValueError`` for an address that Apprise can't use."""
        # Late, because it takes a second, and is an extra.
        import apprise

        self.url = url
        # In the calling thread, and without a limit of Apprise's own: it would leave a thread
        # behind that is waited for when the process ends.
        asset = apprise.AppriseAsset(
            app_id="snoopsync", app_desc="snoopsync", async_mode=False, service_timeout=0
        )
        # What it says of an address that it can't use has the address in it.
        logging.getLogger("apprise").propagate = False
        capture = apprise.LogCapture(level=logging.WARNING, fmt="%(message)s")  # type: ignore[no-untyped-call]
        with capture as said, warnings.catch_warnings():
            # The first time it imports all of its plugins, and some use what is deprecated.
            warnings.simplefilter("ignore")
            service = apprise.Apprise.instantiate(url.reveal(), asset=asset)
        if service is None:
            raise ValueError(masked(said.getvalue().partition("\n")[0], url))
        self.label = f"{label} ({service.service_name})"
        self._apprise = apprise.Apprise(service, asset=asset)
        self._kinds = {
            None: apprise.NotifyType.SUCCESS,
            logging.INFO: apprise.NotifyType.INFO,
            logging.WARNING: apprise.NotifyType.WARNING,
        }
        self._bad = apprise.NotifyType.FAILURE
        self._format = apprise.NotifyFormat.TEXT

    def send(self, message: Message, now: float) -> str | None:
        """Send it; ``None`` if it was taken, else why not. ``now`` is Unix time."""
        body = message.body
        if now - message.at > _LATE_SECONDS:
            when = datetime.fromtimestamp(message.at).astimezone()
            body += f"\n(at {when:%H:%M} on {when:%Y-%m-%d})"
        try:
            result = self._apprise.notify(
                body,
                title=message.title,
                notify_type=self._kinds.get(message.level, self._bad),
                body_format=self._format,
            )
        except Exception as error:  # of a plugin; its words may have the address in them
            return type(error).__name__
        if result:
            return None
        said = [entry.message for entry in result.logs()]
        return masked(said[-1], self.url) if said else "it was not taken"


def masked(text: str, url: Secret) -> str:
    """The text without any part of the address but its scheme."""
    before, colon, after = url.reveal().partition("://")
    parts = re.split(r"[^\w.~%-]+", after if colon else before)
    parts += [unquote(part) for part in parts]
    for part in sorted(parts, key=len, reverse=True):
        if len(part) >= _LEAST_SECRET:
            text = re.sub(re.escape(part), "***", text, flags=re.IGNORECASE)
    return text


def targets_of(config: Config) -> tuple[AppriseTarget, ...]:
    """The configured targets. Raises ``ConfigError`` for addresses that can't be used."""
    if config.notify is None:
        return ()
    targets, problems = [], []
    for number, url in enumerate(config.notify.urls):
        name = _label(config.notify, number)
        try:
            targets.append(AppriseTarget(name, url))
        except ValueError as error:
            problems.append(Problem(name, f"is no address that Apprise can use: {error}"))
    if problems:
        raise ConfigError(str(config.source or "configuration"), tuple(problems))
    return tuple(targets)


def _label(config: NotifyConfig, number: int) -> str:
    if config.urls_file is not None:
        return f"address {number + 1} of {config.urls_file}"
    return f"notify.urls[{number}]"
