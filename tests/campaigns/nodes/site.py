"""PostgreSQL with a synchronous standby, two nodes and HAProxy, as processes of this machine."""

from __future__ import annotations

import re
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psycopg

from snoopsync.server.operations import BASE
from tests.support.hosted import hosted_process
from tests.support.paths import ROOT
from tests.support.postgres import SUPERUSER, Cluster, free_port, running_cluster, running_standby
from tests.support.process import Installation, until

_DATABASE = "pictures"

#: The primary waits for the standby with each commit, so a standby that was away has to come back
#: soon.
STANDBY = {"wal_retrieve_retry_interval": "500ms"}


class Node:
    """``serve --database`` on a port of its own, which can be ended and started again."""

    def __init__(self, home: Installation, data: Path, url: str) -> None:
        self._home = home
        self._data = data
        self._port = free_port()
        self._options = ("--database", url, "--listen", self.address)
        self._running = ExitStack()
        self.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def endpoint(self) -> str:
        return f"http://{self.address}{BASE}"

    def start(self) -> None:
        """Start it, and wait until it is healthy."""
        process = hosted_process(self._home, self._data, *self._options)
        self.service, _ = self._running.enter_context(process)
        until(self.is_healthy)

    def is_healthy(self) -> bool:
        """Does it answer 200 to the load balancer?"""
        return status(f"http://{self.address}/healthz") == 200

    def kill(self) -> None:
        self.service.kill()

    def close(self) -> None:
        self._running.close()


def status(url: str) -> int:
    """The status of the answer; 0 without an answer."""
    with suppress(OSError):
        try:
            with urllib.request.urlopen(url, timeout=10) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code
    return 0


class Site:
    """All of it."""

    def __init__(self, home: Installation, primary: Cluster, standby: Cluster) -> None:
        self.home = home
        self.primary = primary
        self.standby = standby
        hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
        self.url = f"postgresql://{SUPERUSER}@{hosts}/{_DATABASE}?target_session_attrs=read-write"
        self.nodes: list[Node] = []
        self._port = free_port()

    @property
    def endpoint(self) -> str:
        """The endpoint of HAProxy."""
        return f"http://127.0.0.1:{self._port}{BASE}"

    def keys(self) -> tuple[str, str]:
        """A new key pair for the only collection."""
        [key] = self.home.json("keys", "add", "family", "--database", self.url, "--json")
        return key["public_key"], key["secret_key"]

    def balancer(self) -> str:
        """The configuration that docs/hosting.md shows, with the addresses of this machine."""
        shown = (ROOT / "docs" / "hosting.md").read_text()
        [text] = re.findall(r"^```haproxy\n(.*?)^```$", shown, re.MULTILINE | re.DOTALL)
        text, bound = re.subn(r"bind .*", f"bind 127.0.0.1:{self._port}", text)
        servers = iter(self.nodes)
        text, served = re.subn(
            r"(?m)^( +server \S+) \S+", lambda found: f"{found[1]} {next(servers).address}", text
        )
        assert (bound, served) == (1, len(self.nodes))
        return text


@contextmanager
def running_site() -> Iterator[Site]:
    """A site as long as the ``with`` lasts. No commit is lost if the machine fails."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nodes-")))
        primary = stack.enter_context(running_cluster())
        primary.execute(f"CREATE DATABASE {_DATABASE}")
        standby = stack.enter_context(running_standby(primary, **STANDBY))
        wait_for_commits(primary, standby)
        home = Installation(folder)
        site = Site(home, primary, standby)
        site.keys()  # and the master key
        for _ in range(2):
            node = Node(home, home.state.parent / "hosted", site.url)
            stack.callback(node.close)
            site.nodes.append(node)
        config = folder / "haproxy.cfg"
        config.write_text(site.balancer())
        haproxy = stack.enter_context(subprocess.Popen(["haproxy", "-q", "-db", "-f", config]))
        stack.callback(haproxy.kill)
        until(lambda: status(f"{site.endpoint}/openapi.json") == 200)
        yield site


def wait_for_commits(primary: Cluster, standby: Cluster) -> None:
    """From now on, a commit waits until the standby has stored it."""
    primary.execute("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
    primary.execute("SELECT pg_reload_conf()")
    with psycopg.connect(primary.url("postgres"), autocommit=True) as connection:
        query = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"
        until(lambda: connection.execute(query).fetchone())
