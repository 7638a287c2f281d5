"""A few decoder processes, and the pictures that wait for them.

A picture whose decoder dies is tried once more in a fresh one, since something else may have killed
the first; if that one dies too, the picture is refused. A decoder that takes too long is killed.
"""

from __future__ import annotations

import logging
import os
import queue
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass

from snoopsync.decoding.sandbox import Limits, Restriction, missing_from
from snoopsync.decoding.zygote import FAILED, FORK, NUMBER, READY, REPORT, WAIT
from snoopsync.errors import Refused, Unavailable
from snoopsync.events import Event, happened

log = logging.getLogger("snoopsync.decoding")

#: After so many pictures a decoder is replaced by a fresh one: leaks of the codecs end with it.
_PICTURES_EACH = 2000

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


class _DecoderDied(Exception):
    """The decoder ended before it answered. ``status`` is that of ``waitpid``."""

    def __init__(self, status: int) -> None:
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


class _Zygote:
    """The process that decoders are forked from, and the socket to it. One thread at a time."""

    def __init__(self, work: str, limits: Limits) -> None:
        """Starts it, and waits until it has loaded every codec. Raises ``Unavailable``."""
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = (
            *(sys.executable, "-m", "snoopsync.decoding.zygote", str(theirs.fileno()), work),
            *(str(limits.memory_bytes), str(limits.cpu_seconds)),
        )
        # No secret of ours is in it, and numpy starts no threads, which a fork would lose.
        environment = {"PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"}
        try:
            with theirs:
                self._process = subprocess.Popen(
                    command,
                    env=environment,
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,  # Ctrl-C is for us alone
                )
            hello = self._receive(_START_SECONDS)
        except OSError as error:
            self.socket.close()
            raise _cannot_start(error.strerror or str(error)) from None
        if hello[:1] != READY:
            self.close()
            why = hello[1:].decode("utf-8", "replace") if hello[:1] == FAILED else "it ended"
            raise _cannot_start(why)

    @property
    def process_id(self) -> int:
        """Its ID."""
        return self._process.pid

    def fork(self) -> _Decoder:
        """A fresh decoder. Raises ``OSError``."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                socket.send_fds(self.socket, [FORK], [theirs.fileno()])
            (process,) = NUMBER.unpack(self._receive(_FORK_SECONDS))
            if not select.select([ours], [], [], _FORK_SECONDS)[0]:
                raise TimeoutError("a decoder does not start")
            (applied,) = REPORT.unpack(ours.recv(REPORT.size))
        except BaseException:
            ours.close()
            raise
        return _Decoder(ours, process, self, Restriction(applied))

    def end(self, decoder: _Decoder) -> int:
        """Kill this decoder if it lives. Returns the status that it ended with; 0 if nobody knows
        that any more, because this process is gone too."""
        decoder.socket.close()
        with suppress(OSError):  # it has ended
            os.kill(decoder.process, signal.SIGKILL)
        try:
            self.socket.send(WAIT + NUMBER.pack(decoder.process))
            (status,) = NUMBER.unpack(self._receive(_FORK_SECONDS))
        except (OSError, struct.error):
            return 0
        return int(status)

    def close(self) -> None:
        """End it, and with it every decoder."""
        self.socket.close()
        self._process.kill()
        self._process.wait()

    def _receive(self, seconds: float) -> bytes:
        if not select.select([self.socket], [], [], seconds)[0]:
            raise TimeoutError("the process that starts decoders does not answer")
        return self.socket.recv(_MOST_ANSWER_BYTES)


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

    def decode(self, picture: int, sha256: bytes) -> bytes:
        """What the work answers for the picture behind this descriptor, whose offset is moved, with
        this digest.

        Waits for a decoder. Raises ``Refused`` for a picture that takes too long, or that ends its
        decoder, and ``Unavailable`` where no decoder can be had.
        """
        deaths = 0
        for _ in range(_MOST_RESTARTS):
            os.lseek(picture, 0, os.SEEK_SET)
            try:
                return self._decode_once(picture, sha256)
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
                deaths += bool(died.status)
                if deaths >= _TRIES:
                    raise Refused(
                        f"can't be decoded: it ends the decoder ({_in_words(died.status)})",
                        status=415,
                    ) from None
        raise self._failed("the processes that decode pictures are killed again and again")

    def close(self) -> None:
        """End them, whatever they do; again does nothing."""
        with self._lock:
            self._is_closed = True
            if self._zygote is not None:
                self._zygote.close()
                self._zygote = None
        idle = []
        with suppress(queue.Empty):  # one that is in use is put back by who uses it
            while True:
                idle.append(self._slots.get_nowait())
        for slot in idle:
            self._put_back(slot)

    def _decode_once(self, picture: int, sha256: bytes) -> bytes:
        slot = self._slots.get()
        try:
            slot = slot or self._fork()
            answer = self._ask(slot, picture, sha256)
            slot.done += 1
            if slot.done >= _PICTURES_EACH:
                self._end(slot)
                slot = None
            return answer
        except _TooSlow:
            assert slot is not None
            self._end(slot)
            slot = None
            raise
        except OSError:  # the socket's other end is closed
            assert slot is not None
            status = self._end(slot)
            slot = None
            raise _DecoderDied(status) from None
        finally:
            self._put_back(slot)

    def _put_back(self, slot: _Decoder | None) -> None:
        """Let others have this slot. Once the pool is closed, its decoder has ended."""
        if self._is_closed and slot is not None:
            slot.socket.close()
            slot = None
        self._slots.put(slot)

    def _ask(self, decoder: _Decoder, picture: int, sha256: bytes) -> bytes:
        """Raises ``OSError`` if the decoder has ended, or says what it was not asked for."""
        if select.select([decoder.socket], [], [], 0.0)[0]:
            raise ConnectionResetError
        socket.send_fds(decoder.socket, [sha256], [picture])
        if not select.select([decoder.socket], [], [], self.limits.wall_seconds)[0]:
            raise _TooSlow
        # Without room for descriptors: any that come with it are closed by the kernel.
        answer = decoder.socket.recv(_MOST_ANSWER_BYTES)
        if not answer:
            raise ConnectionResetError
        return answer

    def _fork(self) -> _Decoder:
        with self._lock:
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
                except (OSError, struct.error):  # it was killed
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
            happened(
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

    def _end(self, decoder: _Decoder) -> int:
        with self._lock:
            return decoder.owner.end(decoder)


def _cannot_start(why: str) -> Unavailable:
    return Unavailable(f"the processes that decode pictures can't be started: {why}")


def _was_signal(status: int, number: signal.Signals) -> bool:
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == number


def _in_words(status: int) -> str:
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return f"exit status {os.waitstatus_to_exitcode(status)}"
