"""A pool of decoder processes.

If a decoder dies, its picture is retried in a new decoder, since something else may have killed
the first one. If the second one dies too, the picture is refused. A decoder that takes too long is
killed.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from snoopsync.core.errors import Refused, Unavailable, Undecodable
from snoopsync.core.events import Event, deferred_events, log_event
from snoopsync.decoding.layout import InvalidAnswer
from snoopsync.decoding.processes import Decoder, Zygote
from snoopsync.decoding.sandbox import DecoderLimits, Outcome

log = logging.getLogger("snoopsync.decoding")

#: A picture is refused after this many of its decoders died.
_TRIES = 2

#: The features of a picture have a few kilobytes. A longer answer is invalid.
_MOST_ANSWER_BYTES = 64 << 10

#: How often a picture is tried if all decoders keep being killed.
_MOST_RESTARTS = 5

Result = TypeVar("Result")


class _DecoderDied(Exception):
    """The decoder ended without a valid answer. ``status``: its status from ``waitpid``; ``None``
    if the status is unknown because all decoders were ended."""

    def __init__(self, status: int | None) -> None:
        super().__init__(status)
        self.status = status


class _TooSlow(Exception):
    """The decoder did not answer in time."""


@dataclass(frozen=True, slots=True)
class DecoderStatistics:
    """The figures of a pool. ``busy``: decoders that have a picture, of at most ``count``.
    ``deaths``: decoders that ended unexpectedly or were killed because they took too long.
    ``refused``: pictures that were refused."""

    count: int
    busy: int
    deaths: int
    refused: int


class Pool:
    """Up to ``count`` decoder processes. Thread-safe."""

    def __init__(self, count: int, work: str, limits: DecoderLimits | None = None) -> None:
        """``work``: the name of the function that decoders run (see ``zygote.main``). The first
        picture, or ``warm_up``, starts the processes."""
        self.limits = limits or DecoderLimits()
        self._count = count
        self._work = work
        self._lock = threading.Lock()
        #: Statistics must not wait for ``_lock``, which is held while a decoder starts.
        self._counting = threading.Lock()
        self._deaths = self._refused = 0
        self._zygote: Zygote | None = None
        self._is_closed = False
        self._trying = threading.Lock()
        #: Which restrictions are in force in the decoders; ``None`` before the first one.
        self.outcome: Outcome | None = None
        #: Why the last attempt to start a decoder failed; ``None`` if it succeeded.
        self._failure: str | None = None
        #: Idle decoders, and a ``None`` for each decoder that may still be forked.
        self._slots: queue.LifoQueue[Decoder | None] = queue.LifoQueue()
        for _ in range(count):
            self._slots.put(None)

    @property
    def zygote_id(self) -> int | None:
        """The ID of the process that decoders are forked from; ``None`` if it does not run."""
        with self._lock:
            return None if self._zygote is None else self._zygote.process_id

    def statistics(self) -> DecoderStatistics:
        """The figures at this moment. Waits for nothing."""
        with self._counting:
            busy = max(0, self._count - self._slots.qsize())
            return DecoderStatistics(self._count, busy, self._deaths, self._refused)

    def warm_up(self) -> Outcome:
        """Start a decoder, and return which restrictions are in force. Raises ``Unavailable``."""
        slot = self._slots.get()
        try:
            slot = slot or self._fork()
            return slot.outcome
        finally:
            self._slots.put(slot)

    def check(self) -> None:
        """Raises ``Unavailable`` if the last attempt to start a decoder failed, and another attempt
        fails too."""
        failure = self._failure
        if failure is None:
            return
        # Only one caller tries again. The others get the previous error meanwhile.
        if not self._trying.acquire(blocking=False):
            raise Unavailable(failure)
        try:
            self.warm_up()
        finally:
            self._trying.release()

    def decode(
        self,
        picture: int,
        question: bytes,
        read: Callable[[bytes], Result],
        most_bytes: int = _MOST_ANSWER_BYTES,
    ) -> Result:
        """Ask a decoder about this picture, a descriptor whose offset changes. Returns what
        ``read`` returns for the answer; ``read`` must raise ``InvalidAnswer`` for invalid bytes.

        Waits for a free decoder. Raises ``Refused`` for a picture that takes too long or crashes
        its decoder, and ``Unavailable`` if no decoder can be started.
        """
        try:
            return self._decode(picture, question, read, most_bytes)
        except Refused:
            with self._counting:
                self._refused += 1
            raise

    def _decode(
        self, picture: int, question: bytes, read: Callable[[bytes], Result], most_bytes: int
    ) -> Result:
        deaths = 0
        for _ in range(_MOST_RESTARTS):
            os.lseek(picture, 0, os.SEEK_SET)
            try:
                return self._decode_once(picture, question, read, most_bytes)
            except _TooSlow:
                self._count_death()
                raise Undecodable(
                    f"takes longer than {self.limits.wall_seconds:.0f} s to decode", status=415
                ) from None
            except _DecoderDied as died:
                self._count_death()
                if _was_signal(died.status, signal.SIGXCPU):
                    raise Undecodable(
                        f"takes more than {self.limits.cpu_seconds} s of processor time to decode",
                        status=415,
                    ) from None
                # Without a status, all decoders were ended, which this picture did not cause.
                deaths += died.status is not None
                if deaths >= _TRIES:
                    raise Undecodable(
                        f"cannot be decoded: the decoder crashes ({_in_words(died.status)})",
                        status=415,
                    ) from None
        raise self._failed("the decoder processes are killed repeatedly")

    def close(self) -> None:
        """End all decoders, even busy ones. A second call does nothing."""
        self._is_closed = True
        zygote = self._zygote
        if zygote is not None:
            zygote.kill()  # a thread that waits for the zygote may hold the lock
        with self._lock:
            if self._zygote is not None:
                self._zygote.close()
                self._zygote = None
        idle = []
        with suppress(queue.Empty):  # the threads that use busy decoders put them back
            while True:
                idle.append(self._slots.get_nowait())
        for slot in idle:
            self._put_back(slot)

    def _count_death(self) -> None:
        with self._counting:
            self._deaths += 1

    def _decode_once(
        self, picture: int, question: bytes, read: Callable[[bytes], Result], most_bytes: int
    ) -> Result:
        slot = self._slots.get()
        try:
            slot = slot or self._fork()
            try:
                slot.require_idle()
            except OSError:
                # The decoder ended, or misbehaved, before this picture.
                self._end(slot)
                slot = None
                raise _DecoderDied(None) from None
            try:
                result = read(slot.ask(picture, question, most_bytes))
            except TimeoutError:
                raise _TooSlow from None
            except (OSError, InvalidAnswer):
                status, slot = self._end(slot), None
                raise _DecoderDied(status) from None
            finally:
                if slot is not None:
                    slot.done += 1
            if slot.done >= self.limits.pictures:
                self._end(slot)
                slot = None
            return result
        except (Refused, Unavailable, _DecoderDied):
            raise
        except BaseException:
            # The decoder may still answer, and its answer would be mistaken for the answer about
            # the next picture.
            if slot is not None:
                self._end(slot)
                slot = None
            raise
        finally:
            self._put_back(slot)

    def _put_back(self, slot: Decoder | None) -> None:
        """Let other threads use this slot. After ``close``, its decoder is dropped."""
        if self._is_closed and slot is not None:
            slot.socket.close()
            slot = None
        self._slots.put(slot)

    def _fork(self) -> Decoder:
        with deferred_events(), self._lock:
            for _ in range(_TRIES):
                if self._is_closed:
                    raise Unavailable("the decoders are closed")
                try:
                    if self._zygote is None:
                        self._zygote = Zygote(self._work, self.limits)
                    decoder = self._zygote.fork()
                except Unavailable as error:
                    self._failure = error.message
                    raise
                except OSError:  # the zygote was killed
                    assert self._zygote is not None
                    self._zygote.close()
                    self._zygote = None
                else:
                    self._failure = None
                    self._log_missing(decoder.outcome)
                    return decoder
        raise self._failed("the decoder processes cannot be started")

    def _log_missing(self, outcome: Outcome) -> None:
        """Log once which restrictions are not in force, and why."""
        if self.outcome is not None:
            return
        self.outcome = outcome
        if outcome.missing:
            log_event(
                log,
                logging.WARNING,
                Event.DECODERS_UNRESTRICTED,
                "pictures are decoded without: %s",
                outcome,
                missing=outcome.missing,
                refused=outcome.refused_names,
            )

    def _failed(self, message: str) -> Unavailable:
        self._failure = message
        return Unavailable(message)

    def _end(self, decoder: Decoder) -> int | None:
        """End the decoder. Returns its exit status; ``None`` if the status is unknown."""
        with self._lock:
            try:
                return decoder.owner.end(decoder)
            except OSError:
                # A late reply would be mistaken for the reply to the next request.
                decoder.owner.close()
                if self._zygote is decoder.owner:
                    self._zygote = None
                return None


def _was_signal(status: int | None, number: signal.Signals) -> bool:
    return status is not None and os.WIFSIGNALED(status) and os.WTERMSIG(status) == number


def _in_words(status: int | None) -> str:
    assert status is not None
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return f"exit status {os.waitstatus_to_exitcode(status)}"
