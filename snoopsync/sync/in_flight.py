"""Which images are being sent, remembered for the case that the whole process dies.

One of them may be the cause of that death, alone or together with the others. The next process
sends these images first, one at a time, so it makes progress whatever they do. They have no other
disadvantage: a picture is refused for what its decoder does, never for the death of the process.

The file is a hint, so it is written without fsync, once for each batch of images. If it is damaged,
lost or old, the images are sent as all the others.
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

#: The first line: what the file is, and the CRC-32 of all that follows it.
_HEAD = re.compile(rb"snoopsync in flight 1 ([0-9a-f]{8})\n")

#: An image ID. At most ``_MOST_IMAGES`` of them are remembered, a line each.
_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")
_MOST_IMAGES = 256
_MOST_BYTES = 32 << 10


class InFlight:
    """The images of one state file that are being sent. Used by one thread.

    ``interrupted`` are those that were being sent when the process before this one died. One is
    taken out when the collection has answered it, or when its file is another picture by then.
    """

    def __init__(self, state: State, path: Path | None) -> None:
        """Reads what the process before has left, if it died. Without a ``path`` (see ``path_of``)
        nothing is remembered."""
        self._path = path
        left = _read(path) if path is not None else ()
        # A mark that was not removed in time may name images that have been sent.
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
        """These are being sent from now on, and none but these. The interrupted ones stay in the
        file, until the collection has answered them."""
        if self._path is None:
            return
        wanted = self.interrupted.union(image_ids)
        if wanted != self._written:
            self._written = wanted
            _write(self._path, sorted(wanted)[:_MOST_IMAGES])


def path_of(state: Path) -> Path:
    """Where the images of this state file are remembered."""
    return beside(state, ".inflight")


def _read(path: Path) -> tuple[str, ...]:
    """The image IDs in the file; none if it is not one of ours, or not whole."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError:
        return ()
    head = _HEAD.match(data)
    if head is None or len(data) > _MOST_BYTES:
        return ()
    body = data[head.end() :]
    if int(head[1], 16) != zlib.crc32(body):
        return ()
    ids = body.decode("ascii", "replace").splitlines()
    return tuple(each for each in ids[:_MOST_IMAGES] if _ID.fullmatch(each))


def _write(path: Path, image_ids: list[str]) -> None:
    # It is only a hint: if it can't be written, nothing else is the worse for that.
    with suppress(OSError):
        if not image_ids:
            path.unlink(missing_ok=True)
            return
        body = "".join(f"{image_id}\n" for image_id in image_ids).encode("ascii")
        data = b"snoopsync in flight 1 %08x\n" % zlib.crc32(body) + body
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        # Nonblocking, or a FIFO in this place would keep us waiting for a reader.
        descriptor = os.open(path, flags | os.O_NONBLOCK, 0o600)
        try:
            # In place: some file systems write a file to disk before another one is renamed to it.
            os.pwrite(descriptor, data, 0)
            os.ftruncate(descriptor, len(data))
        finally:
            os.close(descriptor)
