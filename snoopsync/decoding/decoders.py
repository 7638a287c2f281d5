"""The entry point: extracts the features of pictures in sandboxed processes."""

from __future__ import annotations

import atexit
import threading
from functools import lru_cache

from snoopsync.decoding.features import Features
from snoopsync.decoding.layout import unpack
from snoopsync.decoding.pool import Pool
from snoopsync.decoding.sandbox import DecoderLimits, Outcome
from snoopsync.decoding.source import PictureFile

#: The function that the processes run.
_WORK = "snoopsync.decoding.work:extract"

#: The number of decoders of a daemon or a command.
_DEFAULT_COUNT = 2


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

    def close(self) -> None:
        """End all decoders, even busy ones. A second call does nothing."""
        self._pool.close()


_sharing = threading.Lock()


@lru_cache(maxsize=1)
def _only() -> Decoders:
    decoders = Decoders(_DEFAULT_COUNT)
    atexit.register(decoders.close)
    return decoders


def shared() -> Decoders:
    """The default decoders of this process, which end with it."""
    with _sharing:
        return _only()
