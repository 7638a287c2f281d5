"""A few decoder processes, and the pictures that wait for them.

A picture whose decoder dies is tried once more in a fresh one, since something else may have killed
the first; if that one dies too, the picture is refused. A decoder that takes too long is killed.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from snoopsync.core.errors import Refused, Unavailable
from snoopsync.core.events import Event, deferred_events, log_event
from snoopsync.decoding.layout import NoAnswer
from snoopsync.decoding.sandbox import Limits, Restriction, missing_from
from snoopsync.decoding.zygote import FAILED, FORK, KILL, NUMBER, READY, REPORT

log = logging.getLogger("snoopsync.decoding")

#: So many decoders may die over one picture.
_TRIES = 2

#: How long the first process may take to load the codecs, on a slow machine that is busy.
_START_SECONDS = 120.0

#: How long a fork may take.
_FORK_SECONDS = 30.0

#: An answer is a few kilobytes. A longer one is no answer.
_MOST_ANSWER_BYTES = 64 << 10

#: So often a picture may lose its decoder because something ended all of them.
_MOST_RESTARTS = 5


Result = TypeVar("Result")


class _DecoderDied(Exception):
    """The decoder has ended, and gave no sound answer. ``status`` is that of ``waitpid``; ``None``
    if it is not known, since all decoders were ended."""

    def __init__(self, status: int | None) -> None:
        super().__init__(status)
        self.status = status


class _TooSlow(Exception):
    """The decoder did not answer in time."""


@dataclass(slots=True)
class _Decoder:
    """One process. ``done`` counts its pictures; ``owner`` is the zygote it came from."""

    socket: socket.socket
    process: int
    owner: _Zygote
    restrictions: Restriction
    done: int = 0

    def require_idle(self) -> None:
        """Raises ``OSError`` if it has ended, or says what it was not asked for: that would be
        taken for the answer about the next picture."""
        timeout = self.socket.gettimeout()
        self.socket.settimeout(0.0)
        try:
            self.socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return
        finally:
            self.socket.settimeout(timeout)
        raise ConnectionResetError

    def ask(self, picture: int, sha256: bytes) -> bytes:
        """Its answer. Raises ``TimeoutError``, and another ``OSError`` if it has ended."""
        socket.send_fds(self.socket, [sha256], [picture])
        # Without room for descriptors: any that come with it are closed by the kernel.
        answer = self.socket.recv(_MOST_ANSWER_BYTES)
        if not answer:
            raise ConnectionResetError
        return answer


class _Zygote:
    """The process that decoders are forked from, and the socket to it. One thread at a time."""

    def __init__(self, work: str, limits: Limits) -> None:
        """Starts it, and waits until it has loaded every codec. Raises ``Unavailable``."""
        self._wall_seconds = limits.wall_seconds
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(_START_SECONDS)
        command = (
            # Without -P a module in the current directory, which may be anybody's, comes first.
            *(sys.executable, "-P", "-m", "snoopsync.decoding.zygote"),
            *(str(theirs.fileno()), work, str(limits.memory_bytes), str(limits.cpu_seconds)),
        )
        paths = [path for path in sys.path if Path(path).is_absolute()]
        # No secret of ours is in it, and numpy starts no threads, which a fork would lose.
        environment = {"PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1"}
        try:
            with theirs:
                self._process = subprocess.Popen(
                    command,
                    env=environment,
                    cwd="/",
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,  # Ctrl-C is for us alone
                )
            hello = self.socket.recv(_MOST_ANSWER_BYTES)
        except OSError as error:
            self.socket.close()
            raise _cannot_start(error.strerror or str(error)) from None
        if hello[:1] != READY:
            self.close()
            why = hello[1:].decode("utf-8", "replace") if hello[:1] == FAILED else "it ended"
            raise _cannot_start(why)
        self.socket.settimeout(_FORK_SECONDS)

    @property
    def process_id(self) -> int:
        """Its ID."""
        return self._process.pid

    def fork(self) -> _Decoder:
        """A fresh decoder. Raises ``OSError``."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            ours.settimeout(_FORK_SECONDS)
            with theirs:
                socket.send_fds(self.socket, [FORK], [theirs.fileno()])
            (process,) = self._reply(FORK)
            report = ours.recv(REPORT.size)
            if len(report) != REPORT.size:
                raise ConnectionResetError
            (applied,) = REPORT.unpack(report)
            ours.settimeout(self._wall_seconds)
        except BaseException:
            ours.close()
            raise
        return _Decoder(ours, process, self, Restriction(applied))

    def end(self, decoder: _Decoder) -> int | None:
        """Kill this decoder if it lives. Returns the status that it ended with; ``None`` if nobody
        knows that. Raises ``OSError`` if this process does not answer any more."""
        decoder.socket.close()
        self.socket.send(KILL + NUMBER.pack(decoder.process))
        process, status = self._reply(KILL)
        if process != decoder.process:
            raise ConnectionResetError
        return None if status < 0 else status

    def close(self) -> None:
        """End it, and with it every decoder; again does nothing."""
        self.socket.close()
        self.kill()
        self._process.wait()

    def kill(self) -> None:
        """End it without waiting for that. For any thread."""
        self._process.kill()

    def _reply(self, to: bytes) -> tuple[int, ...]:
        """The numbers of its reply to what was asked last. Raises ``OSError``."""
        reply = self.socket.recv(_MOST_ANSWER_BYTES)
        if reply[:1] != to or len(reply) % NUMBER.size != 1:
            raise ConnectionResetError
        return tuple(number for (number,) in NUMBER.iter_unpack(reply[1:]))


class Pool:
    """``count`` processes that decode. For any thread."""

    def __init__(self, count: int, work: str, limits: Limits | None = None) -> None:
        """``work`` names the function that they run (``zygote.main``). Nothing starts before the
        first picture, or ``warm_up``."""
        self.limits = limits or Limits()
        self._work = work
        self._lock = threading.Lock()
        self._zygote: _Zygote | None = None
        self._is_closed = False
        self._trying = threading.Lock()
        self._is_told = False
        #: Why no decoder could be had when one was last needed.
        self._failure: str | None = None
        #: A decoder that has nothing to do, or ``None`` where one may be forked.
        self._slots: queue.LifoQueue[_Decoder | None] = queue.LifoQueue()
        for _ in range(count):
            self._slots.put(None)

    @property
    def zygote_id(self) -> int | None:
        """The ID of the process that decoders are forked from; ``None`` if there is none now."""
        with self._lock:
            return None if self._zygote is None else self._zygote.process_id

    def warm_up(self) -> Restriction:
        """Start one, and return which restrictions are in force in it. Raises ``Unavailable``."""
        slot = self._slots.get()
        try:
            slot = slot or self._fork()
            return slot.restrictions
        finally:
            self._slots.put(slot)

    def check(self) -> None:
        """Raises ``Unavailable`` if no decoder could be had when one was last needed, and none can
        be had now."""
        failure = self._failure
        if failure is None:
            return
        # One caller tries, the others are told what was so before.
        if not self._trying.acquire(blocking=False):
            raise Unavailable(failure)
        try:
            self.warm_up()
        finally:
            self._trying.release()

    def decode(self, picture: int, sha256: bytes, read: Callable[[bytes], Result]) -> Result:
        """What ``read`` makes of the answer about the picture behind this descriptor, whose offset
        is moved, with this digest. ``read`` raises ``NoAnswer`` for bytes that are none.

        Waits for a decoder. Raises ``Refused`` for a picture that takes too long, or that ends its
        decoder, and ``Unavailable`` where no decoder can be had.
        """
        deaths = 0
        for _ in range(_MOST_RESTARTS):
            os.lseek(picture, 0, os.SEEK_SET)
            try:
                return self._decode_once(picture, sha256, read)
            except _TooSlow:
                raise Refused(
                    f"takes longer than {self.limits.wall_seconds:.0f} s to decode", status=415
                ) from None
            except _DecoderDied as died:
                if _was_signal(died.status, signal.SIGXCPU):
                    raise Refused(
                        f"takes more than {self.limits.cpu_seconds} s of processor time to decode",
                        status=415,
                    ) from None
                # Without a status, all of them were ended, which says nothing of this picture.
                deaths += died.status is not None
                if deaths >= _TRIES:
                    raise Refused(
                        f"can't be decoded: it ends the decoder ({_in_words(died.status)})",
                        status=415,
                    ) from None
        raise self._failed("the processes that decode pictures are killed again and again")

    def close(self) -> None:
        """End them, whatever they do; again does nothing."""
        self._is_closed = True
        zygote = self._zygote
        if zygote is not None:
            zygote.kill()  # whoever holds the lock waits for it
        with self._lock:
            if self._zygote is not None:
                self._zygote.close()
                self._zygote = None
        idle = []
        with suppress(queue.Empty):  # one that is in use is put back by who uses it
            while True:
                idle.append(self._slots.get_nowait())
        for slot in idle:
            self._put_back(slot)

    def _decode_once(self, picture: int, sha256: bytes, read: Callable[[bytes], Result]) -> Result:
        slot = self._slots.get()
        try:
            slot = slot or self._fork()
            try:
                slot.require_idle()
            except OSError:
                # It ended, or went wrong, before it was asked.
                self._end(slot)
                slot = None
                raise _DecoderDied(None) from None
            try:
                result = read(slot.ask(picture, sha256))
            except TimeoutError:
                raise _TooSlow from None
            except (OSError, NoAnswer):
                status, slot = self._status_of(slot), None
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
            # It may still answer, and nobody may take that for the next picture's answer.
            if slot is not None:
                self._end(slot)
                slot = None
            raise
        finally:
            self._put_back(slot)

    def _put_back(self, slot: _Decoder | None) -> None:
        """Let others have this slot. Once the pool is closed, its decoder has ended."""
        if self._is_closed and slot is not None:
            slot.socket.close()
            slot = None
        self._slots.put(slot)

    def _fork(self) -> _Decoder:
        with deferred_events(), self._lock:
            for _ in range(_TRIES):
                if self._is_closed:
                    raise Unavailable("the decoders are closed")
                try:
                    if self._zygote is None:
                        self._zygote = _Zygote(self._work, self.limits)
                    decoder = self._zygote.fork()
                except Unavailable as error:
                    self._failure = error.message
                    raise
                except OSError:  # it was killed
                    assert self._zygote is not None
                    self._zygote.close()
                    self._zygote = None
                else:
                    self._failure = None
                    self._tell(decoder.restrictions)
                    return decoder
        raise self._failed("the processes that decode pictures can't be started")

    def _tell(self, applied: Restriction) -> None:
        """Log, once, what this kernel or the service's unit withholds."""
        if self._is_told:
            return
        self._is_told = True
        missing = missing_from(applied)
        if missing:
            log_event(
                log,
                logging.WARNING,
                Event.DECODERS_UNRESTRICTED,
                "pictures are decoded without: %s. This kernel, or the unit of the service, does"
                " not offer it",
                ", ".join(missing),
                missing=missing,
            )

    def _failed(self, message: str) -> Unavailable:
        self._failure = message
        return Unavailable(message)

    def _end(self, decoder: _Decoder) -> None:
        self._status_of(decoder)

    def _status_of(self, decoder: _Decoder) -> int | None:
        """End it. Returns the status that it ended with, ``None`` if nobody knows that."""
        with self._lock:
            try:
                return decoder.owner.end(decoder)
            except OSError:
                # Its replies would be taken for those to the next questions.
                decoder.owner.close()
                if self._zygote is decoder.owner:
                    self._zygote = None
                return None


def _cannot_start(why: str) -> Unavailable:
    return Unavailable(f"the processes that decode pictures can't be started: {why}")


def _was_signal(status: int | None, number: signal.Signals) -> bool:
    return status is not None and os.WIFSIGNALED(status) and os.WTERMSIG(status) == number


def _in_words(status: int | None) -> str:
    assert status is not None
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return f"exit status {os.waitstatus_to_exitcode(status)}"
