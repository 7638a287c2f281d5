"""Reads the addresses for notifications, which contain keys and passwords."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from snoopsync.config import secrets
from snoopsync.config.document import Document
from snoopsync.config.secrets import Secret, SecretError, SecretNotReadable
from snoopsync.config.settings import Config, NotifyConfig


def with_notify_urls(
    config: Config, document: Document, mode: int, environ: Mapping[str, str]
) -> Config:
    """The configuration with the addresses from the configuration file, ``urls_file`` or the
    systemd credential. Reports problems. ``mode``: the configuration file's mode."""
    notify = config.notify
    if notify is None:
        return config
    given = document.lines.keys() & {"notify.urls", "notify.urls_file"}
    try:
        if "notify.urls" in given:
            secrets.require_private(Path(document.source), mode)
            if "notify.urls_file" in given:
                document.report("notify.urls_file", "conflicts with urls: remove one of them")
            return config
        urls = _urls_elsewhere(notify, environ)
    except SecretError as error:
        key = "notify.urls" if "notify.urls" in given else "notify.urls_file"
        document.report(key, error.message, fix=error.fix)
        return config
    if not urls and not given:
        message = (
            "is missing: set urls, urls_file or the systemd credential"
            f' "{secrets.NOTIFY_CREDENTIAL}"'
        )
        document.report("notify.urls", message, document.lines["notify"])
    return replace(config, notify=replace(notify, urls=urls))


def _urls_elsewhere(notify: NotifyConfig, environ: Mapping[str, str]) -> tuple[Secret, ...]:
    """The addresses from ``urls_file`` or the systemd credential. Raises ``SecretError``."""
    if notify.urls_file is not None:
        try:
            return secrets.secrets_from_file(notify.urls_file)
        except SecretNotReadable:
            # If the service does not run as root, systemd passes the same file as a credential.
            if not (urls := secrets.secrets_from_credentials(environ)):
                raise
            return urls
    return secrets.secrets_from_credentials(environ)
