"""Decodes pictures in processes of their own, so that a hostile one can only kill its own."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import resource
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from concurrent.futures import TimeoutError as TooSlow
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pebble import ProcessExpired, ProcessPool

from snoopsync.errors import Refused, Unavailable
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

#: So often somebody who waits for a decoder looks whether there still are any.
_LOOK_SECONDS = 1.0


#: From linux/prctl.h: the signal that a process gets when its parent ends.
_PR_SET_PDEATHSIG = 1


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
        self._count = count
        self._seconds = decode_seconds
        self._bytes = decoder_bytes
        self._look = look
        # Not by a fork of this process: it has threads, and a copy has what they had locked. What
        # the server of forks has imported, none of them has to import again.
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["snoopsync.embedded.decode", __name__])
        self._lock = threading.Lock()
        self._trying = threading.Lock()
        self._failure: str | None = None
        self._is_closed = False
        self._pool = self._new_pool()

    def warm_up(self) -> None:
        """Start them, and wait until one can work. Raises ``Unavailable``."""
        try:
            self._do(_nothing)
        except (ProcessExpired, BrokenProcessPool, TooSlow):
            raise self._failed("can't be started") from None
        self._failure = None

    def check(self) -> None:
        """Raises ``Unavailable`` if they could not work when they were last needed, and still
        can't."""
        if self._failure is None:
            return
        # One caller tries, the others hear what was so before.
        if not self._trying.acquire(blocking=False):
            raise Unavailable(self._failure)
        try:
            self.warm_up()
        finally:
            self._trying.release()

    def _failed(self, what: str) -> Unavailable:
        self._failure = f"the processes that decode pictures {what}"
        try:
            # The pool does not tell why: this one does.
            process = self._context.Process(target=_nothing)
            process.start()
            process.join(_LOOK_SECONDS)
        except (OSError, EOFError) as error:
            self._failure += f": {error}"
        return Unavailable(self._failure)

    def look_at(self, image: ImageSource) -> Features:
        """What the picture in this file (a path) looks like. Raises ``Refused``, and
        ``Unavailable`` if there is no process that could tell."""
        if not isinstance(image, str | os.PathLike):
            raise TypeError("a picture for another process has to be in a file")
        killed = False
        for _ in range(_TRIES):
            try:
                features: Features = self._do(self._look, Path(image))
            except TooSlow:
                raise Refused(
                    f"takes longer than {self._seconds:.0f} s to decode", status=415
                ) from None
            except MemoryError:
                raise Refused("takes too much memory to decode", status=413) from None
            except ProcessExpired:
                killed = True
            except BrokenProcessPool:
                killed = False  # by this picture: something has ended all of them
            else:
                self._failure = None
                return features
        if killed:
            raise Refused("can't be decoded: it ends the decoder", status=415)
        raise self._failed("can't be started, or are killed again and again")

    def close(self) -> None:
        """End them, whatever they do."""
        with self._lock:
            self._is_closed = True
            _end(self._pool)

    def _do(self, work: Callable[..., Any], *arguments: Path) -> Any:
        pool = self._working_pool()
        try:
            future: Future[Any] = pool.schedule(work, args=arguments, timeout=self._seconds)
        except RuntimeError:  # since we looked
            raise BrokenProcessPool from None
        # Not for ever: what comes between the end of a pool and its word about it is forgotten.
        while not wait([future], _LOOK_SECONDS).done:
            if not pool.active:
                raise BrokenProcessPool
        return future.result()

    def _working_pool(self) -> ProcessPool:
        """A pool takes the death of a process that had nothing to do for its own end."""
        with self._lock:
            if self._is_closed:
                raise Unavailable("the service is stopping")
            if not self._pool.active:
                _end(self._pool)
                self._pool = self._new_pool()
            return self._pool

    def _new_pool(self) -> ProcessPool:
        return ProcessPool(
            max_workers=self._count,
            max_tasks=_PICTURES_EACH,
            initializer=_begin,
            initargs=(self._bytes,),
            context=self._context,
        )


def _end(pool: ProcessPool) -> None:
    pool.stop()  # type: ignore[no-untyped-call]
    pool.join()


def _nothing() -> None:
    """What a decoder does when it is asked whether it is there."""


def _begin(address_space_bytes: int) -> None:
    """The first thing a decoder does."""
    # Nobody would know of one that outlives the server of forks: it would go on taking pictures,
    # and no time would be too long for it.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_AS, (address_space_bytes, address_space_bytes))
