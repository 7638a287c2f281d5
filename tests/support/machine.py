"""A machine that has booted systemd: a container on a copy of this file system that is discarded.

``systemd-nspawn`` boots it in two seconds: a real systemd as the first process, with cgroups, a
journal and a network of its own, loopback. What is written there is gone in the end, except in
folders that are lent to it.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.process import Done, until

_INIT = Path("/lib/systemd/systemd")

#: systemd-nspawn filters the system calls of the whole machine. The list of version 252 has none of
#: Landlock's, and what it refuses no unit can allow.
_LANDLOCK = "landlock_create_ruleset landlock_add_rule landlock_restrict_self"

#: Everything below "/" but what is mounted there, and it must not be "/" itself.
_BOOT = 'mount --bind / "$0" && exec "$@"'


@functools.cache
def why_not() -> str | None:
    """Why no machine can be booted here; ``None`` if one can."""
    if os.geteuid() != 0:
        return "only root can boot a container"
    if not _INIT.exists():
        return "there is no systemd: apt-get install systemd"
    for tool in ("systemd-nspawn", "nsenter", "unshare"):
        if shutil.which(tool) is None:
            return f"there is no {tool}: apt-get install systemd-container util-linux"
    probe = ["unshare", "--mount", "--pid", "--net", "--fork", "true"]
    if subprocess.run(probe, capture_output=True, check=False).returncode != 0:
        return "namespaces are not to be had here"
    return None


class Machine:
    """The machine, while it runs. ``pid``: of its systemd."""

    def __init__(self, nspawn: subprocess.Popen[bytes], console: Path) -> None:
        self._nspawn = nspawn
        self._console = console
        self.pid = 0

    def run(self, *command: str | Path, timeout: float = 60.0) -> Done:
        """Run a command in it, as root, to its end."""
        done = subprocess.run(
            self.inside(*command),
            capture_output=True,
            encoding="utf-8",
            timeout=timeout,
            check=False,
            start_new_session=True,  # what it does to its processes must not reach the tests
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def ok(self, *command: str | Path, timeout: float = 60.0) -> str:
        """The output of a command that succeeds."""
        done = self.run(*command, timeout=timeout)
        assert done.code == 0, (command, done)
        return done.out

    def inside(self, *command: str | Path) -> list[str]:
        """The command that runs a command in it."""
        clean = [
            "env",
            "-i",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin",
            "LANG=C.UTF-8",
        ]
        return ["nsenter", "--target", str(self.pid), "--all", *clean, *map(str, command)]

    def wait_for_boot(self) -> None:
        """Wait until it has reached the target that it boots to."""
        children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children")

        def is_up() -> bool:
            assert self._nspawn.poll() is None, self._console.read_text(errors="replace")
            for pid in children.read_text().split():
                self.pid = int(pid)
                state = self.run("systemctl", "is-system-running")
                if state.out.strip() in ("running", "degraded"):
                    return True
            return False

        until(is_up, 60)

    def power_off(self) -> None:
        """Switch it off."""
        self._nspawn.terminate()
        try:
            self._nspawn.wait(60)
        except subprocess.TimeoutExpired:
            self._nspawn.kill()
            self._nspawn.wait()


@contextmanager
def booted(base: Path, lent: Mapping[Path, str]) -> Iterator[Machine]:
    """A machine that has booted as far as the basic system. ``lent``: folders, and where they are
    there, to be written to from both sides."""
    root, console = base / "root", base / "console"
    root.mkdir()
    binds = [f"--bind={_bind(here)}:{_bind(there)}" for here, there in lent.items()]
    command = [
        *("unshare", "--mount", "--propagation", "private", "sh", "-c", _BOOT, str(root)),
        *("systemd-nspawn", "--quiet", f"--directory={root}", "--volatile=overlay", *binds),
        *("--boot", "--register=no", "--keep-unit", f"--machine=snoopsync-{os.getpid()}"),
        f"--system-call-filter={_LANDLOCK}",
        *(
            "--private-network",
            "--link-journal=no",
            "--console=read-only",
            "systemd.unit=basic.target",
        ),
    ]
    with console.open("wb") as log:
        nspawn = subprocess.Popen(
            command,
            env=os.environ | {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    machine = Machine(nspawn, console)
    try:
        machine.wait_for_boot()
        yield machine
    finally:
        machine.power_off()


def _bind(path: Path | str) -> str:
    return str(path).replace("\\", "\\\\").replace(":", "\\:")
