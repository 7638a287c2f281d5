"""Pictures to features, in processes that can do nothing else."""

from __future__ import annotations

import atexit
import threading
from functools import lru_cache

from snoopsync.decoding.features import Features
from snoopsync.decoding.layout import unpack
from snoopsync.decoding.pool import Pool
from snoopsync.decoding.sandbox import DecoderLimits, Restriction
from snoopsync.decoding.source import PictureFile

#: What the processes run.
_WORK = "snoopsync.decoding.work:extract"

#: How many processes decode for a daemon or a command.
_USUAL_COUNT = 2


class Decoders:
    """A few processes that look at pictures. For any thread."""

    def __init__(self, count: int, limits: DecoderLimits | None = None, work: str = _WORK) -> None:
        """``work`` is what they run, as ``zygote.main`` has it. Nothing starts before the first
        picture, or ``warm_up``."""
        self._pool = Pool(count, work, limits)

    @property
    def zygote_id(self) -> int | None:
        """The ID of the process that they are forked from; ``None`` if there is none now."""
        return self._pool.zygote_id

    def warm_up(self) -> Restriction:
        """Start one, and return which restrictions are in force in it. Raises ``Unavailable``."""
        return self._pool.warm_up()

    def check(self) -> None:
        """Raises ``Unavailable`` if they could not work when they were last needed, and still
        can't."""
        self._pool.check()

    def extract_features(self, picture: PictureFile) -> Features:
        """What this picture looks like. Waits for a process. Raises ``Refused``, and
        ``Unavailable`` where none can be had."""
        return self._pool.decode(
            picture.file.fileno(),
            picture.sha256,
            lambda answer: unpack(answer, picture.sha256, picture.size_bytes),
        )

    def close(self) -> None:
        """End them, whatever they do; again does nothing."""
        self._pool.close()


_sharing = threading.Lock()


@lru_cache(maxsize=1)
def _only() -> Decoders:
    decoders = Decoders(_USUAL_COUNT)
    atexit.register(decoders.close)
    return decoders


def shared() -> Decoders:
    """The decoders of this process, for all who bring none of their own. They end with it."""
    with _sharing:
        return _only()
