"""What mirrors the folder: snoopsync's engine in this process, or a real service."""

from __future__ import annotations

import errno
import json
import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from snoopsync.config.settings import DuplicatesConfig, FolderConfig, SyncConfig
from snoopsync.folders.disk import Disk
from snoopsync.folders.open_folder import OpenFolder
from tests.campaigns.disks.conditions import Conditions, Violation
from tests.support.collection_server import PUBLIC_KEY, SECRET_KEY, CollectionServer
from tests.support.process import Installation, Service, until
from tests.support.world import JumpingClock, Live, Remote, ToldWatcher, World

FOLDER = "photos"

_SETTLE_SECONDS = 0.1

#: After this time, the engine must have looked at the folder itself.
_GUARD_SECONDS = 3.0

#: How long a real service may take: to see what happened, and to have all in sync in the end.
_NOTICED_SECONDS = 2.5
_IN_SYNC_SECONDS = 40.0

_LIBFAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")


class Engine(ABC):
    """Mirrors one folder, ``photos``. ``runs``: it is started, and not stopped or suspended."""

    runs = False

    @abstractmethod
    def start(self) -> None:
        """Start it."""

    @abstractmethod
    def stop(self) -> None:
        """End it as SIGTERM does."""

    @abstractmethod
    def kill(self) -> None:
        """End it as SIGKILL does."""

    @abstractmethod
    def suspend(self) -> None:
        """Suspend it."""

    @abstractmethod
    def resume(self, seconds: float) -> None:
        """Continue after a suspend of ``seconds``, if the engine's clock can be set."""

    @abstractmethod
    def step_clock(self, seconds: float) -> None:
        """The wall clock is set."""

    @abstractmethod
    def look(self, count: int) -> None:
        """Let it work a little."""

    @abstractmethod
    def settle(self) -> None:
        """Let it work until it must have seen everything."""

    @abstractmethod
    def tell(self, path: str) -> None:
        """An event at this path, if events are not the kernel's."""

    @abstractmethod
    def resync(self, *, prune: bool) -> None:
        """``snoopsync resync``."""

    @abstractmethod
    def approve(self) -> None:
        """``snoopsync approve``."""

    @abstractmethod
    def folder_state(self) -> str:
        """The folder's state, as ``status`` has it."""

    @abstractmethod
    def held(self) -> int:
        """How many deletions are held."""

    @abstractmethod
    def mirrored(self) -> dict[str, str | None]:
        """The SHA-256 of what the collection has for every known path of the folder."""

    @abstractmethod
    def wait_until_mirrored(self, files: dict[str, str]) -> None:
        """Wait until these files, by path, with their SHA-256, are in the collection; not for ever
        if they don't come."""

    def close(self) -> None:
        """End it, at the end of the sequence."""
        if self.runs:
            self.kill()


class CampaignClock(JumpingClock):
    """Time that jumps. ``offset``: by how much the wall clock was set."""

    offset = 0.0

    def now(self) -> float:
        return super().now() + self.offset


class BreakableDisk(Disk):
    """While ``broken`` is a directory, reading it and what is below it is an I/O error."""

    broken: bytes | None = None

    def _check(self, root: OpenFolder, path: bytes) -> None:
        absolute = root.path.rstrip(b"/") + b"/" + path + b"/"
        if self.broken is not None and absolute.startswith(self.broken + b"/"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def lstat(self, root: OpenFolder, path: bytes) -> os.stat_result:
        self._check(root, path)
        return super().lstat(root, path)

    def stat(self, root: OpenFolder, directory: bytes) -> os.stat_result:
        self._check(root, directory)
        return super().stat(root, directory)

    def file_system(self, root: OpenFolder, directory: bytes) -> int:
        self._check(root, directory)
        return super().file_system(root, directory)

    @contextmanager
    def entries(self, root: OpenFolder, directory: bytes) -> Iterator[Iterator[os.DirEntry[str]]]:
        self._check(root, directory)
        with super().entries(root, directory) as entries:
            yield entries

    def open(self, root: OpenFolder, path: bytes) -> BinaryIO:
        self._check(root, path)
        return super().open(root, path)


class InProcess(Engine):
    """The engine in this process, a step at a time."""

    def __init__(
        self, base: Path, conditions: Conditions, folder: Path, server: CollectionServer
    ) -> None:
        self._clock = CampaignClock()
        self._disk = BreakableDisk()
        self._world = World(
            base,
            Remote(server),
            clock=self._clock,
            hold=conditions.hold,
            sync=SyncConfig(
                settle_seconds=_SETTLE_SECONDS,
                delete_after_seconds=conditions.delete_after_seconds,
                workers=2,
            ),
            duplicates=DuplicatesConfig(alert=False),
            folders={FOLDER: FolderConfig(FOLDER, folder)},
            disk_edge=self._disk,
        )
        self._run = ExitStack()
        self._live: Live | None = None
        self._watcher = ToldWatcher()

    def start(self) -> None:
        self._watcher = ToldWatcher()
        running = self._world.running_until_it_crashes(self._watcher)
        self._live = self._run.enter_context(running)
        self.runs = True
        self._live.reconcile()

    def stop(self) -> None:
        assert self._live is not None
        self._live.components.engine.close(1.0)
        self.kill()

    def kill(self) -> None:
        self._live, self.runs = None, False
        self._run.close()

    def suspend(self) -> None:
        self.runs = False

    def resume(self, seconds: float) -> None:
        self._clock.advance(seconds)
        self.runs = True

    def step_clock(self, seconds: float) -> None:
        self._clock.offset += seconds

    def look(self, count: int) -> None:
        assert self._live is not None
        for _ in range(count):
            self._live.step()

    def settle(self) -> None:
        assert self._live is not None
        self._clock.advance(_GUARD_SECONDS)
        self._live.settle()

    def tell(self, path: str) -> None:
        for watch in self._watcher.told.values():
            watch.tell(path)

    @contextmanager
    def unreadable(self, root: Path) -> Iterator[None]:
        """Reading anything below this directory is an I/O error."""
        self._disk.broken = os.fsencode(root)
        yield
        self._disk.broken = None

    def resync(self, *, prune: bool) -> None:
        if self._live is None:
            self._world.resync(prune=prune)
        else:
            self._live.reconcile()

    def approve(self) -> None:
        self._world.approve()

    def folder_state(self) -> str:
        return self._world.folder_state()

    def held(self) -> int:
        return self._world.held()

    def mirrored(self) -> dict[str, str | None]:
        prefix = f"{FOLDER}/"
        return {
            rel_path.removeprefix(prefix): digest
            for rel_path, digest in self._world.mirrored().items()
        }

    def wait_until_mirrored(self, files: dict[str, str]) -> None:
        self.settle()

    def close(self) -> None:
        self._live = None
        self._run.close()


class Process(Engine):
    """A real service, with the kernel's events."""

    def __init__(
        self, base: Path, conditions: Conditions, folder: Path, server: CollectionServer
    ) -> None:
        home = base / "home"
        home.mkdir()
        self._home = Installation(home)
        self._home.environment["SNOOPSYNC_SECRET_KEY"] = SECRET_KEY
        hold = "never" if conditions.hold is None else "{count: 50, percent: 10}"
        self._home.configure(
            f"collection: {{endpoint: '{server.endpoint}', public_key: {PUBLIC_KEY}, owner: tests,"
            " timeout: 5s}\n"
            f"sync: {{settle: 50ms, delete_after: {conditions.delete_after_seconds / 10:g}s,"
            f" rescan_interval: 10s, hold_deletes_over: {hold}}}\n"
            "duplicates: {alert: false}\n"
            f"folders: [{{path: '{folder}', name: {FOLDER}, poll_interval: 1s}}]\n",
            folders="\n",
        )
        self._server = server
        self._clock_offset = home / "clock"
        if _LIBFAKETIME.exists() and any(step.name == "step_clock" for step in conditions.steps):
            # Only the wall clock. (libfaketime 0.9.10 then breaks time.sleep, and no other wait.)
            self._clock_offset.write_text("+0\n")
            self._home.environment |= {
                "LD_PRELOAD": str(_LIBFAKETIME),
                "FAKETIME_TIMESTAMP_FILE": str(self._clock_offset),
                "FAKETIME_CACHE_DURATION": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "NO_FAKE_STAT": "1",
            }
        self._offset_seconds = 0.0
        self._run = ExitStack()
        self._service: Service | None = None

    def start(self) -> None:
        self._service = self._run.enter_context(self._home.service())
        self.runs = True
        until(self._is_running)

    def stop(self) -> None:
        assert self._service is not None
        code = self._service.end(seconds=20.0)
        if code != 0:
            raise Violation(f"the service ended with {code}: {self._service.lines[-20:]}")
        self._ended()

    def kill(self) -> None:
        assert self._service is not None
        self._service.kill()
        self._ended()

    def _ended(self) -> None:
        assert self._service is not None
        self._run.close()
        lines, self._service, self.runs = self._service.lines, None, False
        until(lambda: not self._server.is_busy)
        if any("Traceback" in line for line in lines):
            raise Violation("a traceback:\n" + "\n".join(lines[-60:]))

    def suspend(self) -> None:
        assert self._service is not None
        self._service.send(signal.SIGSTOP)
        self.runs = False

    def resume(self, seconds: float) -> None:
        assert self._service is not None
        self._service.send(signal.SIGCONT)
        self.runs = True

    def step_clock(self, seconds: float) -> None:
        self._offset_seconds += seconds
        if self._clock_offset.exists():
            self._clock_offset.write_text(f"{self._offset_seconds:+.0f}\n")

    def look(self, count: int) -> None:
        self._wait(lambda: False, 0.1 * count)

    def settle(self) -> None:
        # A folder that is gone is noticed after two seconds, so time is all that can be waited for.
        self._wait(lambda: False, _NOTICED_SECONDS)

    @staticmethod
    def _wait(condition: Callable[[], object], seconds: float) -> None:
        with suppress(AssertionError):
            until(condition, seconds)

    def tell(self, path: str) -> None:
        pass

    def resync(self, *, prune: bool) -> None:
        self._home.run("resync", *(("--prune", "--yes") if prune else ()))

    def approve(self) -> None:
        self._home.run("approve", FOLDER)

    def _is_running(self) -> bool:
        text = self._home.run("status", "--json").out  # nothing, while there is no state file
        return bool(text and json.loads(text)["service"]["running"])

    def _status(self) -> Any:
        return self._home.status()

    def folder_state(self) -> str:
        return str(self._status()["folders"][0]["state"])

    def held(self) -> int:
        return int(self._status()["folders"][0]["held_deletes"])

    def mirrored(self) -> dict[str, str | None]:
        contents = self._server.contents
        rows = self._home.json("list", "--json")
        return {row["path"]: contents.get(row["image_id"]) for row in rows}

    def wait_until_mirrored(self, files: dict[str, str]) -> None:
        def is_mirrored() -> bool:
            images = self.mirrored()
            return all(images.get(path) == digest for path, digest in files.items())

        self._wait(is_mirrored, _IN_SYNC_SECONDS)
        self._wait(lambda: self._status()["in_sync"], _NOTICED_SECONDS)

    def close(self) -> None:
        self._run.close()
