"""Watches one folder, by events if every change on its file system raises one, else by polling.

The mode is chosen again whenever the folder returns, because a network disk may now be mounted over
a local directory.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from snoopsync.core.events import Event, log_event
from snoopsync.core.model import printable
from snoopsync.watching.hint_source import HintSource, PollWatch
from snoopsync.watching.hints import Hints
from snoopsync.watching.mounts import MOUNTINFO, choose_watch

if TYPE_CHECKING:
    # Only for types: it loads the engines, and a command that watches nothing does not need them.
    from snoopsync.watching.watcher import Watcher

log = logging.getLogger("snoopsync")


class FolderWatch:
    """Watches one folder. Used by the thread that mirrors it.

    ``wanted`` is ``auto``, ``events`` or ``poll``; ``mode`` is ``events`` or ``poll``. Without a
    ``watcher`` the folder is not watched, and ``mode`` is empty.
    """

    def __init__(
        self,
        name: str,
        path: bytes,
        wanted: str,
        watcher: Watcher | None,
        mountinfo: Path = MOUNTINFO,
    ) -> None:
        self.mode = ""
        self._name = name
        self._path = path
        self._wanted = wanted
        self._watcher = watcher
        self._mountinfo = mountinfo
        self._watch: HintSource = PollWatch()
        self.choose()

    def choose(self) -> None:
        """Choose ``mode`` by the file system that the folder is on now, and watch in that mode."""
        if self._watcher is None:
            return
        mode, reason = choose_watch(self._wanted, self._path, self._mountinfo)
        if mode == self.mode:
            return
        self.mode = mode
        log_event(
            log,
            logging.INFO,
            Event.WATCHING,
            "folder %s: %s, by %s (%s)",
            *(self._name, printable(self._path), mode, reason),
            folder=self._name,
            path=os.fsdecode(self._path),
            watch=mode,
            reason=reason,
        )
        if mode == "events":
            self._watch = self._watcher.watch(self._name, self._path)
        else:
            self._watcher.unwatch(self._name)
            self._watch = PollWatch()

    @property
    def unwatched(self) -> Mapping[bytes, str]:
        """The directories that can't be watched, each with the reason."""
        return self._watch.unwatched

    @property
    def is_alive(self) -> bool:
        """Whether the folder is watched by events, and the watch seems to work."""
        return self.mode == "events" and self._watch.alive

    @property
    def last_proof(self) -> float | None:
        """As in ``HintSource``."""
        return self._watch.last_proof

    @property
    def proven(self) -> bool:
        """Whether a test event has proven that the watch works. Always true for polling."""
        if self.mode != "events":
            return True
        return self._watch.alive and self._watch.last_proof is not None

    @property
    def behind(self) -> bool:
        """Whether events have arrived that ``take`` does not return yet."""
        return self._watch.behind

    def cover(self, directory: bytes) -> bool:
        """Watch this directory. Call this before the directory is read. Returns whether the
        directory is watched."""
        return self._watch.cover(directory)

    def forget(self, directory: bytes) -> None:
        """Stop watching this directory and everything below it."""
        self._watch.forget(directory)

    def take(self) -> Hints:
        """The hints since the last call."""
        return self._watch.take()
