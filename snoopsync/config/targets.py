"""Where notifications go: addresses that have keys and passwords in them."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from snoopsync.config import secrets
from snoopsync.config.document import Document
from snoopsync.config.secrets import SecretError
from snoopsync.config.settings import Config

#: Which library a section needs, and the extra that brings it.
_NEEDED = {"notify": "apprise", "metrics": "prometheus_client"}


def require_extras(document: Document) -> None:
    """Report the sections that are configured, and whose libraries are not installed."""
    for section, library in _NEEDED.items():
        if section in document.lines and find_spec(library) is None:
            extra = f"pip install 'snoopsync[{section}]'"
            document.report(section, f"needs {library}, which is not installed: {extra}")


def with_targets(config: Config, document: Document, mode: int) -> Config:
    """The configuration with the addresses that are in a file of their own. ``mode`` is the
    configuration file's, that may have them too."""
    notify = config.notify
    if notify is None:
        return config
    try:
        if "notify.urls" in document.lines:
            secrets.refuse_if_exposed(Path(document.source), mode)
            if notify.urls_file is not None:
                document.report("notify.urls_file", "is given beside urls: remove one")
        elif notify.urls_file is not None:
            urls = secrets.secrets_from_file(notify.urls_file)
            return replace(config, notify=replace(notify, urls=urls))
        elif "notify.urls_file" not in document.lines:
            message = "is missing: name at least one address, or a urls_file"
            document.report("notify.urls", message, document.lines["notify"])
    except SecretError as error:
        key = "notify.urls" if "notify.urls" in document.lines else "notify.urls_file"
        document.report(key, str(error))
    return config
