"""Stores which images are being sent, in case the whole process dies.

One or several of these images may have caused the death. The next process sends these images first,
one at a time, so it makes progress even if one of them kills it again. This has no other effect: a
picture is refused because of its decoder's result, never because the process died.

The file is only a hint, so it is written without fsync, once for each batch of images. If it is
damaged, lost or old, the images are sent like all others.
"""

from __future__ import annotations

import logging
import os
import re
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from snoopsync.core.events import Event, log_event
from snoopsync.state.file import beside
from snoopsync.state.images import State

log = logging.getLogger("snoopsync.mirror")

#: The first line: the file's type, and the CRC-32 of the rest.
_HEAD = re.compile(rb"snoopsync in flight 1 ([0-9a-f]{8})\n")

#: An image ID. The file has at most ``_MAX_IMAGES`` of them, one per line.
_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")
_MAX_IMAGES = 256
_MAX_BYTES = 32 << 10


class InFlight:
    """The images of one state file that are being sent. Used by one thread.

    ``interrupted`` are the images that were being sent when the previous process died. An image is
    removed from the set when the collection has responded to it, or when its file has changed.
    """

    def __init__(self, state: State, path: Path | None) -> None:
        """Reads what a previous process left if it died. Without a ``path`` (see ``path_of``)
        nothing is stored."""
        self._path = path
        left = _read(path) if path is not None else ()
        # An old file may name images that have been sent since.
        self.interrupted = {
            image_id for image_id in left if (record := state.record(image_id)) and record.dirty
        }
        self._written = set(left)
        if self.interrupted:
            log_event(
                log,
                logging.WARNING,
                Event.INTERRUPTED,
                "snoopsync ended unexpectedly while it was sending %d images: they are sent first,"
                " one at a time",
                len(self.interrupted),
                count=len(self.interrupted),
            )

    def remember(self, image_ids: Iterable[str]) -> None:
        """Store that exactly these images are being sent now. The interrupted images stay in the
        file until the collection has responded to them."""
        if self._path is None:
            return
        wanted = self.interrupted.union(image_ids)
        if wanted != self._written:
            self._written = wanted
            _write(self._path, sorted(wanted)[:_MAX_IMAGES])


def path_of(state: Path) -> Path:
    """The path of the file for this state file."""
    return beside(state, ".inflight")


def _read(path: Path) -> tuple[str, ...]:
    """The image IDs in the file; none if the file is damaged or not from snoopsync."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError:
        return ()
    head = _HEAD.match(data)
    if head is None or len(data) > _MAX_BYTES:
        return ()
    body = data[head.end() :]
    if int(head[1], 16) != zlib.crc32(body):
        return ()
    ids = body.decode("ascii", "replace").splitlines()
    return tuple(each for each in ids[:_MAX_IMAGES] if _ID.fullmatch(each))


def _write(path: Path, image_ids: list[str]) -> None:
    # The file is only a hint, so a failure to write it is harmless.
    with suppress(OSError):
        if not image_ids:
            path.unlink(missing_ok=True)
            return
        body = "".join(f"{image_id}\n" for image_id in image_ids).encode("ascii")
        data = b"snoopsync in flight 1 %08x\n" % zlib.crc32(body) + body
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        # Nonblocking, because opening a FIFO at this path would wait for a reader.
        descriptor = os.open(path, flags | os.O_NONBLOCK, 0o600)
        try:
            # Written in place: with a rename, some file systems first write the new file to disk.
            os.pwrite(descriptor, data, 0)
            os.ftruncate(descriptor, len(data))
        finally:
            os.close(descriptor)
