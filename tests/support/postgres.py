"""A real PostgreSQL for tests: a cluster of its own, in a directory of the tests."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from tests.support.authority import Certificate

#: What makes a cluster fast that nobody needs after the tests.
FAST = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}

#: The superuser of a cluster, who needs no password from this machine.
SUPERUSER = "owner"


def programs() -> Path | None:
    """The directory with ``initdb`` and ``postgres`` of the newest version; ``None`` without."""
    versions = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name)
    )
    if versions:
        return versions[-1]
    found = shutil.which("initdb")
    return None if found is None else Path(found).parent


def why_not() -> str | None:
    """Why no cluster can run here; ``None`` if one can."""
    if programs() is None:
        return "PostgreSQL is not installed"
    if os.geteuid() == 0 and _user() is None:
        return "PostgreSQL does not run as root, and there is no user postgres"
    return None


def _user() -> pwd.struct_passwd | None:
    with suppress(KeyError):
        return pwd.getpwnam("postgres")
    return None


def free_port() -> int:
    """A port that nothing uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Cluster:
    """A PostgreSQL server. ``directory`` is short, because it has a socket."""

    directory: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def data(self) -> Path:
        """The directory with the data."""
        return self.directory / "data"

    def create(self) -> None:
        """Create an empty cluster."""
        self._own()
        self.run(
            "initdb", "-D", self.data, "-U", SUPERUSER, "-A", "trust", "--no-sync", "-E", "UTF8"
        )

    def follow(self, primary: Cluster, slot: str) -> None:
        """Create a copy of a running cluster that follows it as a standby of this name."""
        self._own()
        self.run(
            *("pg_basebackup", "-D", self.data, "-R", "-c", "fast", "-X", "stream", "--no-sync"),
            *("-d", f"{primary.url('postgres')}?application_name={slot}"),
        )

    def _own(self) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        user = _user() if os.geteuid() == 0 else None
        if user is not None:
            os.chown(self.directory, user.pw_uid, user.pw_gid)

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.directory),
            "port": str(self.port),
            **self.settings,
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program("postgres"), "-D", str(self.data), *options],
                stdout=log,
                stderr=log,
                **self._as_user(),
            )
        self.wait()

    def wait(self, seconds: float = 30.0) -> None:
        """Wait until the server answers."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > deadline or (self._process and self._process.poll()):
                    raise
                time.sleep(0.02)  # the server has no other sign

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server: at once, but in order."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait()
            self._process = None

    def kill(self) -> None:
        """Kill all processes of the server, as a loss of power would."""
        if self._process is not None:
            children = subprocess.run(
                ["pgrep", "-P", str(self._process.pid)], capture_output=True, text=True, check=False
            ).stdout.split()
            self._process.kill()
            for child in children:
                with suppress(ProcessLookupError):
                    os.kill(int(child), signal.SIGKILL)
            self._process.wait()
            self._process = None

    def promote(self) -> None:
        """Make a standby the primary."""
        self.run("pg_ctl", "promote", "-w", "-D", self.data)

    def enable_tls(self, certificate: Certificate) -> None:
        """Encrypt the connections of clients that ask for it."""
        for source, name in ((certificate.path, "server.crt"), (certificate.key, "server.key")):
            target = self.data / name
            target.write_bytes(source.read_bytes())
            target.chmod(0o600)
            if os.geteuid() == 0 and (user := _user()) is not None:
                os.chown(target, user.pw_uid, user.pw_gid)
        self.execute("ALTER SYSTEM SET ssl TO on")
        self.stop()
        self.start()

    def execute(self, statement: str, database: str = "postgres") -> None:
        """Run a statement as the superuser."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement)

    def url(self, database: str, user: str = SUPERUSER) -> str:
        """The address of a database of this cluster."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """The address of a new, empty database."""
        name = f"test{next(self._numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            # As most databases, with an order of texts that is not that of their bytes.
            connection.execute(
                sql.SQL(
                    "CREATE DATABASE {} TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'"
                ).format(sql.Identifier(name))
            )
        return self.url(name)

    def run(self, program: str, *arguments: str | Path) -> str:
        """Run a program of PostgreSQL as the user of the cluster."""
        command = [self._program(program), *map(str, arguments)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, **self._as_user()
        )
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    def _program(self, name: str) -> str:
        directory = programs()
        assert directory is not None
        return str(directory / name)

    def _as_user(self) -> dict[str, Any]:
        user = _user() if os.geteuid() == 0 else None
        return {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "cwd": "/"}


@contextmanager
def running_cluster(**settings: str) -> Iterator[Cluster]:
    """An empty cluster that runs as long as the ``with`` lasts."""
    # Not below pytest's directory, which the user postgres cannot enter.
    directory = Path(tempfile.mkdtemp(prefix="pg-"))
    cluster = Cluster(directory, settings)
    cluster.create()
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.kill()
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def running_standby(primary: Cluster, **settings: str) -> Iterator[Cluster]:
    """A standby of a running cluster, as long as the ``with`` lasts."""
    directory = Path(tempfile.mkdtemp(prefix="pg-"))
    standby = Cluster(directory, settings)
    standby.follow(primary, "standby")
    standby.start()
    try:
        yield standby
    finally:
        standby.kill()
        shutil.rmtree(directory, ignore_errors=True)
