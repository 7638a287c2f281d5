"""Where notifications go: addresses that have keys and passwords in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from snoopsync.config import secrets
from snoopsync.config.document import Document
from snoopsync.config.secrets import Secret, SecretError, SecretUnreadable
from snoopsync.config.settings import Config, NotifyConfig

#: Which library a section needs, and the extra that brings it.
_NEEDED = {"notify": "apprise", "metrics": "prometheus_client"}


def require_extras(document: Document) -> None:
    """Report the sections that are configured, and whose libraries are not installed."""
    for section, library in _NEEDED.items():
        if section in document.lines and find_spec(library) is None:
            extra = f"pip install 'snoopsync[{section}]'"
            document.report(section, f"needs {library}, which is not installed: {extra}")


def with_targets(
    config: Config, document: Document, mode: int, environ: Mapping[str, str]
) -> Config:
    """The configuration with the addresses to tell, wherever they are. ``mode`` is the
    configuration file's, that may have them itself."""
    notify = config.notify
    if notify is None:
        return config
    given = document.lines.keys() & {"notify.urls", "notify.urls_file"}
    try:
        if "notify.urls" in given:
            secrets.refuse_if_exposed(Path(document.source), mode)
            if "notify.urls_file" in given:
                document.report("notify.urls_file", "is given beside urls: remove one")
            return config
        urls = _urls_elsewhere(notify, environ)
    except SecretError as error:
        key = "notify.urls" if "notify.urls" in given else "notify.urls_file"
        document.report(key, error.message, mend=error.mend)
        return config
    if not urls and not given:
        message = (
            "is missing: name addresses, a urls_file, or the systemd credential"
            f' "{secrets.NOTIFY_CREDENTIAL}"'
        )
        document.report("notify.urls", message, document.lines["notify"])
    return replace(config, notify=replace(notify, urls=urls))


def _urls_elsewhere(notify: NotifyConfig, environ: Mapping[str, str]) -> tuple[Secret, ...]:
    """The addresses that are not in the configuration. Raises ``SecretError``."""
    if notify.urls_file is not None:
        try:
            return secrets.secrets_from_file(notify.urls_file)
        except SecretUnreadable:
            # The service that is not root: systemd has read the same file for it.
            if not (urls := secrets.secrets_from_credentials(environ)):
                raise
            return urls
    return secrets.secrets_from_credentials(environ)
