"""Which proxy the environment names for an endpoint, and how to name it in a message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from requests.utils import get_environ_proxies, select_proxy


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy. ``url`` may have a password in it, the text has not."""

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
    """The proxy for this URL: ``$HTTPS_PROXY`` and its like, unless ``$NO_PROXY`` excepts the host.
    requests reads them from the process's environment; ``environ`` is for the variable's name."""
    chosen = select_proxy(url, get_environ_proxies(url, no_proxy=None))
    if chosen is None:
        return None
    scheme = urlsplit(url).scheme
    names = [f"{scheme}_proxy", f"{scheme}_proxy".upper(), "all_proxy", "ALL_PROXY"]
    return Proxy(chosen, next((name for name in names if environ.get(name)), names[1]))
