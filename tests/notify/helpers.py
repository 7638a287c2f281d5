"""Targets of notifications."""

from __future__ import annotations

from snoopsync.config.secrets import Secret
from snoopsync.config.settings import NotifyConfig
from snoopsync.core.events import Event


def config(*urls: str, events: tuple[Event, ...] | None = None) -> NotifyConfig:
    secrets = tuple(map(Secret, urls))
    return NotifyConfig(secrets) if events is None else NotifyConfig(secrets, None, events)
