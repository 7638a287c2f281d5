"""The entry points: extract the features of pictures, and render them, in sandboxed processes."""

from __future__ import annotations

import atexit
import threading
from functools import lru_cache

from snoopsync.core.shots import Shot
from snoopsync.decoding.features import Features
from snoopsync.decoding.layout import (
    METADATA_QUESTION,
    QUESTION,
    Metadata,
    Rendering,
    most_rendering_bytes,
    unpack,
    unpack_metadata,
    unpack_rendering,
)
from snoopsync.decoding.pool import DecoderStatistics, Pool
from snoopsync.decoding.sandbox import DecoderLimits, Outcome
from snoopsync.decoding.shots import SHOT_QUESTION, unpack_shot
from snoopsync.decoding.source import PictureFile
from snoopsync.runtime.workers import CORES

#: The functions that the processes run.
_WORK = "snoopsync.decoding.work:extract"
_DRAWING = "snoopsync.decoding.rendering:draw"

#: The number of decoders of a daemon or a command: while one waits for a picture, another one uses
#: its core. One process gives them pictures, and does not keep more than a few of them busy.
DECODERS = min(CORES, 7) + 1

#: The number of processes that render pictures for a page.
_RENDERERS = 2


class Decoders:
    """A few sandboxed processes that decode pictures. Thread-safe."""

    def __init__(self, count: int, limits: DecoderLimits | None = None, work: str = _WORK) -> None:
        """``work``: the name of the function that the processes run (see ``zygote.main``). The
        first picture, or ``warm_up``, starts the processes."""
        self._pool = Pool(count, work, limits)

    @property
    def zygote_id(self) -> int | None:
        """The ID of the process that decoders are forked from; ``None`` if it does not run."""
        return self._pool.zygote_id

    @property
    def missing(self) -> list[str] | None:
        """The restrictions that are not in force in the processes; ``None`` before the first
        process."""
        outcome = self._pool.outcome
        return None if outcome is None else outcome.missing

    def statistics(self) -> DecoderStatistics:
        """The figures at this moment. Waits for nothing."""
        return self._pool.statistics()

    def warm_up(self) -> Outcome:
        """Start a decoder, and return which restrictions are in force in it. Raises
        ``Unavailable`` if none can be started."""
        return self._pool.warm_up()

    def check(self) -> None:
        """Raises ``Unavailable`` if the last attempt to start a decoder failed, and another attempt
        fails too."""
        self._pool.check()

    def extract_features(self, picture: PictureFile) -> Features:
        """The features of this picture. Waits for a decoder. Raises ``Refused`` for a picture that
        cannot be decoded, and ``Unavailable`` if no decoder can be started."""
        return self._pool.decode(
            picture.file.fileno(),
            picture.sha256,
            lambda answer: unpack(answer, picture.sha256, picture.size_bytes),
        )

    def read_shot(self, picture: PictureFile) -> Shot:
        """What a camera wrote into this file. Waits and raises as ``extract_features`` does."""
        return self._pool.decode(picture.file.fileno(), SHOT_QUESTION, unpack_shot)

    def close(self) -> None:
        """End all decoders, even busy ones. A second call does nothing."""
        self._pool.close()


class Renderers:
    """A few sandboxed processes that render pictures for people. Safe for several threads."""

    def __init__(
        self, count: int = _RENDERERS, limits: DecoderLimits | None = None, work: str = _DRAWING
    ) -> None:
        """The first picture starts the processes."""
        self._pool = Pool(count, work, limits)

    def render(self, picture: PictureFile, side: int = 0) -> Rendering:
        """The pixels of this picture, with at most ``side`` along each side; in full if ``side`` is
        0. Waits for a decoder. Raises as ``Decoders.extract_features`` does."""
        return self._pool.decode(
            picture.file.fileno(),
            QUESTION.pack(side),
            lambda answer: unpack_rendering(answer, side),
            most_rendering_bytes(side),
        )

    def read_metadata(self, picture: PictureFile) -> Metadata:
        """What the file says about itself. Waits and raises as ``render`` does."""
        return self._pool.decode(picture.file.fileno(), METADATA_QUESTION, unpack_metadata)

    def close(self) -> None:
        """End all decoders, even busy ones. A second call does nothing."""
        self._pool.close()


_sharing = threading.Lock()


@lru_cache(maxsize=1)
def _only() -> Decoders:
    decoders = Decoders(DECODERS)
    atexit.register(decoders.close)
    return decoders


def shared() -> Decoders:
    """The default decoders of this process, which end with it."""
    with _sharing:
        return _only()
