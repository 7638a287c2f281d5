"""Finds the proxy that the environment names for an endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from requests.utils import get_environ_proxies, select_proxy


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, and the environment variable that names it. ``url`` may contain a password; the
    result of ``str()`` never does."""

    url: str
    variable: str

    def __str__(self) -> str:
        try:
            parts = urlsplit(self.url)
            where = parts.netloc.rpartition("@")[2]
        except ValueError:
            return f"the proxy of ${self.variable}"
        if not where:
            return f"the proxy of ${self.variable}"
        return f"the proxy {parts.scheme}://{where} (${self.variable})"


def proxy_for(url: str, environ: Mapping[str, str]) -> Proxy | None:
    """Return the proxy for this URL (from ``$HTTPS_PROXY`` or similar variables); ``None`` if there
    is none, or if ``$NO_PROXY`` excludes the host. requests reads the variables from the process's
    environment. ``environ`` is only used to find the variable's name."""
    chosen = select_proxy(url, get_environ_proxies(url, no_proxy=None))
    if chosen is None:
        return None
    scheme = urlsplit(url).scheme
    names = [f"{scheme}_proxy", f"{scheme}_proxy".upper(), "all_proxy", "ALL_PROXY"]
    return Proxy(chosen, next((name for name in names if environ.get(name)), names[1]))
