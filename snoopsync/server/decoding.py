"""Decodes pictures in processes of their own, so that a hostile one can only kill its own."""

from __future__ import annotations

import multiprocessing
import os
import resource
from collections.abc import Callable
from concurrent.futures import TimeoutError as TooSlow
from pathlib import Path
from typing import TYPE_CHECKING

from pebble import ProcessExpired, ProcessPool

from snoopsync.errors import Refused
from snoopsync.protocol import ImageSource

if TYPE_CHECKING:
    from snoopsync.embedded.features import Features

#: How long one picture may take.
_DECODE_SECONDS = 30.0

#: How much address space a decoder may have: the largest picture that is taken needs half of it.
_DECODER_BYTES = 3 << 30

#: After so many pictures a decoder is replaced by a fresh one: leaks of the libraries end with it.
_PICTURES_EACH = 2000

#: So often a picture is looked at whose decoder dies: the first time, something else may have
#: killed it.
_TRIES = 2


def _look(path: Path) -> Features:
    # Late: only the decoders need what it imports.
    from snoopsync.embedded.decode import features_of
    from snoopsync.embedded.source import read_body

    return features_of(read_body(path))


class Decoders:
    """A few processes that look at pictures. For any thread."""

    def __init__(
        self,
        count: int,
        *,
        decode_seconds: float = _DECODE_SECONDS,
        decoder_bytes: int = _DECODER_BYTES,
        look: Callable[[Path], Features] = _look,
    ) -> None:
        """``look`` is what they do: a function of a module, which they import."""
        self._seconds = decode_seconds
        self._look = look
        # Not by a fork of this process: it has threads, and a copy has what they had locked. What
        # the server of forks has imported, none of them has to import again.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["snoopsync.embedded.decode", __name__])
        self._pool = ProcessPool(
            max_workers=count,
            max_tasks=_PICTURES_EACH,
            initializer=_limit_myself,
            initargs=(decoder_bytes,),
            context=context,
        )

    def look_at(self, image: ImageSource) -> Features:
        """What the picture in this file (a path) looks like. Raises ``Refused``."""
        if not isinstance(image, str | os.PathLike):
            raise TypeError("a picture for another process has to be in a file")
        for _ in range(_TRIES):
            future = self._pool.schedule(self._look, args=(Path(image),), timeout=self._seconds)
            try:
                features: Features = future.result()
            except TooSlow:
                raise Refused(
                    f"takes longer than {self._seconds:.0f} s to decode", status=415
                ) from None
            except MemoryError:
                raise Refused("takes too much memory to decode", status=413) from None
            except ProcessExpired:
                continue
            return features
        raise Refused("can't be decoded: it ends the decoder", status=415)

    def close(self) -> None:
        """End them, whatever they do."""
        self._pool.stop()  # type: ignore[no-untyped-call]
        self._pool.join()


def _limit_myself(address_space_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (address_space_bytes, address_space_bytes))
